"""A release that went wrong and was rolled back, in a real Prometheus and a real receiver's journal."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.fakes import rollback
from tests.fakes.alertmanager_api import alert
from tests.fakes.cli import airbag
from tests.fakes.history import History, Series
from tests.fakes.releases import Release
from tests.fakes.rollback import TOKENS, Process, Surroundings, process, surroundings

SECONDS = 240
RELEASED = 60
"""The second in which version 3 took over from 2."""
ALERTED = 70
"""The second in which the receiver heard of it."""


@dataclass
class RolledBack(Release):
    """A release that ends at second `back`."""

    back: int = SECONDS

    @property
    def after(self) -> npt.NDArray[np.bool_]:
        second = np.arange(self.seconds)
        return (second >= self.at) & (second < self.back)


def later(series: Series) -> Series:
    """The same of versions 2 and 3 in place of 1 and 2."""
    if series.name == "airbag_tfs_default_version":
        return replace(series, values=[value + 1 for value in series.values])
    version = series.labels.get("model_version")
    return (
        series if version is None else replace(series, labels={**series.labels, "model_version": str(int(version) + 1)})
    )


def happened(start: int, back: int) -> Iterator[Series]:
    """What the exporters told: half of 3's requests fail, many answers are slow, and many are wrong."""
    second = np.arange(SECONDS)
    bad = (second >= RELEASED) & (second < back)
    release = RolledBack(
        "digits", start, SECONDS, RELEASED, seed=1, back=back, errors=np.where(bad, 0.5, 0.001),
        slow=np.where(bad, 0.3, 0.005), accuracy=np.where(bad, 0.4, 0.95),
    )  # fmt: skip
    yield from (later(each) for each in release.series())
    model = {"serving": "main", "model_name": "digits"}
    times = list(range(start, start + SECONDS))
    yield Series("airbag_tfs_latency_bound_seconds", model, times, [0.1] * SECONDS)
    p99 = "model_version:airbag_tfs_request_duration_seconds:p99_5m"  # a record for people, which nothing here writes
    yield Series(p99, {**model, "model_version": "2"}, times, [0.04] * SECONDS)
    there = times[RELEASED:back]
    yield Series(p99, {**model, "model_version": "3"}, there, [0.3] * len(there))


def handled(around: Surroundings, start: int) -> float:
    """A receiver whose clock stands at that time goes back; when the version before served again."""
    with rollback.bench(around) as desk:
        desk.clock.time = float(start)
        desk.released()
        around.bad_release()
        desk.clock.time = float(start + ALERTED)
        desk.post(alert(3, starts_at=datetime.fromtimestamp(start + ALERTED - 0.5, UTC)))
        ended = desk.run_until_ended()
        assert ended.state == "SUCCEEDED", ended
        assert ended.available_at is not None
        return ended.available_at


@dataclass
class Story:
    """Both sources, running. `start` is the first second of which Prometheus knows."""

    around: Surroundings
    receiver: Process
    prometheus: str
    start: int
    back: int

    @property
    def end(self) -> int:
        return self.start + SECONDS

    def report(
        self,
        *arguments: str | Path,
        token: str | None = TOKENS["vera"],
        receiver: str | None = None,
        prometheus: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `airbag report`."""
        return airbag(
            "report", *arguments, "--config.file", self.around.policy_file, "--receiver.url",
            receiver or self.receiver.url, "--prometheus.url", prometheus or self.prometheus, token=token,
        )  # fmt: skip

    def whole(self, *arguments: str | Path, **where: str) -> subprocess.CompletedProcess[str]:
        """Of the whole span."""
        return self.report("digits", "--from", str(self.start), "--to", str(self.end), *arguments, **where)


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Made once; the tests add reports to it and nothing else."""
    start = int(time.time()) - 7200
    history = History(tmp_path_factory.mktemp("history"))
    with surroundings(tmp_path_factory.mktemp("story")) as around:
        back = int(handled(around, start) - start)
        history.write(list(happened(start, back)))
        history.record(start, start + SECONDS)
        with history.running() as prometheus, process(around) as receiver:
            yield Story(around, receiver, prometheus, start, back)
