"""Two Alertmanagers that know each other, with the shipped configuration and the flags of docs/alertmanager-ha.md."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airbag_demo.processes import Processes
from tests.fakes.binaries import ROOT
from tests.fakes.ports import free_port
from tests.fakes.real_alertmanager import BAD, Alertmanager, alertmanager, configuration, firing
from tests.fakes.wait import until
from tests.fakes.webhooks import Posted, Webhooks, webhooks

PAGE = ROOT / "docs" / "alertmanager-ha.md"
PEER_TIMEOUT = 2.0


def documented(bound: str) -> float:
    """The seconds that the page promises in that row of its table."""
    return float(re.findall(rf"(?m)^\| {re.escape(bound)} \| ([0-9.]+) s \|", PAGE.read_text())[0])


@dataclass(frozen=True)
class Pair:
    """Both of them, in the order in which they notify, and what they were able to tell."""

    first: Alertmanager
    second: Alertmanager
    processes: Processes
    sent: Webhooks

    def told(self, version: int) -> list[Posted]:
        """What the machine was told about that version."""
        return [
            each
            for each in self.sent.alerts("/v1/alerts", "AirbagErrorRatioHigh")
            if each.body["groupLabels"]["model_version"] == str(version)
        ]


def fault(version: int) -> dict[str, object]:
    """An alert as one Prometheus posts it to both."""
    return firing(BAD | {"model_version": str(version)}, began=datetime.now(UTC))


def ready(*members: Alertmanager) -> bool:
    """Whether all have settled and see each other."""
    found = [each.get("status")["cluster"] for each in members]
    return all(each["status"] == "ready" and len(each["peers"]) == len(members) for each in found)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("pair")
    doors = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with webhooks() as sent, Processes(folder) as processes:
        config = configuration(folder, {"receiver:9815": sent.address, "people:9820": sent.address})
        members = [
            alertmanager(
                config,
                name=name,
                flags=[
                    f"--cluster.listen-address={own}", f"--cluster.peer={other}",
                    f"--cluster.peer-timeout={PEER_TIMEOUT:g}s",
                ],
            )
            for name, own, other in (("one", *doors), ("two", *reversed(doors)))
        ]  # fmt: skip
        for each in members:
            processes.start(each.program)
        processes.wait_ready()
        before = time.monotonic()
        until(lambda: ready(*members), timeout=60, what="a pair that has settled")
        assert time.monotonic() - before < documented("both started anew") + 20  # a loaded machine starts late
        # Alertmanager orders its members by their names, which it draws at the start.
        first, second = sorted(members, key=lambda each: str(each.get("status")["cluster"]["name"]))
        yield Pair(first, second, processes, sent)


def test_the_flags_are_the_documented_ones() -> None:
    assert f"--cluster.peer-timeout={PEER_TIMEOUT:g}s" in PAGE.read_text()


def test_a_pair_delivers_once_and_goes_on_when_one_is_killed(pair: Pair) -> None:
    both, sent = (pair.first, pair.second), pair.told

    # Both hear of it: the first delivers at once and tells the second, which keeps still.
    for each in both:
        each.post(fault(3))
    until(lambda: sent(3), what="the alert that both have")
    # Only the second hears of it: it waits for the first, then delivers. By then it has decided on version 3 as well.
    posted = time.monotonic()
    pair.second.post(fault(4))
    until(lambda: sent(4), what="the alert that only the second has")
    took = time.monotonic() - posted
    assert PEER_TIMEOUT * 0.9 < took < documented("only the second one hears of the alert")
    assert len(sent(3)) == 1

    # The first is killed: the second still waits for it, no longer than that.
    pair.processes.kill(pair.first.program.name)
    posted = time.monotonic()
    pair.second.post(fault(5))
    until(lambda: sent(5), what="the alert after one was killed")
    assert time.monotonic() - posted < documented("one was killed")

    # It comes back with its storage, learns what was told, and the pair is a pair again.
    pair.processes.restart(pair.first.program.name)
    until(lambda: ready(*both), timeout=60, what="the pair back together")
    for each in both:
        each.post(fault(5), fault(6))
    until(lambda: sent(6), what="the alert after the return")
    pair.second.post(fault(7))
    pair.first.post(fault(8))
    until(lambda: sent(7) and sent(8), what="an alert through each", timeout=20)
    assert [len(sent(version)) for version in (3, 4, 6)] == [1, 1, 1]
    assert len(sent(5)) == 1
