"""What two servers answered, as the serving exporter shows it, against the same sums by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tests.prometheus.records.promtool import Case, Labels, Sample, series, text
from tests.prometheus.records.rows import version

_SECONDS = 600
_ROUTE = {"api": "Predict", "entrypoint": "GRPC"}
# Each second: by status, successes of the three APIs, those over the bound, and how many took less than an edge.
_REQUESTS = {"a": {"OK": 4, "INTERNAL": 1, "NOT_FOUND": 5}, "b": {"OK": 3, "INVALID_ARGUMENT": 2}}
_ANSWERS, _SLOW = {"a": 4, "b": 3}, {"a": 1, "b": 0.5}
_EDGES = {"a": {"0.1": 1, "0.18": 3, "0.324": 4, "+Inf": 4}, "b": {"0.1": 2, "0.18": 3, "0.324": 3, "+Inf": 3}}


def case() -> Case:
    """One version with traffic, one without, and requests that no single version can be blamed for."""
    of, idle = version("busy"), version("idle")
    shown: dict[str, list[float]] = {}
    for target in "ab":
        for labels, times in ((of, 1), (idle, 0), ({**of, "model_version": "switching"}, 7)):
            shown |= _target(target, labels, times)
    expected = [
        *(sample for seconds in (5, 15) for sample in _shares(of, seconds)),
        # 6 of 7 are below 0.18 s, and the seventh lies between there and 0.324 s.
        Sample("model_version:airbag_tfs_request_duration_seconds:p99_5m", of, 0.18 + 0.144 * (0.99 * 7 - 6)),
        Sample("model_version:airbag_tfs_answers:increase5m", of, 300 * 7),
        # 3 of 7 are below 0.1 s, and 3 more below 0.18 s.
        Sample("model_version:airbag_tfs_request_duration_seconds:p50_5m", of, 0.1 + 0.08 * (0.5 * 7 - 3) / 3),
        *(
            Sample(f"model_version:airbag_tfs_{what}", idle, 0)
            for what in (
                "requests:increase15s",
                "requests:increase5s",
                "answers:increase15s",
                "answers:increase5s",
                "answers:increase5m",
            )
        ),
    ]
    return Case(shown, expected, scrape=1, every=60, at=_SECONDS)


def _shares(of: Labels, seconds: int) -> Iterator[Sample]:
    shares = ("errors_per_request", "requests", 3, 15), ("slow_per_answer", "answers", 1.5, 7)
    for name, all_of, bad, every in shares:
        share = bad / every
        stderr = math.sqrt(share * (1 - share) / (seconds * every))
        yield Sample(f"model_version:airbag_tfs_{all_of}:increase{seconds}s", of, seconds * every)
        yield Sample(f"model_version:airbag_tfs_{name}:ratio{seconds}s", of, share)
        yield Sample(f"model_version:airbag_tfs_{name}:stderr{seconds}s", of, stderr)
        yield Sample(f"model_version:airbag_tfs_{name}:lower_bound{seconds}s", of, share - 3 * stderr)


def _target(target: str, of: Labels, times: int) -> Mapping[str, list[float]]:
    each = {
        **{
            series("airbag_tfs_requests_total", status=status, **of): count
            for status, count in _REQUESTS[target].items()
        },
        series("airbag_tfs_answers_total", **of): _ANSWERS[target],
        series("airbag_tfs_slow_requests_total", **of): _SLOW[target],
        **{_bucket(of, le): count for le, count in _EDGES[target].items()},
        # Status requests over REST are timed too, and are no answers.
        series("airbag_tfs_request_duration_seconds_bucket", **of, api="", entrypoint="REST", le="0.1"): 99,
        series("airbag_tfs_request_duration_seconds_bucket", **of, api="", entrypoint="REST", le="+Inf"): 99,
    }
    return {
        text(key, target=target): [count * times * second for second in range(_SECONDS + 1)]
        for key, count in each.items()
    }


def _bucket(of: Labels, le: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return series("airbag_tfs_request_duration_seconds_bucket", **of, **_ROUTE, le=le)
