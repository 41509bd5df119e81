"""Alerts turned into rollbacks: receiver, engine, journal, actions."""
