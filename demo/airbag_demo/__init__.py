"""The whole loop on one machine without Docker."""
