"""Runs of the pipelines that feed the models: decoded, counted once each, and shown."""
