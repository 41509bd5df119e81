"""How long it takes from a fault to the webhook: real exporter, real Prometheus with the shipped rules, Alertmanager.

Prints the stages, and one JSON object as its last line. A repetition is one model whose answers turn into errors, all
of them or one in five, at a random moment after its window is full of good ones (50 requests/s). Prometheus' phases
hang on names of files and addresses of targets, so every round starts a new stack in a new folder on new ports; a round
has several models, whose faults are independent of each other. The profiles run side by side.

A percentile is the nearest rank: of 50 repetitions the 99th percentile is the slowest one. It is above the true 95th
percentile in 92 of 100 runs, and above the true 99th in 39.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag.config import parse_duration  # noqa: E402
from airbag.rules import PROFILES  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us
from bench._server import Model, busy  # noqa: E402
from bench._stack import Running, running, say  # noqa: E402
from tests.fakes.wait import until  # noqa: E402

RATE = 50.0
KINDS = {"total": 1.0, "partial": 0.2}
ALERT = "AirbagErrorRatioHigh"
STAGES = ("polled", "scraped", "pending", "firing", "webhook")


@dataclass(frozen=True)
class Lane:
    """The rounds of a profile. In each, `models` of each kind fail within `spread` seconds."""

    profile: str
    models: int
    spread: float
    deadline: float


LANES = (Lane("fast", 5, 5.0, 30.0), Lane("relaxed", 10, 20.0, 90.0))
TARGETS = {
    "fast_total_p99_seconds": 5.0,
    "fast_partial_p99_seconds": 10.0,
    # At worst poll 1 s, 5 % of the window 1.5 s, scrape 5 s, evaluation 5 s, hold 5 s, and 0.5 s for the way.
    "relaxed_total_p99_seconds": 23.0,
}


@dataclass(frozen=True)
class Repetition:
    """One fault, and when it reached each stage, in epoch seconds; a stage that it never reached is missing."""

    kind: str
    fault: float
    reached: Mapping[str, float]
    deadline: float

    @property
    def seconds(self) -> float:
        """From the fault to the webhook; the deadline when that was not called by then."""
        return self.reached["webhook"] - self.fault if "webhook" in self.reached else self.deadline


@dataclass(frozen=True)
class Round:
    """The repetitions of one stack, and where in its interval its Prometheus scrapes and evaluates, in seconds."""

    repetitions: Sequence[Repetition]
    phases: tuple[float, float]


def one_round(lane: Lane) -> Round:
    """Start, wait for full windows, break every model at its moment, and ask Prometheus how it went."""
    kinds = {f"{kind}-{number}": kind for kind in KINDS for number in range(lane.models)}
    models = [Model(name, lambda _: RATE) for name in kinds]
    programs = ("serving-exporter", "alertmanager", "prometheus")
    with busy(models) as server, running(server, [{"name": name} for name in kinds], programs, lane.profile) as here:
        wait_for_full_windows(here, lane, set(kinds))
        faults = break_all(here, kinds, lane.spread)
        last = max(faults.values())
        while time.time() < last + lane.deadline and len(told(here)) < len(kinds):
            time.sleep(0.1)
        time.sleep(2 * interval(lane))  # until Prometheus has stored all that it told
        seen = stages(here, faults)
        repetitions = [Repetition(kinds[name], at, seen[name], lane.deadline) for name, at in faults.items()]
        return Round(repetitions, phases(here, lane))


def interval(lane: Lane) -> float:
    """Seconds between two evaluations."""
    return parse_duration(PROFILES[lane.profile].interval)


def wait_for_full_windows(here: Running, lane: Lane, names: set[str]) -> None:
    """Until every version has been judged by the rules for as long as their window."""
    window = PROFILES[lane.profile].window
    record = f"model_version:airbag_tfs_requests:increase{window}"

    def full() -> bool:
        found = here.stored(record, parse_duration(window) + 2 * interval(lane))
        first = {labels["model_name"]: samples[0][0] for labels, samples in found}
        return first.keys() == names and time.time() - max(first.values()) > parse_duration(window)

    until(full, timeout=120, every=0.5, what="windows that are full of good answers")


def break_all(here: Running, kinds: Mapping[str, str], spread: float) -> dict[str, float]:
    """When each model's answers turned into errors."""
    chance = random.SystemRandom()
    begun, faults = time.monotonic(), {}
    for after, name in sorted((chance.uniform(0, spread), name) for name in kinds):
        time.sleep(max(0.0, begun + after - time.monotonic()))
        faults[name] = here.server.fail(name, KINDS[kinds[name]])
    return faults


def told(here: Running) -> dict[str, float]:
    """When the machine's webhook was first called about each model."""
    first: dict[str, float] = {}
    for each in here.sink.told():
        if each.machine and each.name == ALERT:
            first.setdefault(each.labels["model_name"], each.at)
    return first


def stages(here: Running, faults: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """When each model's fault reached each stage, by the clocks of the server, of Prometheus and of the sink."""
    since = time.time() - min(faults.values())
    seen: dict[str, dict[str, float]] = {name: {} for name in faults}
    for name, model in here.server.models.items():
        if model.first_error_shown_at:
            seen[name]["polled"] = model.first_error_shown_at
    selectors = {
        "scraped": 'airbag_tfs_requests_total{status="INTERNAL",model_version="1"}',
        "pending": f'ALERTS{{alertname="{ALERT}",alertstate="pending"}}',
        "firing": f'ALERTS{{alertname="{ALERT}",alertstate="firing"}}',
    }
    for stage, selector in selectors.items():
        for labels, samples in here.stored(selector, since):
            moments = [at for at, value in samples if value > 0 and at > faults[labels["model_name"]]]
            if moments:
                seen[labels["model_name"]][stage] = min(moments)
    for name, at in told(here).items():
        seen[name]["webhook"] = at
    return seen


def phases(here: Running, lane: Lane) -> tuple[float, float]:
    """Of the scrape and of the evaluation."""

    def of(selector: str) -> float:
        [(_, samples), *_] = here.stored(selector, 6 * interval(lane))
        return statistics.median(at % interval(lane) for at, _ in samples)

    window = PROFILES[lane.profile].window
    return of('up{job="airbag-serving"}'), of(f"model_version:airbag_tfs_requests:increase{window}")


def percentile(of: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was measured."""
    return sorted(of)[max(1, math.ceil(share * len(of))) - 1]


def run(lane: Lane, repetitions: int) -> list[Round]:
    """As many rounds as give so many repetitions of each kind."""
    rounds = math.ceil(repetitions / lane.models)
    found: list[Round] = []
    for number in range(rounds):
        found.append(one_round(lane))
        for kind in KINDS:
            took = [f"{each.seconds:.2f}" for each in found[-1].repetitions if each.kind == kind]
            say(f"{lane.profile} {number + 1}/{rounds}, {kind}: {' '.join(took)} s")
    return found


def tell_stages(lane: Lane, kind: str, of: Sequence[Repetition]) -> None:
    """How long each stage took, median and longest; without those that never came through."""
    whole = [each for each in of if each.reached.keys() >= set(STAGES)]
    came = sum("webhook" in each.reached for each in of)
    print(f"{lane.profile}, {kind}: {came} of {len(of)} faults reached the webhook")
    before = ("fault", *STAGES)
    for earlier, stage in zip(before, STAGES, strict=False):
        took = [each.reached[stage] - each.reached.get(earlier, each.fault) for each in whole]
        print(f"  {earlier:>7} to {stage:<7}  median {statistics.median(took):6.2f} s  longest {max(took):6.2f} s")
    p = {share: percentile([each.seconds for each in of], share) for share in (0.5, 0.9, 0.99)}
    print(f"  altogether          p50 {p[0.5]:.2f} s  p90 {p[0.9]:.2f} s  p99 {p[0.99]:.2f} s")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--repetitions", type=int, default=50, help="of each kind in each profile")
    repetitions = options.parse_args().repetitions
    with ThreadPoolExecutor(len(LANES)) as lanes:
        runs = [lanes.submit(run, lane, repetitions) for lane in LANES]
    metrics = {}
    for lane, each in zip(LANES, runs, strict=True):
        rounds = each.result()
        places = {tuple(round(phase, 2) for phase in one.phases) for one in rounds}
        print(f"{lane.profile}: {len(places)} different phases (scrape, evaluation): "
              + ", ".join(f"({scrape:.2f}, {evaluation:.2f})" for scrape, evaluation in sorted(places)))  # fmt: skip
        for kind in KINDS:
            of = [one for each_round in rounds for one in each_round.repetitions if one.kind == kind]
            tell_stages(lane, kind, of)
            for share in (50, 90, 99):
                name = f"{lane.profile}_{kind}_p{share}_seconds"
                metrics[name] = Measured(percentile([one.seconds for one in of], share / 100), "s", TARGETS.get(name))
    report("detection_latency", metrics)


if __name__ == "__main__":
    main()
