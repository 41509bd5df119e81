"""From the first bad response of a release to the first good one: real exporter, Prometheus, Alertmanager and receiver.

Prints the stages, and one JSON object as its last line. Several models at once get bad releases at random moments;
the server follows a reload at its next look, once a second, as TensorFlow Serving does. The server, its models and its
requests are a fake that speaks the real protocols: 50 requests a second a model, counted as the real one counts them.

The lanes: `fast` and `relaxed` are the two profiles of the rules, with total failure. `direct` is the fast profile with
golden requests and the exporter's own alerts; half of its releases answer with errors, half cannot be loaded, which
counts from the failed load to the server that stands on the configuration without it.

A percentile is the nearest rank: of 60 faults the 99th percentile is the slowest one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402

from airbag.config import parse_duration  # noqa: E402
from airbag.rules import PROFILES  # noqa: E402
from airbag_demo.stack import Stack  # noqa: E402
from bench._releases import Fault, ReleaseServer  # noqa: E402 - beside us
from bench._report import Measured, report  # noqa: E402
from bench._server import Model  # noqa: E402
from bench._stack import Running, running, say  # noqa: E402
from tests.fakes.wait import until  # noqa: E402

RATE = 50.0
PROGRAMS = ("serving-exporter", "receiver", "alertmanager", "prometheus")
STAGES = ("scraped", "received", "decided", "armed", "acted", "good")
BY_RECEIVER = {"received": "received_at", "decided": "decided_at", "armed": "armed_at", "acted": "acted_at"}


@dataclass(frozen=True)
class Lane:
    """`models` at once, each released `times` in a stack, within `spread` seconds. `target` is in seconds by share."""

    profile: str
    kinds: tuple[str, ...]
    spread: float
    deadline: float
    targets: Mapping[int, float]
    models: int = 10
    times: int = 2


LANES = {
    "fast": Lane("fast", ("errors",), 20.0, 40.0, {50: 5.0, 99: 8.0}),
    "relaxed": Lane("relaxed", ("errors",), 40.0, 90.0, {99: 20.0}),
    "direct": Lane("fast", ("errors", "load"), 20.0, 40.0, {99: 3.0}),
}


@dataclass
class Repetition:
    """One fault, and when it reached each stage, in epoch seconds; a stage that it never reached is missing."""

    fault: Fault
    deadline: float
    reached: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first bad response to the first good one; the deadline when that did not come by then."""
        return self.deadline if self.fault.good_at is None else self.fault.good_at - self.began

    @property
    def began(self) -> float:
        """When the first response was bad, epoch seconds."""
        return self.fault.bad_at or self.fault.released_at


def one_stack(lane: Lane, name: str) -> list[Repetition]:
    """Start, let the good version prove itself, release bad ones, and ask everybody how it went."""
    models = [Model(f"model-{number}", lambda _: RATE) for number in range(lane.models)]
    direct = name == "direct"
    with tempfile.TemporaryDirectory(prefix="airbag-store-") as store:
        server = ReleaseServer(models, Path(store))
        server.start()
        golden = Path(store) / "golden.json"
        golden.write_text(json.dumps({"requests": [
            {"name": "one", "inputs": {"x": [1.0]}, "expect": {"x": {"values": [1.0]}}}
        ]}))  # fmt: skip
        for path in Path(store).rglob("*"):  # versions that were copied long ago
            os.utime(path, (time.time() - 3600,) * 2)
        asked: dict[str, Any] = {"golden": {"file": str(golden), "interval": "30s"}} if direct else {}
        entries = [{"name": model.name, **asked} for model in models]
        try:
            with running(
                server, entries, PROGRAMS, lane.profile, lambda stack: _change(stack, direct=direct), server.config
            ) as here:
                wait_for_proof(here, lane)
                found = [each for _ in range(lane.times) for each in break_all(here, server, lane)]
                time.sleep(2 * parse_duration(PROFILES[lane.profile].interval))
                for each in found:
                    see_stages(here, each, direct=direct)
                return found
        finally:
            server.stop()


def _change(stack: Stack, *, direct: bool) -> None:
    """No guard holds back the next fault of the same model; all else is as it is shipped."""
    policy = stack.file("alertmanager/policy.yml")
    document = yaml.safe_load(policy.read_text())
    document["guards"] = {"cool_down": "0s", "budget": None, "breaker": None}
    policy.write_text(yaml.safe_dump(document, sort_keys=False))
    if direct:
        exporters = stack.file("exporters/exporters.yml")
        document = yaml.safe_load(exporters.read_text())
        document["alerts"] = {"alertmanager_urls": [stack.url("alertmanager")]}
        exporters.write_text(yaml.safe_dump(document, sort_keys=False))


def wait_for_proof(here: Running, lane: Lane) -> None:
    """Until the good versions have served for as long as a target must, and the rules have seen full windows."""
    pace = PROFILES[lane.profile]
    record = f"model_version:airbag_tfs_requests:increase{pace.window}"
    enough = parse_duration(pace.window) + 2 * parse_duration(pace.interval)
    until(lambda: len(here.stored(record, 10)) == lane.models, timeout=120, every=0.5, what="judged models")
    until(lambda: _rows(here, "SELECT 1 FROM ledger"), timeout=60, every=0.5, what="the ledger")
    time.sleep(max(enough, 15.0))


def break_all(here: Running, server: ReleaseServer, lane: Lane) -> list[Repetition]:
    """Every model gets its bad release at its moment; until all came back and their rollbacks ended."""
    chance = random.SystemRandom()
    begun = time.monotonic()
    kinds = itertools.cycle(lane.kinds)
    moments = sorted((chance.uniform(0, lane.spread), name, next(kinds)) for name in server.models)
    faults = []
    for after, name, kind in moments:
        time.sleep(max(0.0, begun + after - time.monotonic()))
        faults.append(server.release(name, kind))
    end = time.monotonic() + lane.deadline
    while time.monotonic() < end and not all(each.good_at for each in faults):
        time.sleep(0.05)
    still = "SELECT 1 FROM actions WHERE json_extract(document, '$.ended_at') IS NULL"
    until(lambda: not _rows(here, still), timeout=120, every=0.5, what="the end of every rollback")
    return [Repetition(each, lane.deadline) for each in faults if each.bad_at]


def see_stages(here: Running, of: Repetition, *, direct: bool) -> None:
    """When the fault reached each stage, by the clocks of the server, of Prometheus and of the receiver."""
    fault = of.fault
    if fault.good_at is not None:
        of.reached["good"] = fault.good_at
    label = f'model_name="{fault.model}",model_version="{fault.version}"'
    shown, good = f'airbag_tfs_requests_total{{status="INTERNAL",{label}}}', 0.0
    if fault.kind == "load":
        shown = f"airbag_tfs_model_version_error{{{label}}}"
    elif direct:
        shown, good = f"airbag_tfs_probe_success{{{label}}}", 1.0
    since = time.time() - of.began + 5
    moments = [at for _, samples in here.stored(shown, since) for at, value in samples if value != good]
    if moments:
        of.reached["scraped"] = min(moments)
    rows = _rows(
        here, "SELECT document FROM actions WHERE model_name = ? AND json_extract(document, '$.bad_version') = ? "
        "AND json_extract(document, '$.armed_at') IS NOT NULL", fault.model, fault.version,
    )  # fmt: skip
    for (document,) in rows:
        action = json.loads(document)
        of.reached |= {stage: action[key] for stage, key in BY_RECEIVER.items() if action[key] is not None}


def _rows(here: Running, query: str, *values: object) -> list[tuple[Any, ...]]:
    journal = here.stack.run / "airbag" / "journal.sqlite"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as connection:
        return connection.execute(query, values).fetchall()


def percentile(of: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was measured."""
    return sorted(of)[max(1, math.ceil(share * len(of))) - 1]


def tell(name: str, kind: str, of: Sequence[Repetition]) -> None:
    """How long after the first bad response each stage was reached: median and longest."""
    came = sum(each.fault.good_at is not None for each in of)
    print(f"{name}, {kind}: {came} of {len(of)} releases were taken back")
    for stage in STAGES:
        took = [each.reached[stage] - each.began for each in of if stage in each.reached]
        if took:
            print(f"  {stage:<9} p50 {statistics.median(took):6.2f} s  p90 {percentile(took, 0.9):6.2f} s"
                  f"  longest {max(took):6.2f} s")  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--lanes", nargs="*", choices=list(LANES), default=list(LANES))
    options.add_argument("--faults", type=int, default=60, help="in each lane, at least")
    chosen = options.parse_args()
    metrics = {}
    for name in chosen.lanes:
        lane = LANES[name]
        stacks = math.ceil(chosen.faults / lane.models / lane.times)
        found: list[Repetition] = []
        for number in range(stacks):
            some = one_stack(lane, name)
            found += some
            say(f"{name} {number + 1}/{stacks}: {' '.join(f'{each.seconds:.2f}' for each in some)} s")
        for kind in lane.kinds:
            tell(name, kind, [each for each in found if each.fault.kind == kind])
        for share in (50, 90, 99):
            value = percentile([each.seconds for each in found], share / 100)
            metrics[f"{name}_p{share}_seconds"] = Measured(value, "s", lane.targets.get(share))
        metrics[f"{name}_faults"] = Measured(len(found), "faults", better="higher")
    report("fault_to_recovery", metrics)


if __name__ == "__main__":
    main()
