"""SIGKILL before and after every durable write and every call to somebody else, then again in the recovery from it.

A row is a way through the state machine. It is run once while the receiver notes every place that it comes by; each
place is a cell, so that a new write cannot be forgotten. In each cell the receiver is killed at its place and started
again, and the invariants are checked. A recovery knows only what the crash left behind: where several cells leave the
same, one of them is crashed once more, at every place of its recovery that leaves something else than the one before.
Some cells are run against the local model server.

A hole is a cell that could not be run: the place was not reached, three times, or the time was over. Prints a table,
and one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._local_server import REAL, local_server, with_real_models  # noqa: E402 - beside us
from bench._report import Measured, report  # noqa: E402
from bench._stack import say  # noqa: E402
from tests.fakes.crash_rows import ROWS, cells, changes  # noqa: E402
from tests.fakes.crashing import Outcome, RecordingServing, Row, proven_journal, run  # noqa: E402
from tests.fakes.nursery import Nursery, nursery  # noqa: E402

Cell = tuple[str, ...]


@dataclass
class Matrix:
    """Runs cells side by side and counts."""

    folder: Path
    children: Nursery
    proven: Path
    pool: ThreadPoolExecutor
    until: float
    server: RecordingServing | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def row(self, row: Row, again: int) -> None:
        """All its cells; of the second crashes at most `again`, spread over them."""
        whole = self._one(row, ())
        if whole is None or whole.violations:
            self._count(row, "violations", (), whole.violations if whole else ())
            return
        first = [(cell,) for cell in cells(whole.reached)]
        outcomes = list(zip(first, self._all(row, first, "one crash"), strict=True))
        outcomes.sort(
            key=lambda each: each[0][0].rpartition("|")[2].startswith("hand: ")
        )  # the worker's crashes leave the same every time
        by_left = {outcome.left: (cell, outcome) for cell, outcome in outcomes if outcome}
        second = [
            (*cell, then) for cell, outcome in by_left.values() for then in cells(outcome.reached) if changes(then)
        ]
        if len(second) > again:
            second = second[:: -(-len(second) // again)] if again else []
        self._all(row, second, "two crashes")
        say(f"{row.name}: {len(first)} cells, {len(by_left)} things left behind, {len(second)} cells in recovery")

    def sample(self, row: Row, count: int) -> None:
        """Some of its first crashes, spread over them."""
        whole = self._one(row, ())
        if whole is None or whole.violations:
            self._count(row, "violations", (), whole.violations if whole else ("could not be run",))
            return
        found = [(cell,) for cell in cells(whole.reached) if changes(cell)]
        self._all(row, found[:: -(-len(found) // count)], "one crash")

    def _all(self, row: Row, all_of: Sequence[Cell], kind: str) -> list[Outcome | None]:
        found = list(self.pool.map(lambda cell: self._one(row, cell), all_of))
        for cell, outcome in zip(all_of, found, strict=True):
            self.counts[row.name, kind] += 1
            if outcome is None:
                self._count(row, "holes", cell, ("not reached",))
            elif outcome.violations:
                self._count(row, "violations", cell, outcome.violations)
        return found

    def _count(self, row: Row, what: str, cell: Cell, why: Iterable[str]) -> None:
        self.counts[row.name, what] += 1
        where = " THEN ".join(place.rpartition("|")[2] for place in cell)
        after = cell[-1].split("|")[-2:-1] if cell else []
        self.said.append(f"{what}: {row.name}: {where} (after {after}): {'; '.join(why)}")
        say(self.said[-1])

    def _one(self, row: Row, cell: Cell) -> Outcome | None:
        """What came of it; None when it could not be run."""
        for attempt in itertools.count():
            if time.monotonic() > self.until:
                return None
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            outcome = run(row, cell, folder, self.children, self.proven, self.server)
            if outcome.violations:
                return outcome  # and the folder stays
            shutil.rmtree(folder)
            if all(outcome.crashed):
                return outcome
            if attempt == 4:
                return None
            there = [place for place in cells(outcome.reached) if changes(place)]
            if len(cell) == 2 and outcome.crashed[0] and there:
                cell = (cell[0], there[attempt % len(there)])  # threads came in another order, so it recovers otherwise
        return None


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rows", nargs="*", choices=[*ROWS, []], default=list(ROWS), help="all without it")
    options.add_argument("--again", type=int, default=24, help="at most so many second crashes in a row")
    options.add_argument("--seconds", type=float, default=1800.0, help="after these, what is left is a hole")
    options.add_argument("--beside", type=int, default=10, help="cells side by side; most of the time they wait")
    options.add_argument("--real", type=int, default=6, help="cells against the local model server")
    options.add_argument("--keep", type=Path, help="where the folders of cells with violations stay")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="airbag-crash-") as scratch, nursery() as children:
        folder = chosen.keep or Path(scratch)
        proven = proven_journal(Path(scratch) / "proven")
        with ThreadPoolExecutor(chosen.beside) as pool:
            matrix = Matrix(folder, children, proven, pool, time.monotonic() + chosen.seconds)
            for name in chosen.rows:
                matrix.row(ROWS[name], chosen.again)
        names = list(chosen.rows)
        if chosen.real:
            with local_server(Path(scratch)) as server, ThreadPoolExecutor(1) as alone:
                matrix.pool, matrix.server = alone, server
                matrix.sample(with_real_models(ROWS["alert"], server), chosen.real)
            names.append(REAL)
    kinds = ("one crash", "two crashes", "holes", "violations")
    print(f"{'row':<14}" + "".join(f"{kind:>13}" for kind in kinds), file=sys.stderr)
    for name in names:
        print(f"{name:<14}" + "".join(f"{matrix.counts[name, kind]:>13}" for kind in kinds), file=sys.stderr)

    def total(*of: str) -> float:
        return float(sum(matrix.counts[name, kind] for name in names for kind in of))

    report(
        "crash_matrix",
        {
            "cells": Measured(total("one crash", "two crashes"), "cells", better="higher"),
            "holes": Measured(total("holes"), "cells", 0),
            "violations": Measured(total("violations"), "cells", 0),
        },
    )


if __name__ == "__main__":
    main()
