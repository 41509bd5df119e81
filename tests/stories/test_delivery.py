"""Whatever breaks between Prometheus and the receiver, an alert that is still true arrives within the bound of
docs/delivery.md: real binaries, shipped files and flags; only what stands at both ends is a fake."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests
import yaml

from airbag.errors import StartError
from airbag_demo.ports import free_ports
from airbag_demo.processes import Processes
from airbag_demo.stack import Stack
from tests.fakes.binaries import ROOT
from tests.fakes.faulty_model import FaultyModel, faulty_model
from tests.fakes.line import Line, Trouble, line
from tests.fakes.real_alertmanager import Alertmanager, alertmanager, configuration
from tests.fakes.wait import until

PAGE = ROOT / "docs" / "delivery.md"
ROW = re.compile(r"(?m)^\| ([^|]+) \| [^|]+ \| (\d+) s \| \d+ s \| [^|]+ \|$")
BOUNDS = {name: float(seconds) for name, seconds in ROW.findall(PAGE.read_text())}
ALERT = "AirbagErrorRatioHigh"


@dataclass
class Way:
    """One Alertmanager between Prometheus and the receiver, with the hop that breaks and when it was whole again."""

    alertmanager: Alertmanager
    to_receiver: Line
    to_alertmanager: Line | None = None
    since: float = 0.0
    before: int = 0

    def arrivals(self) -> list[float]:
        """When the alert came to the receiver."""
        return _with_alert(self.to_receiver.arrived)

    def losses(self) -> list[float]:
        """When the hop that breaks lost the alert, or its answer."""
        return _with_alert((self.to_alertmanager or self.to_receiver).broken)

    def whole(self) -> None:
        """From now on nothing breaks here; what arrived before does not count."""
        self.before = len(self.arrivals())
        (self.to_alertmanager or self.to_receiver).trouble = Trouble.NONE
        self.since = time.monotonic()

    def took(self) -> float | None:
        """Seconds from then to the next arrival."""
        later = self.arrivals()[self.before :]
        return later[0] - self.since if later else None


def _with_alert(posts: list[tuple[float, bytes]]) -> list[float]:
    return [at for at, body in list(posts) if f'"{ALERT}"' in body.decode()]


@dataclass
class Place:
    """Builds the ways and the Prometheus servers of a test."""

    folder: Path
    held: ExitStack
    processes: Processes
    people: Line
    ways: dict[str, Way] = field(default_factory=dict)

    def way(self, name: str, receiver: Trouble = Trouble.NONE, post: Trouble = Trouble.NONE) -> str:
        """A started Alertmanager; where Prometheus has to post for that way."""
        number = len(self.ways)
        folder = self.folder / f"way-{number}"
        folder.mkdir()
        to_receiver = self.held.enter_context(line(trouble=receiver))
        tokens = {"receiver:9815": to_receiver.address, "people:9820": self.people.address}
        found = alertmanager(configuration(folder, tokens), name=f"alertmanager-{number}")
        self.processes.start(found.program)
        address = found.url.removeprefix("http://")
        hop = self.held.enter_context(line(address, post)) if post is not Trouble.NONE else None
        self.ways[name] = Way(found, to_receiver, hop)
        return hop.address if hop else address

    def prometheus(self, name: str, model: FaultyModel, alertmanagers: list[str]) -> Callable[[str], bool]:
        """A started Prometheus with the stack's own flags; a question to it: does an instant query find anything?"""
        ports = self.held.enter_context(free_ports()) | {"serving-exporter": model.port}
        stack = Stack(ROOT, self.folder / name, ports)
        stack.prepare()
        targets = stack.file("prometheus/targets") / "alertmanager.yml"
        targets.write_text(yaml.safe_dump([{"targets": alertmanagers}]))
        [program] = [each for each in stack.programs() if each.name == "prometheus"]
        self.processes.start(replace(program, name=name))

        def finds(query: str) -> bool:
            answer = requests.get(stack.url("prometheus") + "/api/v1/query", {"query": query}, timeout=5)
            return bool(answer.json()["data"]["result"])

        return finds

    def stop(self, name: str) -> None:
        """SIGTERM, and wait for the end."""
        os.kill(self.processes.pid(name), signal.SIGTERM)

        def ended() -> bool:
            with suppress(StartError):
                self.processes.check()
                return False
            return True

        until(ended, timeout=30, what=f"the end of {name}")

    def restart(self, name: str, way: Way) -> None:
        """Start a process again that was stopped or killed; the way is whole from here on."""
        way.whole()
        self.processes.restart(name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as held, Processes(tmp_path) as processes:
        people = held.enter_context(line())
        yield Place(tmp_path, held, processes, people)


@pytest.mark.story
def test_an_alert_that_is_still_true_arrives_within_the_documented_bound_whatever_breaks(place: Place) -> None:
    ways = place.ways
    with faulty_model() as model:
        addresses = [
            place.way("nothing"),
            place.way("the receiver answers 503", Trouble.REFUSED),
            place.way("the receiver cuts the connection", Trouble.CUT),
            place.way("the receiver hangs", Trouble.HUNG),
            place.way("the receiver answers 200 and loses it", Trouble.SWALLOWED),
            place.way("Alertmanager is killed before it delivers", Trouble.REFUSED),
            place.way("Alertmanager is killed after it delivered, the answer is lost", Trouble.ANSWER_LOST),
            place.way("a post of Prometheus is cut", post=Trouble.CUT),
            place.way("a post of Prometheus is answered 200 and lost", post=Trouble.SWALLOWED),
        ]
        sees = [
            place.prometheus("prometheus", model, addresses),
            place.prometheus("stopped", model, [place.way("Prometheus is stopped", post=Trouble.CUT)]),
            place.prometheus("killed", model, [place.way("Prometheus is killed", post=Trouble.CUT)]),
        ]
        assert set(ways) == set(BOUNDS)
        place.processes.wait_ready()
        enough = 'model_version:airbag_tfs_requests:increase15s{model_version="3"} > 100'
        for asks in sees:
            until(lambda asks=asks: asks(enough), timeout=60, what="rules that have judged good traffic")  # type: ignore[misc]

        ways["nothing"].since = model.go_bad()
        for name, asks in zip(("stopped", "killed"), sees[1:], strict=True):
            seen = f'ALERTS{{alertname="{ALERT}"}}'
            until(lambda asks=asks, seen=seen: asks(seen), timeout=30, what=f"the fault at the one to be {name}")  # type: ignore[misc]
            place.stop(name) if name == "stopped" else place.processes.kill(name)
            place.restart(name, ways[f"Prometheus is {name}"])

        broken = {name: way for name, way in ways.items() if name != "nothing" and not way.since}
        until(lambda: all(way.losses() for way in broken.values()), timeout=30, what="the alert lost on every way")
        for name, way in broken.items():
            if name.startswith("Alertmanager is killed"):
                place.processes.kill(way.alertmanager.program.name)
                place.restart(way.alertmanager.program.name, way)
            else:
                way.whole()
        swallowed = ways["the receiver answers 200 and loses it"]
        swallowed.since = swallowed.losses()[0]

        def missing() -> list[str]:
            return [name for name, way in ways.items() if way.took() is None]

        late = max(BOUNDS.values()) + 30
        until(lambda: missing() == [], timeout=late, what="the alert on every way")
    took = {name: way.took() or 0.0 for name, way in ways.items()}
    print("\n".join(f"{seconds:6.1f} s of {BOUNDS[name]:.0f} s  {name}" for name, seconds in took.items()))
    assert {name: seconds for name, seconds in took.items() if seconds > BOUNDS[name]} == {}
    twice = ways["Alertmanager is killed after it delivered, the answer is lost"]
    assert twice.before >= 1
