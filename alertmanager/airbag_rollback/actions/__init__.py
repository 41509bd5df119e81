"""The ways to act. Each is a `Landing`; `landing_of` finds the one that an action was given."""
