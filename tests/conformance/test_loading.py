"""§4.5, §4.6 and the error states of §2.3: how versions load and fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.kit.facts import Facts
from tests.conformance.kit.rows import row, table
from tests.conformance.kit.world import BOTH, World, specific
from tests.fakes import saved_models
from tests.fakes.wait import until

QUICK = ("quick failures",)


@dataclass(frozen=True)
class Broken:
    """`code` None: the reference only says that it ends with an error. `text` is a part of the message."""

    section: str
    make: Callable[[Path, int], Path]
    code: int | None = None
    text: str = ""


BROKEN: dict[str, Broken] = {
    "no saved_model.pb: END with 5 NOT_FOUND": Broken("2.3", saved_models.without_graph, 5),
    "a truncated file: END with 11 OUT_OF_RANGE, Read less bytes than requested": Broken(
        "2.3", saved_models.truncated, 11, "Read less bytes than requested"
    ),
    "a plain file: END with 9 FAILED_PRECONDITION, Error while attempting to reserve resources": Broken(
        "4.4", saved_models.stray_file, 9, "Error while attempting to reserve resources to load servable"
    ),
    "a failing warm-up record: END with its error": Broken(
        "4.6", lambda base, version: saved_models.with_warmup(base, version, good=False)
    ),
    "a warm-up file that cannot be read: END with an error": Broken("4.6", saved_models.corrupt_warmup),
    "an init operation that fails: END with an error": Broken("4.5", saved_models.failing_load),
    "a graph cut short: END with an error": Broken("4.5", saved_models.cut_graph),
    "the data of the variables missing: END with an error": Broken("4.5", saved_models.half_copied),
}


@pytest.fixture(scope="session")
def made() -> dict[int, dict[str, str]]:
    return {}


@pytest.fixture
def broken(world: World, made: dict[int, dict[str, str]]) -> dict[str, str]:
    """One model per statement: version 1 serves, version 2 is broken and over."""
    if id(world) not in made:
        names = {statement: world.fresh("broken") for statement in BROKEN}
        for name in names.values():
            saved_models.add_model(world.base(name), 1)
        world.apply(dict.fromkeys(names.values(), ""))
        for statement, name in names.items():
            world.wait_states(name, "1 AVAILABLE")
            BROKEN[statement].make(world.base(name), 2)
        made[id(world)] = names
        for name in names.values():
            until(lambda name=name: world.wire.versions(name).get(2) == "END", timeout=2 * world.patience, what="END")  # type: ignore[misc]
    else:
        world.apply(dict.fromkeys(made[id(world)].values(), ""))
    return made[id(world)]


@pytest.mark.parametrize(
    "statement",
    [
        each
        for statement, one in BROKEN.items()
        for each in table(one.section, {f"{statement}, and the old version serves": statement}, needs=QUICK)
    ],
)
def test_a_broken_version(world: World, broken: dict[str, str], statement: str) -> None:
    name, expected = broken[statement], BROKEN[statement]
    assert world.wire.states(name) == "2 END, 1 AVAILABLE"
    code, message = world.wire.end_of(name, 2)
    assert code == expected.code if expected.code is not None else code != 0
    assert expected.text in message
    assert message
    assert world.wire.serving(name) == 1


@row("4.5", needs=(*QUICK, "page"))
def test_not_tried_again(world: World) -> None:
    """a failed number is not tried again by itself; a new number is loaded"""
    name = world.fresh("once")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    path = world.seen(saved_models.truncated(world.base(name), 2))
    world.wait_states(name, "2 END, 1 AVAILABLE")
    tries = world.wire.page().value("cc:saved_model:load_attempt_count", model_path=path, status="fail")
    world.wait_polls()
    assert world.wire.page().value("cc:saved_model:load_attempt_count", model_path=path, status="fail") == tries
    saved_models.add_model(world.base(name), 3)
    world.wait_states(name, "3 AVAILABLE, 2 END, 1 END")


@row("2.3", needs=QUICK)
def test_failures_are_invisible_until_the_end(world: World) -> None:
    """a version sleeps its retries in LOADING, without an error, and ends as END"""
    name = world.fresh("invisible")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.watch(name) as watch:
        saved_models.truncated(world.base(name), 2)
        world.wait_states(name, "2 END, 1 AVAILABLE")
    states = watch.of(2)
    assert states[-2:] == ["LOADING", "END"]
    assert set(states) <= {"START", "LOADING", "END"}


@row("2.3", needs=QUICK)
def test_a_plain_file_sleeps_in_start(world: World) -> None:
    """a version that is a plain file sleeps its retries in START, not in LOADING"""
    name = world.fresh("plain")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.watch(name) as watch:
        saved_models.stray_file(world.base(name), 99)
        world.wait_states(name, "99 END, 1 AVAILABLE")
    assert watch.of(99) == ["START", "END"]


@row("4.5")
def test_the_highest_loaded_number_answers(world: World) -> None:
    """requests without a version go to the highest loaded number, not to the one loaded last"""
    name = world.fresh("highest")
    for version in (3, 5):
        saved_models.add_model(world.base(name), version)
    world.load(name, specific(5), "5 AVAILABLE")
    world.apply({name: specific(3, 5)})
    world.wait_states(name, "5 AVAILABLE, 3 AVAILABLE")
    assert world.wire.serving(name) == 5
    assert world.wire.predict(name).model_spec.version.value == 5


@row("4.5", group="inline", needs=("inline",))
def test_the_highest_number_loads_first(world: World) -> None:
    """one action at a time with 0 load threads, and among versions to load the highest number first"""
    name = world.fresh("order")
    for version in (1, 2, 3):
        saved_models.slow_load(world.base(name), version, 1.0)
    with world.watch(world.canary):
        world.apply({name: BOTH})
    assert world.wire.versions(name)[3] == "AVAILABLE"
    assert world.wire.versions(name)[1] == "START"
    with world.watch(name) as watch:
        world.wait_states(name, "3 AVAILABLE, 2 AVAILABLE, 1 AVAILABLE")
    assert not any(list(each.values()).count("LOADING") > 1 for each in watch.history)


@row("2.3", group="inline", needs=("inline", "page"), late=2)
def test_a_failing_load_blocks_the_manager(world: World, facts: Facts) -> None:
    """with 0 load threads a load that sleeps between its retries blocks every other version change (0 Fact 11)"""
    name, other = world.fresh("failing"), world.fresh("other")
    for each in (name, other):
        saved_models.add_model(world.base(each), 1)
    world.apply({name: "", other: ""})
    for each in (name, other):
        world.wait_states(each, "1 AVAILABLE")
    broken = saved_models.truncated(world.base(name), 2)
    failed = {"model_path": world.seen(broken), "status": "fail"}
    world.wait(lambda: world.wire.page().value("cc:saved_model:load_attempt_count", **failed), "the first failure")
    saved_models.add_model(world.base(other), 2)
    blocked = 0

    def over() -> bool:
        nonlocal blocked
        theirs, ours = world.wire.versions(other).get(2), world.wire.versions(name).get(2)
        assert not (theirs in ("LOADING", "AVAILABLE") and ours == "LOADING"), "the other model was not blocked"
        blocked += ours == "LOADING"
        return theirs == "AVAILABLE"

    try:
        until(over, timeout=5)
    except AssertionError:  # the retries are slow: repair the version, so that the next one ends it
        broken.rename(broken.with_name("was-broken"))
        saved_models.add_model(world.base(name), 2)
        until(over, timeout=400, what="the other model's new version", every=0.1)
    assert blocked > 5


@row("4.5", needs=("threads", *QUICK))
def test_a_cancelled_load_that_fails(world: World) -> None:
    """a cancelled load that fails by itself ends with its own error, not with CANCELLED"""
    name = world.fresh("cancelled")
    saved_models.add_model(world.base(name), 1)
    world.load(name, specific(1, 2))
    loading = saved_models.slow_load(world.base(name), 2, 4.0)
    world.wait(lambda: world.wire.versions(name).get(2) == "LOADING", "LOADING")
    world.apply({name: specific(1)})
    world.wait_polls(1)
    loading.rename(loading.with_name("2.gone"))
    world.wait_states(name, "2 END, 1 AVAILABLE")
    assert world.wire.end_of(name, 2)[0] == 5


@row("4.1")
def test_the_suite_finds_out_what_a_server_can(world: World, facts: Facts, request: pytest.FixtureRequest) -> None:
    """the suite finds out by itself what it knows of a server that it started with several flags"""
    _probe(world, facts, request)


@row("4.1", group="inline", late=3)
def test_the_suite_finds_out_what_a_stock_server_can(
    world: World, facts: Facts, request: pytest.FixtureRequest
) -> None:
    """the suite finds out by itself what it knows of a server that it started with few flags"""
    _probe(world, facts, request)


def _probe(world: World, facts: Facts, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--target", ""):
        pytest.skip("only for servers that the suite starts itself")
    asked = Facts(world)
    names = ["page", "labels", "no labels", "threads", "inline", "batching", "health"]
    assert {name: asked.holds(name) for name in names} == {name: facts.holds(name) for name in names}
    if facts.holds("quick failures"):
        assert asked.holds("quick failures")
    assert asked.holds("config poll") == facts.holds("config poll")
