"""Commands of the rollback side; each module holds one click command of its own name."""
