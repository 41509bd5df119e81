"""Training profiles: which values each feature had, in bins that never move."""
