"""What is common to all places that tell drift from noise: the rules, the aggregator, the comparison of references."""

SMOOTHING = 0.5
"""Added to the count of every bin, on both sides, so that an empty one does not make PSI infinite."""
ROWS_MIN = 300
"""Rows below which no drift is significant."""
FLOORS = 3
"""How many times its noise floor PSI must be to be significant."""
STANDARD_ERRORS = 4
"""How many of them chance is granted before an accuracy counts as low, or as lower than another; see decision 0021."""
KS_CRITICAL = 1.949
"""The distance that no drift exceeds in 999 of 1,000 cases, in units of sqrt(1/n + 1/m): sqrt(-ln(0.001 / 2) / 2)."""
