"""A day's load in small: ten minutes at 500 requests a second, a bad release every minute, and nothing may be lost.

The whole stack of `airbag up` with its own files: the local model server with real SavedModels, real requests over
gRPC, a prediction and later a label for every answer, the exporters, Prometheus, Alertmanager and the receiver. Only
the guards that would hold back the next fault of the same model are off. Prints one JSON object as its last line.

What is counted at the end: every row that the quality exporter answered with 202 against what its page shows; every
alert that Prometheus saw firing for the machine against the deliveries in the receiver's journal; a rollback and a
message to people for every fault; the audit against itself and against the heads that Prometheus scraped. Memory of
each of Airbag's processes is its median in the last quarter against the second one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402
import requests  # noqa: E402
import yaml  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from airbag.serving.groups import load_servings  # noqa: E402
from airbag_demo import stack as stacks  # noqa: E402
from airbag_demo.observations import Outcome  # noqa: E402
from airbag_demo.ports import free_ports  # noqa: E402
from airbag_demo.processes import Processes  # noqa: E402
from airbag_demo.releases import MODEL, publish, trained  # noqa: E402
from airbag_demo.stack import Stack  # noqa: E402
from airbag_demo.story import LABEL_DELAY, TERMINAL, actions, fill_store, proven, release  # noqa: E402
from airbag_demo.traffic import Reports, Rows, Traffic  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us
from bench._stack import say  # noqa: E402
from tests.fakes.wait import until  # noqa: E402

FIRST_BAD = 3
OURS = ("serving-exporter", "quality-exporter", "host-exporter", "receiver")
KINDS = ("accuracy", "errors", "load")
SAMPLE_EVERY = 2.0
REMEMBERED = 60_000
"""Predictions, two minutes of them: what the quality exporter may remember is full long before its memory is measured.

By default it is a million, for about 80 bytes each, which ten minutes do not fill.
"""


class Memory(threading.Thread):
    """Samples what each of our processes holds, in MiB, until it is told to end."""

    def __init__(self, processes: Processes) -> None:
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self._processes = processes
        self._samples: dict[str, list[float]] = {name: [] for name in OURS}

    def run(self) -> None:
        while not self.ending.wait(SAMPLE_EVERY):
            for name in OURS:
                rss = psutil.Process(self._processes.pid(name)).memory_info().rss
                self._samples[name].append(rss / 2**20)

    def growth(self, name: str) -> tuple[float, float]:
        """Median MiB in the second and in the last quarter of the time."""
        values = self._samples[name]
        quarter = len(values) // 4
        return statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])


@dataclass(frozen=True)
class Lost:
    """What came in, and what of it cannot be found again."""

    accepted: int
    events: int
    alerts: list[str]
    faults: list[str]
    untold: list[str]
    audit: str


@contextmanager
def running() -> Iterator[tuple[Stack, Path, Processes]]:
    """The stack with versions 1 and 2 in service."""
    releases = trained(ROOT, say)
    with tempfile.TemporaryDirectory(prefix="airbag-soak-") as folder, free_ports() as ports:
        stack = Stack(ROOT, Path(folder), ports)
        stack.prepare()
        policy = stack.file("alertmanager/policy.yml")
        document = yaml.safe_load(policy.read_text())
        document["guards"] = {"cool_down": "0s", "budget": None, "breaker": None}
        policy.write_text(yaml.safe_dump(document, sort_keys=False))
        exporters = stack.file("exporters/exporters.yml")
        document = yaml.safe_load(exporters.read_text())
        document["quality"]["pending_max"] = REMEMBERED
        exporters.write_text(yaml.safe_dump(document, sort_keys=False))
        fill_store(stack, releases)
        with stacks.running(stack) as processes:
            yield stack, releases, processes


def break_it(stack: Stack, releases: Path, seconds: float, every: float) -> list[int]:
    """Release a bad version at the beginning of each interval, and wait for what becomes of it; the versions."""
    until(lambda: proven(stack), timeout=120, every=0.5, what="the proof of the good version")
    began, versions = time.monotonic(), []
    for number, kind in zip(itertools.count(), itertools.cycle(KINDS)):
        due = began + number * every
        if due + every > began + seconds:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        version = FIRST_BAD + number
        publish(releases / "faults" / kind, stack.store / MODEL, version)
        release(stack, version)
        versions.append(version)
        wait_for_end(stack, version)
        for each in mine(stack, version):
            took = f"{time.monotonic() - due:.1f} s after its release began"
            say(f"version {version}, {kind}: {each['state']} {took}: {each['text']}")
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    return versions


def wait_for_end(stack: Stack, version: int) -> None:
    """Until the receiver has done what it does about that version."""
    until(lambda: ended(stack, version), timeout=120, every=0.5, what=f"the end of version {version}")


def mine(stack: Stack, version: int) -> list[dict[str, Any]]:  # Any: JSON
    """The receiver's actions against that version."""
    return [each for each in actions(stack) if each["bad_version"] == version]


def ended(stack: Stack, version: int) -> bool:
    """Whether there is an action against that version, and none that is open."""
    found = mine(stack, version)
    return any(each["state"] != "SUPPRESSED" for each in found) and all(each["state"] in TERMINAL for each in found)


def compare(stack: Stack, versions: list[int], accepted: int) -> Lost:
    """Look for everything that came in."""
    messages = requests.get(stack.url("people") + "/messages", timeout=30).json()
    told = {each["labels"].get("model_version") for each in messages
            if each["labels"]["alertname"] == "AirbagRollbackSucceeded"}  # fmt: skip
    fired, delivered = firing(stack), deliveries(stack)
    return Lost(
        accepted,
        accepted - counted(stack),
        sorted(" ".join(each) for each in fired - delivered),
        [str(each) for each in versions if [one["state"] for one in mine(stack, each)].count("SUCCEEDED") != 1],
        [str(each) for each in versions if str(each) not in told],
        verified(stack),
    )


def counted(stack: Stack) -> int:
    """Predictions and labels on the quality exporter's page, whatever became of the labels."""
    page = requests.get(stack.url("quality-exporter") + "/metrics", timeout=30).text
    return int(
        sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name in ("airbag_quality_predictions_total", "airbag_quality_labels_total")
            and sample.labels.get("result") != "expired"
        )
    )


def firing(stack: Stack) -> set[tuple[str, str]]:
    """Alert and version of everything that Prometheus saw firing for the machine."""
    query = 'max_over_time(ALERTS{airbag_action="rollback",alertstate="firing",model_version!=""}[2h])'
    answer = requests.get(f"{stack.url('prometheus')}/api/v1/query", {"query": query}, timeout=30).json()
    return {(each["metric"]["alertname"], each["metric"]["model_version"]) for each in answer["data"]["result"]}


def deliveries(stack: Stack) -> set[tuple[str, str]]:
    """Alert and version of everything in the receiver's journal."""
    journal = stack.run / "airbag" / "journal.sqlite"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as connection:
        bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM deliveries")]
    return {
        (alert["labels"]["alertname"], alert["labels"].get("model_version", ""))
        for body in bodies
        for alert in body["alerts"]
    }


def verified(stack: Stack) -> str:
    """What `airbag audit verify` has against the audit; "" for nothing."""
    policy = f"--config.file={stack.file('alertmanager/policy.yml')}"
    done = subprocess.run(
        [sys.executable, "-m", "airbag", "audit", "verify", policy], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    say(done.stdout.strip())
    return "" if done.returncode == 0 else done.stdout + done.stderr


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument("--rate", type=float, default=500.0, help="requests a second")
    options.add_argument("--every", type=float, default=60.0, help="seconds between two bad releases")
    chosen = options.parse_args()
    with running() as (stack, releases, processes):
        [group] = load_servings(stack.file("exporters/exporters.yml")).servings
        reports = Reports(stack.url("quality-exporter"), LABEL_DELAY)
        client = Traffic(
            stack.endpoint, Rows.read(releases / "held_out.npz"), reports, rate=chosen.rate,
            latency_bound=group.models[0].expect.latency_bound,
        )  # fmt: skip
        memory = Memory(processes)
        with client:
            memory.start()
            versions = break_it(stack, releases, chosen.seconds, chosen.every)
            memory.ending.set()
        memory.join()
        stats = reports.stats()
        until(lambda: not [each for each in actions(stack) if each["state"] not in TERMINAL],
              timeout=120, what="the end of every action")  # fmt: skip
        lost = compare(stack, versions, stats.accepted)
    answers = client.seen.all()
    took = max(each.done_at for each in answers) - min(each.sent_at for each in answers)
    for what, found in (("alerts", lost.alerts), ("versions without a rollback", lost.faults),
                        ("versions that people were not told of", lost.untold), ("audit", lost.audit)):  # fmt: skip
        if found:
            print(f"lost {what}: {found}")
    print(f"rows dropped by the client: {dict(stats.dropped) or 'none'}; sent again: {stats.retried} requests")
    metrics = {
        "requests": Measured(len(answers), "requests"),
        "rate": Measured(len(answers) / took, "requests/s", 0.98 * chosen.rate, "higher"),
        "requests_lost": Measured(sum(each.outcome is Outcome.LOST for each in answers), "requests", 0.0),
        "events_accepted": Measured(lost.accepted, "rows"),
        "events_lost": Measured(abs(lost.events), "rows", 0.0),
        "faults": Measured(len(versions), "releases", chosen.seconds // chosen.every, "higher"),
        "faults_not_rolled_back": Measured(len(lost.faults), "releases", 0.0),
        "outcomes_not_told": Measured(len(lost.untold), "releases", 0.0),
        "alerts_lost": Measured(len(lost.alerts), "alerts", 0.0),
        "audit_wrong": Measured(bool(lost.audit), "audits", 0.0),
    }
    for name in OURS:
        before, after = memory.growth(name)
        say(f"{name}: {before:.1f} MiB in the second quarter, {after:.1f} MiB in the last")
        metrics[f"{name.replace('-', '_')}_growth"] = Measured(after / before, "ratio", 1.05)
    report("soak", metrics)


if __name__ == "__main__":
    main()
