"""The share of requests that failed or were slow, over every window of the burn-rate alerts.

Windows and factors are those of the SRE workbook (Beyer et al. 2018, chapter 5) for a budget of 30 days. All versions
count, also where nobody knows which one answered: clients felt it. Long windows are means of the recorded rates, as a
rate over days of samples each second would cost too much.
"""

from __future__ import annotations

from airbag_exporters.rules.promql import MODEL
from airbag_exporters.rules.rule import Record
from airbag_exporters.rules.serving import BLAMELESS

SHORT = "5m"
LONGER = ("30m", "1h", "2h", "6h", "1d", "3d")
RATES_EVERY = "15s"
JUDGED_EVERY = "60s"

_RATES = {
    "airbag_tfs_requests": "airbag_tfs_requests_total",
    "airbag_tfs_errors": (f'airbag_tfs_requests_total{{status!~"{BLAMELESS}"}}'),
    "airbag_tfs_answers": "airbag_tfs_answers_total",
    "airbag_tfs_slow_requests": "airbag_tfs_slow_requests_total",
}
_SHARES = (
    ("airbag_tfs_errors_per_request", "airbag_tfs_errors", "airbag_tfs_requests"),
    ("airbag_tfs_slow_per_answer", "airbag_tfs_slow_requests", "airbag_tfs_answers"),
)
_OBJECTIVES = {
    "airbag_tfs_errors": "airbag_tfs_availability_objective",
    "airbag_tfs_slow_requests": "airbag_tfs_latency_objective",
}


def rates() -> list[Record]:
    """Per second over the shortest window."""
    return [
        Record(f"model:{name}:rate{SHORT}", f"sum by ({MODEL}) (rate({counter}[{SHORT}]))")
        for name, counter in _RATES.items()
    ]


def budgets() -> list[Record]:
    """The share that may be bad. A scrape that is missed does not end an alert that has waited for hours."""
    return [
        Record(f"model:{bad}:budget_ratio", f"1 - min by ({MODEL}) (last_over_time({objective}[1h]))")
        for bad, objective in _OBJECTIVES.items()
    ]


def ratios() -> list[Record]:
    """The share of bad ones, over every window in which there were any."""
    return [
        Record(f"model:{share}:ratio_rate{window}", f"{_over(bad, window)} / ({_over(every, window)} > 0)")
        for share, bad, every in _SHARES
        for window in (SHORT, *LONGER)
    ]


def _over(name: str, window: str) -> str:
    rate = f"model:{name}:rate{SHORT}"
    return rate if window == SHORT else f"avg_over_time({rate}[{window}])"
