"""What one poller shows of its server, tick by tick."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag.clock import SystemClock
from airbag.serving.groups import ModelEntry, Module, ServingGroup, Target
from airbag.serving.values import Endpoint
from airbag_exporters.config import ExportersConfig
from airbag_exporters.serving.fleet import Fleet
from airbag_exporters.serving.native import Requests
from airbag_exporters.serving.poll import STALE_AFTER, Plan, Poller
from airbag_exporters.serving.state_file import StateFile
from tests.exporters.lines import requests, value
from tests.exporters.native_page import PageServer, page_server, write
from tests.fakes.clock import SetClock
from tests.fakes.tfs_wire import FakeServing, Status, serving
from tests.fakes.wait import until

MODULE = Module(models=(ModelEntry(name="m", labels=("stable", "nosuch")),))


@pytest.fixture
def fake() -> Iterator[FakeServing]:
    with serving() as server:
        server.models["m"] = {1: Status.AVAILABLE, 2: Status.LOADING}
        server.labels["m"] = {"stable": 1}
        yield server


@pytest.fixture
def page() -> Iterator[PageServer]:
    with page_server() as server:
        server.page = write({Requests("m", "OK"): 5})
        yield server


def plan(fake: FakeServing, page: PageServer | None = None, module: Module = MODULE) -> Plan:
    return Plan("main", "a", Endpoint(fake.address, page.address if page else None), module)


def test_shows_versions_the_default_and_labels(fake: FakeServing) -> None:
    poller = Poller(plan(fake), SetClock(1000.0))
    poller.poll()
    assert [status.version for status in poller.state.versions["m"]] == [2, 1]
    assert poller.state.defaults == {"m": 1}
    assert poller.state.labels == {("m", "stable"): 1, ("m", "nosuch"): None}
    assert poller.state.parts == {"status": True, "metadata": True}


def test_what_was_seen_stays_a_while_and_then_goes_absent(fake: FakeServing, page: PageServer) -> None:
    clock = SetClock(1000.0)
    poller = Poller(plan(fake, page), clock)
    poller.poll()
    fake.die()
    clock.sleep(STALE_AFTER - 0.1)
    poller.poll()
    assert poller.state.defaults == {"m": 1}
    assert poller.state.parts == {"status": False, "metadata": False, "metrics": True, "page": True}
    clock.sleep(0.2)
    poller.poll()
    assert (poller.state.versions, poller.state.defaults, poller.state.labels) == ({}, {}, {})
    assert poller.state.last_defaults == {"m": 1}
    assert [requests(poller.state, owner) for owner in ("1", "2", "switching")] == [0, 0, 5]


def test_a_switch_is_counted_once_and_nothing_serving_in_between_is_none(fake: FakeServing) -> None:
    poller = Poller(plan(fake), SetClock(1000.0))
    for available in ([1], [], [1], [1, 2], [2]):
        fake.models["m"] = {version: Status.AVAILABLE if version in available else Status.END for version in (1, 2)}
        poller.poll()
    assert poller.state.switches == {"m": 1}


def test_the_version_before_is_the_one_that_was_last_seen_to_answer_and_stays_while_nobody_can_look(
    fake: FakeServing, tmp_path: Path
) -> None:
    clock, file = SetClock(1000.0), StateFile(tmp_path / "main.a.json")
    poller = Poller(plan(fake), clock, file)
    poller.poll()
    assert value(poller.state, "airbag_tfs_previous_version") is None
    fake.models["m"] = {1: Status.END}
    poller.poll()
    fake.models["m"] = {2: Status.AVAILABLE}
    poller.poll()
    assert value(poller.state, "airbag_tfs_previous_version", model_name="m") == 1
    fake.die()
    clock.sleep(2 * STALE_AFTER)
    poller.poll()
    assert value(poller.state, "airbag_tfs_default_version") is None
    assert value(poller.state, "airbag_tfs_previous_version") == 1
    fake.start()
    restarted = Poller(plan(fake), clock, file)
    restarted.poll()
    assert value(restarted.state, "airbag_tfs_previous_version") == 1
    forgetful = Poller(plan(fake), clock)
    forgetful.poll()
    assert value(forgetful.state, "airbag_tfs_previous_version") is None


def test_a_configured_model_and_a_configured_label_that_serve_nobody_stand_at_0(fake: FakeServing) -> None:
    poller = Poller(plan(fake), SetClock(1000.0))
    poller.poll()
    assert value(poller.state, "airbag_tfs_available_versions") == 1
    assert value(poller.state, "airbag_tfs_label_available", label="stable") == 1
    assert value(poller.state, "airbag_tfs_label_available", label="nosuch") == 0
    assert value(poller.state, "airbag_tfs_model_version_loading_since_timestamp_seconds", model_version="2") == 1000
    fake.models.clear()
    poller.poll()
    assert value(poller.state, "airbag_tfs_available_versions") == 0
    assert value(poller.state, "airbag_tfs_label_available", label="stable") == 0


def test_another_address_is_another_server_and_the_counters_go_on(fake: FakeServing, page: PageServer) -> None:
    poller = Poller(plan(fake, page), SetClock(1000.0))
    poller.poll()
    with page_server() as other:
        other.page = write({Requests("m", "OK"): 7})
        poller.adopt(plan(fake, other))
        poller.poll()
    assert requests(poller.state, "switching") == 12


def test_a_model_that_the_server_does_not_know_is_no_failure(fake: FakeServing) -> None:
    fake.models.clear()
    poller = Poller(plan(fake), SetClock(1000.0))
    poller.poll()
    assert poller.state.parts == {"status": True, "metadata": True}
    assert poller.state.versions == {"m": ()}
    assert poller.state.defaults == {"m": None}


def test_is_not_ready_before_every_target_was_tried() -> None:
    dead = Target(name="dead", grpc="127.0.0.1:1")
    group = ServingGroup(name="main", targets=(dead,), models=(ModelEntry(name="m"),))
    fleet = Fleet(ExportersConfig(servings=(group,)), SystemClock())
    assert fleet.not_ready() == "no poll yet of main/dead"
    fleet.start()
    try:
        until(lambda: fleet.not_ready() is None, what="a first try, failed as it may be")
    finally:
        fleet.stop()


def test_a_target_that_leaves_the_configuration_leaves_the_scrape_and_its_thread_ends() -> None:
    dead = [Target(name=name, grpc="127.0.0.1:1") for name in ("a", "b")]
    groups = [ServingGroup(name="main", targets=tuple(dead[:n]), models=(ModelEntry(name="m"),)) for n in (1, 2)]
    fleet = Fleet(ExportersConfig(servings=(groups[1],)), SystemClock())
    fleet.start()
    try:
        fleet.adopt(ExportersConfig(servings=(groups[0],)))
        assert [list(each.targets) for each in fleet.read()] == [["a"]]
        until(lambda: "poll main/b" not in {thread.name for thread in threading.enumerate()}, what="the end of b")
        assert "poll main/a" in {thread.name for thread in threading.enumerate()}
    finally:
        fleet.stop()
