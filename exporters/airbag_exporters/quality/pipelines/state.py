"""The counters of all pipelines: a value that is replaced, never changed, and that lies in the ledger as one block."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterable, Mapping

import msgspec

from airbag_exporters.quality.pipelines.runs import STATUSES, Counted

log = logging.getLogger("airbag.quality.pipelines")

BLOCK = "pipelines"
"""What the block is called in the ledger."""

BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""Upper edges of the durations in seconds; one more bucket has no edge."""


class PipelineState(msgspec.Struct, frozen=True):
    """One pipeline. `tasks` counts by task, in the order of STATUSES; `durations` by bucket, not cumulative.

    The timestamps are seconds since the epoch, None until there is one.
    """

    tasks: dict[str, tuple[int, int, int]] = {}
    rows: int = 0
    log_errors: int = 0
    durations: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    seconds: float = 0.0
    last_sync: float | None = None
    last_run: float | None = None

    def plus(self, run: Counted) -> PipelineState:
        """With one more run. The timestamps never go back, whatever the order in which runs are reported."""
        counts = list(self.tasks.get(run.task, (0, 0, 0)))
        counts[STATUSES.index(run.status)] += 1
        whole = run.task == "" and run.status != "skipped"
        return PipelineState(
            tasks={**self.tasks, run.task: (counts[0], counts[1], counts[2])},
            rows=self.rows + run.rows,
            log_errors=self.log_errors + run.log_errors,
            durations=_one_more(self.durations, run.seconds) if whole else self.durations,
            seconds=self.seconds + (run.seconds if whole else 0.0),
            last_sync=_later(self.last_sync, run.synced_until),
            last_run=_later(self.last_run, run.ended),
        )


class State(msgspec.Struct, frozen=True):
    """All pipelines by name, `other` among them once it has runs."""

    pipelines: dict[str, PipelineState] = {}

    def to_bytes(self) -> bytes:
        """For the ledger."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """What `to_bytes` gave. Bytes of another shape are given up: the counters start anew, as after a reset."""
        try:
            state = msgspec.msgpack.decode(data, type=cls)
        except msgspec.DecodeError as error:
            log.warning("kept counters of pipelines cannot be read, they start anew", extra={"reason": str(error)})
            return cls()
        known = {name: each for name, each in state.pipelines.items() if len(each.durations) == len(BUCKETS) + 1}
        return cls(known)


def count_runs(state: State, rows: Iterable[Counted]) -> State:
    """With these runs counted; which of a batch are new is for the ledger to say."""
    pipelines: Mapping[str, PipelineState] = state.pipelines
    changed: dict[str, PipelineState] = {}
    for row in rows:
        before = changed.get(row.pipeline) or pipelines.get(row.pipeline) or PipelineState()
        changed[row.pipeline] = before.plus(row)
    return State({**pipelines, **changed})


def _one_more(durations: tuple[int, ...], seconds: float) -> tuple[int, ...]:
    bucket = bisect.bisect_left(BUCKETS, seconds)  # an edge belongs to the bucket below it
    return (*durations[:bucket], durations[bucket] + 1, *durations[bucket + 1 :])


def _later(one: float | None, other: float | None) -> float | None:
    return max((at for at in (one, other) if at is not None), default=None)
