"""The probes on the scrape page.

airbag_tfs_probe_success{serving="main",target="a",model_name="digits",model_version="3",probe="seven"} 0
airbag_tfs_probe_duration_seconds{serving="main",target="a",model_name="digits",model_version="3",probe="seven"} 0.004
airbag_tfs_probe_last_timestamp_seconds{serving="main",...,probe="seven"} 1763700000.25
airbag_tfs_probe_requests_total{serving="main",target="a",model_name="digits",outcome="wrong"} 4
airbag_tfs_alert_pushes_total{outcome="delivered"} 2
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airbag.exposition import Family, Samples
from airbag_exporters.serving.golden.ask import Outcome
from airbag_exporters.serving.golden.prober import Prober

_PROBE = ("serving", "target", "model_name", "model_version", "probe")
SUCCESS = Family(
    "airbag_tfs_probe_success", "gauge",
    "1 while the version answers the golden request as expected, 0 when wrong twice or late three times in a row.",
    _PROBE,
)  # fmt: skip
DURATION = Family(
    "airbag_tfs_probe_duration_seconds", "gauge", "How long the last answer to the golden request took.", _PROBE
)
LAST = Family("airbag_tfs_probe_last_timestamp_seconds", "gauge", "When the golden request was last judged.", _PROBE)
REQUESTS = Family(
    "airbag_tfs_probe_requests_total", "counter",
    "Golden requests by what came of them; unanswered ones say nothing about a version.",
    ("serving", "target", "model_name", "outcome"),
)  # fmt: skip
PUSHES = Family(
    "airbag_tfs_alert_pushes_total", "counter", "Messages sent straight to an Alertmanager, by outcome.", ("outcome",)
)


def render(
    probers: Iterable[Prober], asked: Mapping[tuple[str, str, str, Outcome], int], pushes: Mapping[str, int]
) -> bytes:
    """The whole page. `asked` is by serving, target, model and outcome; `pushes` is empty when nothing is ever sent."""
    samples = Samples([SUCCESS, DURATION, LAST, REQUESTS, *([PUSHES] if pushes else [])])
    for prober in probers:
        names = (prober.plan.serving, prober.plan.target)
        for model, version, life in prober.lives():
            for probe, verdict in sorted(life.verdicts.items()):
                at = (*names, model, str(version), probe)
                samples.add(SUCCESS, at, int(verdict.since is None))
                samples.add(DURATION, at, verdict.seconds)
                samples.add(LAST, at, verdict.at)
    for labels, count in sorted(asked.items()):
        samples.add(REQUESTS, labels, count)
    for outcome, count in pushes.items():
        samples.add(PUSHES, (outcome,), count)
    return samples.page()
