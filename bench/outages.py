"""One container killed, or one link cut, at each moment of a rollback: one rollback or a call to a person.

The shipped docker-compose.yml on a real engine, as in `make test-compose`. Every cell releases a bad version under
traffic, waits for its moment, kills a container (the engine starts it again) or drops every packet between two of them
until the cell is judged, and asks three things: how often models.config was changed after the release, how the
receiver's action ended, and what people were told. Prints each cell, and one JSON object as its last line.

Needs root and what `make test-compose` needs. About half a minute a cell; `--only` and `--moments` choose some.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import requests  # noqa: E402
import yaml  # noqa: E402

from airbag.serving.model_config import ModelConfigFile  # noqa: E402
from airbag_demo.ports import claim  # noqa: E402
from airbag_demo.releases import MODEL, found_in, publish  # noqa: E402
from airbag_demo.story import GOOD, TERMINAL, has_proof  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us
from bench._stack import say  # noqa: E402
from tests.compose.kit import engine, packages  # noqa: E402
from tests.compose.kit.images import Images  # noqa: E402
from tests.compose.kit.stack import DEMO, RELEASES, Stack, build  # noqa: E402
from tests.fakes.wait import until  # noqa: E402

USER = (10001, 10001)
CONTAINERS = (
    "tf-serving", "serving-exporter", "quality-exporter", "host-exporter", "receiver", "people", "alertmanager",
    "prometheus", "grafana",
)  # fmt: skip
LINKS = (
    ("serving-exporter", "tf-serving"), ("serving-exporter", "alertmanager"), ("prometheus", "serving-exporter"),
    ("prometheus", "quality-exporter"), ("prometheus", "host-exporter"), ("prometheus", "receiver"),
    ("prometheus", "alertmanager"), ("alertmanager", "receiver"), ("alertmanager", "people"),
    ("receiver", "prometheus"), ("receiver", "alertmanager"), ("receiver", "tf-serving"), ("grafana", "prometheus"),
    ("traffic", "quality-exporter"),
)  # fmt: skip
MOMENTS = {
    "released": (),
    "judged": ("RECEIVED", "EVALUATING", "BLOCKED", "PLANNED", "LEASED"),
    "touching": ("ARMED", "EXECUTING", "UNKNOWN"),
    "switching": ("VERIFY_MECHANISM",),
    "recovering": ("VERIFY_OUTCOME",),
}
"""When the outage begins: right after the release, or once the action is in one of these states or beyond."""

ORDER = [state for states in MOMENTS.values() for state in states]
JUDGED_WITHIN = 240.0
TOLD_WITHIN = 60.0
"""Seconds; after as long nobody waits any more for a rollback that a person was called for instead."""
_TRAFFIC = (
    "import signal; from pathlib import Path; from airbag_demo import story; from airbag_demo.place import Containers; "
    "from airbag_demo.releases import found_in\n"
    "with story.traffic(Containers(), found_in(Path('/releases'))): signal.pause()"
)


@dataclass(frozen=True)
class Outage:
    """What is done to the site while a rollback is under way."""

    name: str
    services: tuple[str, ...]

    @contextmanager
    def on(self, site: Site) -> Iterator[None]:
        """A container is killed, and nothing is to be taken back; a link is cut until the block ends."""
        if len(self.services) == 1:
            os.kill(site.pid(self.services[0]), signal.SIGKILL)
            yield
            return
        rules = site.rules_between(*self.services)
        for rule in rules:
            rule("-I")
        try:
            yield
        finally:
            for rule in rules:
                rule("-D")


@dataclass(frozen=True)
class Cell:
    """What became of one bad release. `seen` is the action's state when the outage began, as the receiver said it."""

    outage: str
    moment: str
    seen: str
    ended: str
    switches: int
    pages: tuple[str, ...]
    serves: int | None
    seconds: float

    @property
    def rolled_back(self) -> bool:
        """Whether the good version serves again after one change of the configuration."""
        return self.switches == 1 and self.serves == GOOD

    @property
    def wrong(self) -> str:
        """What should not have happened; "" for nothing."""
        if self.switches > 1:
            return f"{self.switches} changes of models.config"
        if not self.rolled_back and not self.pages:
            return "silence"
        return ""

    def __str__(self) -> str:
        how = "rolled back" if self.rolled_back else f"{self.switches} switches, serves {self.serves}"
        pages = f"; people were called: {', '.join(self.pages)}" if self.pages else ""
        wrong = f"  <-- {self.wrong}" if self.wrong else ""
        return (
            f"{self.outage:<34} {self.moment:<10} at {self.seen:<16} {how} ({self.ended}) in {self.seconds:5.1f} s"
            f"{pages}{wrong}"
        )


class Site:
    """The running project, asked from outside."""

    def __init__(self, stack: Stack, page: int) -> None:
        self.stack = stack
        self.models = stack.folder / ".airbag" / "models"
        self._page = f"http://127.0.0.1:{page}"
        self._token = (stack.folder / ".airbag/secrets/airbag_operator_token").read_text().strip()
        self._version = 3

    def pid(self, service: str) -> int:
        """Of the container's first process, as this machine numbers it."""
        return int(self.stack.inspect(service)["State"]["Pid"])

    def rules_between(self, one: str, other: str) -> list[Callable[[str], None]]:
        """Packet filter rules at the first one that drop all from and to the other one; called with -I or -D."""
        pid, theirs = self.pid(one), self.stack.inspect(other)["NetworkSettings"]["Networks"]
        shared = set(theirs) & set(self.stack.inspect(one)["NetworkSettings"]["Networks"])
        addresses = [theirs[network]["IPAddress"] for network in sorted(shared)]

        def rule(chain: str, side: str, address: str) -> Callable[[str], None]:
            command = ["nsenter", f"--target={pid}", "--net", "iptables"]

            def apply(action: str) -> None:
                words = [*command, action, chain, side, address, "-j", "DROP"]
                subprocess.run(words, check=action == "-I", capture_output=True)

            return apply

        return [
            rule(chain, side, address) for address in addresses for chain, side in (("OUTPUT", "-d"), ("INPUT", "-s"))
        ]

    def action(self, version: int) -> dict[str, Any]:  # Any: JSON
        """The newest action against that version; empty while there is none or nobody answers."""
        found = [each for each in self._ask("actions").get("actions", []) if each["bad_version"] == version]
        found.sort(key=lambda each: (each["state"] != "SUPPRESSED", each["id"]))
        return found[-1] if found else {}

    def serves(self) -> int | None:
        """What the receiver sees in service by default."""
        found = [each["serves"] for each in self._ask("serving").get("models", []) if each["model_name"] == MODEL]
        return found[0][0] if found and len(found[0]) == 1 else None

    def _ask(self, path: str) -> dict[str, Any]:  # Any: JSON
        try:
            answer = requests.get(
                f"{self._page}/v1/{path}", headers={"Authorization": f"Bearer {self._token}"}, timeout=3
            )
        except requests.RequestException:
            return {}
        return dict(answer.json()) if answer.ok else {}

    def pages(self, since: float) -> tuple[str, ...]:
        """Names of the critical alerts that people were told of since then."""
        said = self.stack.docker("logs", f"--since={since:.3f}", self.stack.container("people"))
        return tuple(sorted(set(re.findall(r"\[firing\] (\w+) \(critical\)", said))))

    def generation(self) -> int:
        """How often Airbag has written models.config."""
        found = re.search(r"generation (\d+)", (self.models / "models.config").read_text())
        return int(found[1]) if found else 0

    def steady(self) -> None:
        """Until version 2 serves, is proven, every container is healthy and nothing fires for the machine."""
        self.stack.compose("up", "--detach", "--wait", "--wait-timeout=120", "--pull=never", timeout=200)
        newest = ModelConfigFile(self.models / "models.config").read().policy(MODEL).versions[-1]
        if newest < GOOD:
            self.release(GOOD)
        if newest > GOOD:  # as the person does it who was called
            back = ("rollback", MODEL, f"--to={GOOD}", "--because=the next cell", "--yes", "--no-wait")
            self.stack.run_in("receiver", "airbag", *back)
        until(lambda: self.serves() == GOOD, timeout=120, every=0.5, what="version 2 in service")
        # Five minutes after it was killed, Prometheus still shows what it knew of a version that left meanwhile.
        until(self._nothing_fires, timeout=400, every=1, what="the end of all alerts for the machine")
        until(self._proven, timeout=180, every=0.5, what="the proof of version 2")

    def _nothing_fires(self) -> bool:
        query = 'http://127.0.0.1:9090/api/v1/query?query=ALERTS{airbag_action="rollback"}'
        return not self.stack.get("prometheus", query)["data"]["result"]

    def _proven(self) -> bool:
        return has_proof(self._ask(f"models/main/{MODEL}/versions"), self.stack.folder / "alertmanager/policy.yml")

    def publish(self, fault: str) -> int:
        """Put the next bad version into the store; its number."""
        version, self._version = self._version, self._version + 1
        publish(found_in(RELEASES) / "faults" / fault, self.models / MODEL, version)
        folder = self.models / MODEL / str(version)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *USER)
        for old in self.models.glob(f"{MODEL}/[0-9]*"):
            if GOOD < int(old.name) < version - 1:
                shutil.rmtree(old)
        return version

    def release(self, version: int) -> None:
        """As an operator does it."""
        self.stack.run_in("receiver", "airbag", "release", "--no-wait", MODEL, str(version))


def play(site: Site, outage: Outage, moment: str) -> Cell:
    """One cell, from a steady site to a healed one."""
    site.steady()
    version = site.publish("accuracy")
    began, before = time.time(), site.generation()
    site.release(version)
    seen = wait_for(site, version, moment)
    with outage.on(site):
        cut = time.time()
        ended = judged(site, version, began)
        took = time.time() - cut
    until(lambda: site.serves() is not None, timeout=120, every=0.5, what="a receiver that sees what serves")
    switches, serves = site.generation() - before - 1, site.serves()  # the release is one, too
    if (switches, serves) != (1, GOOD):
        with suppress(AssertionError):
            until(lambda: site.pages(began), timeout=TOLD_WITHIN, every=1, what="a call to a person")
    return Cell(outage.name, moment, seen, ended, switches, site.pages(began), serves, took)


def wait_for(site: Site, version: int, moment: str) -> str:
    """Until the action has come so far; the state that it was seen in."""
    states = MOMENTS[moment]
    if not states:
        return "release"
    reached = ORDER.index(states[0])

    def found() -> str | None:
        state = str(site.action(version).get("state", ""))
        return state if state in TERMINAL or (state in ORDER and ORDER.index(state) >= reached) else None

    return until(found, timeout=120, every=0.005, what=f"the action to be {moment}")


def judged(site: Site, version: int, began: float) -> str:
    """How the action ended; "open" or "none" when it did not by the deadline, or people were called long before."""
    start = time.monotonic()
    state = ""
    while (waited := time.monotonic() - start) < JUDGED_WITHIN:
        state = str(site.action(version).get("state", state))
        if state in TERMINAL:
            return state
        if waited > TOLD_WITHIN and site.pages(began):
            break
        time.sleep(0.5)
    return f"open: {state}" if state else "none"


@contextmanager
def site() -> Iterator[Site]:
    """The stack with traffic, and without the guards that would hold back the next fault."""
    engine.need()
    packages.ensure()
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="airbag-outages-")))
        env = held.enter_context(engine.running(folder / "dockerd.log"))
        images = Images(env)
        images.make(servers=False)
        build(env, folder)
        images.serving(DEMO)
        page = claim(held)
        variables = {"AIRBAG_PROBE_INTERVAL": "2s", "AIRBAG_PAGE_PORT": str(page), "GRAFANA_PORT": str(claim(held))}
        stack = Stack(folder / "project", f"airbag-outages-{os.getpid()}", env, variables)
        policy = stack.folder / "alertmanager/policy.yml"
        document = yaml.safe_load(policy.read_text())
        document["guards"] = {"cool_down": "0s", "budget": None, "breaker": None}
        policy.write_text(yaml.safe_dump(document, sort_keys=False))
        stack.down()
        held.callback(stack.down)
        stack.compose("run", "--rm", "-T", "trainer", profile="demo")
        stack.compose("up", "--detach", "--wait", "--wait-timeout=180", "--pull=never")
        stack.compose("run", "--detach", "--no-deps", f"--name={stack.container('traffic')}", "--entrypoint=python",
                      "story", "-c", _TRAFFIC, profile="demo")  # fmt: skip
        held.callback(stack.docker, "rm", "--force", stack.container("traffic"))
        yield Site(stack, page)


def outages(only: Sequence[str]) -> list[Outage]:
    """All, or those whose name has one of these words in it."""
    every = [Outage(f"{name} is killed", (name,)) for name in CONTAINERS]
    every += [Outage(f"{one} and {other} are cut", (one, other)) for one, other in LINKS]
    return [each for each in every if not only or any(word in each.name for word in only)]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--only", nargs="*", default=[], help="outages with one of these words in their name")
    options.add_argument("--moments", nargs="*", choices=list(MOMENTS), default=list(MOMENTS))
    chosen = options.parse_args()
    cells, unfinished = [], []
    with site() as here:
        for outage, moment in itertools.product(outages(chosen.only), chosen.moments):
            try:
                cells.append(play(here, outage, moment))
                say(str(cells[-1]))
            except AssertionError as error:
                unfinished.append(f"{outage.name} {moment}: {error}")
                say(unfinished[-1])
    for line in unfinished:
        print(line)
    for each in cells:
        if each.wrong:
            print(each)
    print(json.dumps([vars(each) for each in cells]))
    report(
        "outages",
        {
            "cells": Measured(len(cells), "cells"),
            "not_judged": Measured(len(unfinished), "cells", 0.0),
            "rolled_back": Measured(sum(each.rolled_back for each in cells), "cells"),
            "called_a_person_instead": Measured(
                sum(not each.rolled_back and not each.wrong for each in cells), "cells"
            ),
            "silent": Measured(sum(each.wrong == "silence" for each in cells), "cells", 0.0),
            "more_than_one_rollback": Measured(sum(each.switches > 1 for each in cells), "cells", 0.0),
            "longest_seconds": Measured(max((each.seconds for each in cells), default=0.0), "s"),
        },
    )


if __name__ == "__main__":
    main()
