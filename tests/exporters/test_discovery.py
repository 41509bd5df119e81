"""Which models are watched without being listed."""

from __future__ import annotations

import pytest

from airbag.serving.groups import Expectations, ModelEntry, Module
from airbag.serving.model_config import Policy
from airbag_exporters.serving.discovery import ASK_AGAIN_AFTER, ASKS_PER_POLL, REFUSED_MAX, Discovery
from airbag_exporters.serving.wanted import FileModel
from tests.fakes.clock import SetClock

LISTED = ModelEntry(name="listed", labels=("stable",), expect=Expectations(error_ratio_max=0.5))
MODULE = Module(models=(LISTED,), expect=Expectations(error_ratio_max=0.1), models_max=3)
FILE = {
    "listed": FileModel(Policy.specific(1), "/m/listed", ("canary", "stable")),
    "filed": FileModel(Policy.latest(1), "/m/filed", ("beta",)),
}


@pytest.fixture
def clock() -> SetClock:
    return SetClock(1000.0)


@pytest.fixture
def discovery(clock: SetClock) -> Discovery:
    return Discovery(clock)


def names(discovery: Discovery, module: Module = MODULE) -> list[str]:
    return [model.name for model in discovery.models(module, FILE)]


def test_models_of_the_file_are_watched_with_the_expectations_of_the_group(discovery: Discovery) -> None:
    listed, filed = discovery.models(MODULE, FILE)
    assert (listed.name, listed.expect.error_ratio_max) == ("listed", 0.5)
    assert (filed.name, filed.expect.error_ratio_max) == ("filed", 0.1)


def test_labels_of_the_file_are_watched_beside_the_listed_ones(discovery: Discovery) -> None:
    assert [model.labels for model in discovery.models(MODULE, FILE)] == [("stable", "canary"), ("beta",)]


def test_a_name_that_clients_ask_for_counts_once_the_server_knows_it(discovery: Discovery) -> None:
    assert discovery.candidates(MODULE, ["asked", "listed"], ["listed"]) == ["asked"]
    discovery.answered("asked", is_known=False)
    assert names(discovery) == ["listed", "filed"]
    discovery.answered("asked", is_known=True)
    assert names(discovery) == ["listed", "filed", "asked"]


def test_a_name_that_the_server_does_not_know_is_asked_about_again_later(discovery: Discovery, clock: SetClock) -> None:
    discovery.answered("asked", is_known=False)
    clock.sleep(ASK_AGAIN_AFTER - 1)
    assert discovery.candidates(MODULE, ["asked"], []) == []
    clock.sleep(1)
    assert discovery.candidates(MODULE, ["asked"], []) == ["asked"]


def test_few_names_are_asked_about_at_a_time_and_all_in_the_end(discovery: Discovery) -> None:
    invented = [f"name-{number:02}" for number in range(12)]
    asked: list[str] = []
    while found := discovery.candidates(MODULE, invented, []):
        assert len(found) <= ASKS_PER_POLL
        asked += found
        for name in found:
            discovery.answered(name, is_known=False)
    assert asked == invented


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\nb", "\udcff", "x" * 101])
def test_a_name_that_no_model_can_have_here_is_not_asked_about(name: str, discovery: Discovery) -> None:
    assert discovery.candidates(MODULE, [name], []) == []


def test_whoever_invents_names_without_end_only_ends_the_asking(discovery: Discovery) -> None:
    for number in range(REFUSED_MAX):
        discovery.answered(f"name-{number}", is_known=False)
    assert discovery.candidates(MODULE, ["one-more"], []) == []


def test_beyond_the_bound_the_rest_is_not_watched_and_said_once(
    discovery: Discovery, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("asked", "also"):
        discovery.answered(name, is_known=True)
    assert names(discovery) == names(discovery) == ["listed", "filed", "asked"]
    assert [record.message for record in caplog.records] == [
        "there are more models than models_max; the rest counts as `other`"
    ]


def test_a_strange_name_in_the_file_is_left_out_and_said(
    discovery: Discovery, caplog: pytest.LogCaptureFixture
) -> None:
    file = {"a b": FILE["filed"], "filed": FILE["filed"]}
    assert [model.name for model in discovery.models(MODULE, file)] == ["listed", "filed"]
    assert "'a b'" in caplog.text


def test_without_discovery_only_the_listed_ones_are_watched(discovery: Discovery) -> None:
    module = MODULE.model_copy(update={"discover": False})
    discovery.answered("asked", is_known=True)
    assert names(discovery, module) == ["listed"]
    assert discovery.candidates(module, ["asked"], []) == []
