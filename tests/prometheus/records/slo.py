"""What the budgets rest on: more than three days of requests, a bad night near their end."""

from __future__ import annotations

import numpy as np

from tests.prometheus.records.promtool import Case, Counts, Labels, Sample, series, text

SCRAPE = 140
PAGES_PER_LOOK = 6
LOOK = SCRAPE * PAGES_PER_LOOK
"""Seconds between evaluations: no window is a multiple of it, so none ends on a sample."""

WINDOWS = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21600, "1d": 86400, "3d": 259200}
_GOOD, _BAD, _BETTER = 330, 28, 3
"""So many looks of each."""

_OK, _CLIENTS = 196.0, 50.0
_FAILED = (1.0, 20.0, 4.0)
_SLOW = (2.0, 30.0, 5.0)
"""In each page."""


def case() -> Case:
    """Requests and answers of a model whose failures no single version can be blamed for, and of one that is idle."""
    of = {"serving": "main", "model_name": "busy"}
    failed, slow = _each_look(_FAILED), _each_look(_SLOW)
    steady = np.ones_like(failed)
    requests, answers = _OK + _CLIENTS + failed, _OK * steady
    counts = {
        _requests(of, "3", "OK"): _OK * steady,
        _requests(of, "3", "NOT_FOUND"): _CLIENTS * steady,
        _requests(of, "switching", "INTERNAL"): failed,
        series("airbag_tfs_answers_total", **of, model_version="3"): answers,
        series("airbag_tfs_slow_requests_total", **of, model_version="3"): slow,
    }
    shown = {text(key, target="a"): _counter(each) for key, each in counts.items()}
    idle = {"serving": "main", "model_name": "idle"}
    shown |= {text(key, target="a"): [7.0] * len(shown[next(iter(shown))]) for key in _idle(idle)}
    shown |= _objectives(of, len(next(iter(shown.values()))))
    expected = [
        *_rates(of, requests[-1], failed[-1], answers[-1], slow[-1]),
        *_rates(idle, 0, 0, 0, 0),
        Sample("model:airbag_tfs_errors:budget_ratio", of, 1 - 0.99),
        Sample("model:airbag_tfs_slow_requests:budget_ratio", of, 1 - 0.9),
    ]
    for window, seconds in WINDOWS.items():
        looks = slice(-(seconds // LOOK + 1), None)
        share, over = failed[looks].sum() / requests[looks].sum(), slow[looks].sum() / answers[looks].sum()
        expected += [
            Sample(f"model:airbag_tfs_errors_per_request:ratio_rate{window}", of, share),
            Sample(f"model:airbag_tfs_slow_per_answer:ratio_rate{window}", of, over),
        ]
    end = LOOK * (_GOOD + _BAD + _BETTER)
    return Case(shown, expected, scrape=SCRAPE, every=LOOK, at=end, files="slo.yml")


def _each_look(phases: tuple[float, float, float]) -> np.ndarray:
    return np.repeat(phases, (_GOOD, _BAD, _BETTER))


def _counter(each_look: np.ndarray) -> list[float]:
    return [0.0, *np.cumsum(np.repeat(each_look, PAGES_PER_LOOK)).tolist()]


def _requests(of: Labels, version: str, status: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return series("airbag_tfs_requests_total", **of, model_version=version, status=status)


def _idle(of: Labels) -> Counts:
    names = ("airbag_tfs_answers_total", "airbag_tfs_slow_requests_total")
    quiet = {series(name, **of, model_version="1"): 0.0 for name in names}
    return {**quiet, **{_requests(of, "1", status): 0.0 for status in ("OK", "INTERNAL")}}


def _objectives(of: Labels, pages: int) -> dict[str, list[float]]:
    """Two exporters, one of which has yet to read the change; it cannot be scraped in the last half hour."""
    known = {"airbag_tfs_availability_objective": (0.99, 0.999), "airbag_tfs_latency_objective": (0.9, 0.95)}
    return {
        text(series(name, **of), instance=instance): [value] * (pages - (12 if instance == "x" else 0))
        for name, values in known.items()
        for instance, value in zip("xy", values, strict=True)
    }


def _rates(of: Labels, requests: float, failed: float, answers: float, slow: float) -> list[Sample]:
    counts = {"requests": requests, "errors": failed, "answers": answers, "slow_requests": slow}
    return [Sample(f"model:airbag_tfs_{name}:rate5m", of, count / SCRAPE) for name, count in counts.items()]
