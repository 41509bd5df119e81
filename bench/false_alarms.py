"""Whether clean traffic ever calls for a rollback: ten minutes through the real processes, each restarted on the way.

Prints what people were told, and one JSON object as its last line. Models differ in their rate, in honest errors and
slow answers below the thresholds, in labels whose accuracy is just above what is expected; some get new good versions.
All of it is drawn by chance. Meanwhile every process is ended and killed, one at a time, the server included. In the
end one model breaks, so that it is known that silence meant something.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag_exporters.quality.client import QualityClient  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us
from bench._server import BusyServer, Model, busy  # noqa: E402
from bench._sink import Told  # noqa: E402
from bench._stack import Running, running, say  # noqa: E402
from tests.fakes.tfs_wire import Status  # noqa: E402
from tests.fakes.wait import until  # noqa: E402

RATES = (0.1, 1.0, 3.0, 10.0, 100.0, 500.0)
TROUBLES = {"clean": (0.0, 0.0), "errors-1": (0.01, 0.0), "errors-3": (0.03, 0.0), "slow-3": (0.0, 0.03)}
"""Shares of errors and of slow answers; 5 % of either are allowed."""

ACCURACY, ACCURACY_MIN = 0.86, 0.85
LABEL_RATES = (1.0, 4.0, 20.0, 100.0)
RELEASED = tuple(f"released-{rate:g}" for rate in LABEL_RATES)
CLASSES = tuple("0123456789")
PROGRAMS = ("serving-exporter", "quality-exporter", "host-exporter", "receiver", "alertmanager", "prometheus")
CONTROL = "clean-at-100"
SETTLE = 20.0
EXPLAINED_FOR = 90.0
"""Seconds after a restart for which it explains what people are told."""

_AWAY = {"AirbagExporterDown", "AirbagExporterStale"}
EXPLAINS: Mapping[str, set[str]] = {
    "server": {
        "AirbagServingDown",
        "AirbagServingScrapePartFailed",
        "AirbagNoVersionAvailable",
        "AirbagServerRestarted",
    },
    "serving-exporter": _AWAY,
    "quality-exporter": _AWAY | {"AirbagLabelsDelayed"},
    "host-exporter": _AWAY,
    "receiver": _AWAY | {"AirbagNotificationsFailing", "AirbagAlertPathBroken"},
    "alertmanager": {"AirbagAlertmanagerDown", "AirbagNotificationsFailing", "AirbagAlertPathBroken"},
    "prometheus": {"AirbagAlertPathBroken", "AirbagRuleEvaluationLate"},
}
"""What people may rightly hear when a process was away."""

RIGHT = {"AirbagErrorBudgetBurn", "AirbagLatencyBudgetBurn", "AirbagDefaultVersionChanged"}
"""What people may rightly hear at any time: honest errors burn a budget, and releases change the version."""


def traffic() -> list[Model]:
    """Every model; the rates are in requests a second."""
    steady = [
        Model(f"{name}-at-{rate:g}", lambda _, rate=rate: rate, *shares)  # type: ignore[misc]
        for rate in RATES
        for name, shares in TROUBLES.items()
    ]
    return [
        *steady,
        Model("idle", lambda _: 0.0),
        Model("bursts", lambda at: 200.0 if at % 60 < 5 else 0.0, 0.02, 0.02),
        Model("short-bursts", lambda at: 50.0 if at % 20 < 1 else 0.2, 0.02, 0.02),
        Model("day-and-night", lambda at: 30.0 * (1 + math.sin(at / 20)), 0.02, 0.02),
        Model("steep-mornings", lambda at: 5.0 * (at % 100), 0.01, 0.01),
        *(Model(f"labelled-{rate:g}", lambda _: 50.0) for rate in LABEL_RATES),
        *(Model(name, lambda _: 50.0, 0.01, 0.01) for name in RELEASED),
    ]


def entries(models: Sequence[Model]) -> list[dict[str, Any]]:
    """For exporters.yml."""
    expect = {"accuracy_min": ACCURACY_MIN}
    return [
        {"name": each.name, "classes": list(CLASSES), "expect": expect}
        if _has_labels(each.name)
        else {"name": each.name}
        for each in models
    ]


def _has_labels(name: str) -> bool:
    return name.startswith(("labelled-", "released-"))


class Labels:
    """Tells the quality exporter what every model with labels answers, and a second later what was true."""

    def __init__(self, url: str, server: BusyServer) -> None:
        self._client = QualityClient(url, interval=0.2, backoff=(0.1, 1.0))
        self._server = server
        self._chance = np.random.default_rng()
        self._due: deque[tuple[float, str, str]] = deque()

    def tell(self, seconds: float) -> None:
        """What was answered in the last `seconds`, and the labels whose time has come."""
        for name in self._server.models:
            if _has_labels(name):
                self._answers(name, float(name.rpartition("-")[2]) * seconds)
        while self._due and self._due[0][0] <= time.monotonic():
            _, identity, actual = self._due.popleft()
            self._client.labelled(identity, actual)

    def close(self) -> None:
        """Without what is not sent yet."""
        self._client.close(timeout=2.0)

    def _answers(self, model: str, expected: float) -> None:
        for _ in range(self._chance.poisson(expected)):
            actual, wrong = self._chance.choice(CLASSES, size=2, replace=False)
            predicted = actual if self._chance.random() < ACCURACY else wrong
            identity = self._client.predicted(model, self._server.answering(model), str(predicted), score=0.9)
            self._due.append((time.monotonic() + 1, identity, str(actual)))


@contextmanager
def repeated(every: float, what: Callable[[float], None]) -> Iterator[None]:
    """Call `what` again and again on a thread, with the seconds since the last time."""
    ended = threading.Event()

    def run() -> None:
        last = time.monotonic()
        while not ended.wait(every):
            now = time.monotonic()
            what(now - last)
            last = now

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def release(server: BusyServer, name: str) -> None:
    """A new good version takes over, as TF Serving does it."""
    old = server.answering(name)
    gone = dict.fromkeys(range(1, old), Status.END)
    for states, seconds in (
        ({old: Status.AVAILABLE, old + 1: Status.LOADING}, 2.0),
        ({old: Status.AVAILABLE, old + 1: Status.AVAILABLE}, 0.2),
        ({old: Status.UNLOADING, old + 1: Status.AVAILABLE}, 0.3),
        ({old: Status.END, old + 1: Status.AVAILABLE}, 0.0),
    ):
        server.show(name, gone | states)
        time.sleep(seconds)


@dataclass(frozen=True)
class Restart:
    """One process that was away for a while; epoch seconds."""

    what: str
    down: float
    up: float

    def explains(self, name: str, began: float) -> bool:
        """Whether this is why an alert of that name began then."""
        return name in EXPLAINS[self.what] and self.down <= began <= self.up + EXPLAINED_FOR


def restart(here: Running, what: str, number: signal.Signals, away: float) -> Restart:
    """End one process and start it again `away` seconds later."""
    down = time.time()
    if what == "server":
        here.server.stop()
        time.sleep(away)
        here.server.start()
    else:
        pid = here.processes.pid(what)
        os.kill(pid, number)
        ended = lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # noqa: E731
        until(ended, timeout=30, what=f"the end of {what}")
        here.processes.kill(what)
        time.sleep(away)
        here.processes.restart(what)
    return Restart(what, down, time.time())


def play(here: Running, seconds: float) -> list[Restart]:
    """The whole time: releases on their own, restarts one after the other."""
    began = time.monotonic()
    plan = [(what, number) for number in (signal.SIGTERM, signal.SIGKILL) for what in (*PROGRAMS, "server")]
    each = (seconds - SETTLE) / (len(plan) + 1)
    turns = iter(RELEASED * 1000)
    chance = np.random.default_rng()
    restarts = []
    with repeated(max(5.0, seconds / 30), lambda _: release(here.server, next(turns))):
        for index, (what, number) in enumerate(plan):
            time.sleep(max(0.0, began + SETTLE + index * each - time.monotonic()))
            restarts.append(restart(here, what, number, chance.uniform(1, 5)))
            say(f"{what}, {number.name}: away for {restarts[-1].up - restarts[-1].down:.1f} s; "
                f"{len(calls(here.sink.told()))} rollback alerts so far")  # fmt: skip
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    return restarts


def calls(told: Sequence[Told]) -> dict[tuple[str, ...], Told]:
    """Every call for a rollback once, however often it was told."""
    return {
        (*sorted(each.labels.values()), each.body["startsAt"]): each
        for each in told
        if each.machine and "airbag_action" in each.labels
    }


def tell_what_people_heard(told: Sequence[Told], restarts: Sequence[Restart]) -> int:
    """Print what people were told by name; how many of these nothing explains."""
    explained: Counter[str] = Counter()
    left: dict[tuple[str, ...], Told] = {}
    for each in told:
        began = datetime.fromisoformat(each.body["startsAt"]).timestamp()
        if each.machine or each.name == "AirbagWatchdog" or "airbag_action" in each.labels:
            continue
        if each.name in RIGHT or any(one.explains(each.name, began) for one in restarts):
            explained[each.name] += 1
        else:
            left[(each.name, *sorted(each.labels.values()))] = each
    print("people were told of, rightly:", dict(explained) or "nothing")
    for each in left.values():
        print(f"people were told of, not explained: {dict(each.labels)}: {each.body['annotations'].get('description')}")
    return len(left)


def pending(here: Running, seconds: float) -> int:
    """Print which verdicts were true, if only for a moment; how many."""
    found = here.stored('ALERTS{airbag_action="rollback"}', seconds)
    for labels, samples in found:
        about = " ".join(labels.get(name, "") for name in ("alertname", "model_name", "model_version", "alertstate"))
        print(f"was {about}: {len(samples)} evaluations")
    return len(found)


def assert_it_would_be_heard(here: Running) -> None:
    """Break one model at last: SystemExit when that is not heard either, for then silence means nothing."""
    here.server.fail(CONTROL, 1.0)
    try:
        until(lambda: any(each.labels["model_name"] == CONTROL for each in calls(here.sink.told()).values()),
              timeout=60, every=0.2, what="the call for a rollback of a model that was broken on purpose")  # fmt: skip
    except AssertionError as error:
        raise SystemExit(str(error)) from error


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=600.0, help="of clean traffic")
    seconds = options.parse_args().seconds
    models = traffic()
    with busy(models) as server, running(server, entries(models), PROGRAMS) as here:
        labels = Labels(here.stack.url("quality-exporter"), server)
        with repeated(0.2, labels.tell):
            restarts = play(here, seconds)
        labels.close()
        told = here.sink.told()
        verdicts = pending(here, seconds + 60)
        assert_it_would_be_heard(here)
    found = calls(told)
    for each in found.values():
        about = " ".join(each.labels[label] for label in ("alertname", "model_name", "model_version"))
        print(f"a rollback was called for, {about}: {each.body['annotations']['description']}")
    report(
        "false_alarms",
        {
            "rollback_alerts": Measured(len(found), "alerts", 0.0),
            "passing_verdicts": Measured(verdicts, "series"),
            "unexplained_alerts": Measured(tell_what_people_heard(told, restarts), "alerts"),
            "models": Measured(len(models), "models"),
            "restarts": Measured(len(restarts), "restarts"),
        },
    )


if __name__ == "__main__":
    main()
