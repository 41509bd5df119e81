"""§5 and §6: a version switch under traffic, the traps of the version manager, and a request that is stuck."""

from __future__ import annotations

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.watch import Call, Traffic, stays
from tests.conformance.kit.wire import refusal
from tests.conformance.kit.world import World, specific
from tests.fakes import saved_models

LATEST = ""
CANCELLED = (1, "Loading of servable cancelled")


def _two(world: World, policy: str, states: str) -> str:
    """A model with versions 1 and 2 on disk; each answers x = 1 with twice and five times of it."""
    name = world.fresh("switch")
    saved_models.add_model(world.base(name), 1)
    saved_models.add_model(world.base(name), 2, scale=5.0)
    return world.load(name, policy, states)


@row("5.1")
def test_upgrade(world: World) -> None:
    """upgrade under traffic over gRPC and REST: START, LOADING, AVAILABLE, then the old one goes; no request fails"""
    name = world.fresh("up")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with (
        world.watch(name) as watch,
        Traffic(world.wire, name) as grpc,
        Traffic(world.wire, name, rest=True) as rest,
    ):
        world.wait(lambda: grpc.versions and rest.versions, "the first answers")
        saved_models.slow_load(world.base(name), 2, 1.0, scale=5.0)
        world.wait_states(name, "2 AVAILABLE, 1 END")
        world.wait(lambda: len(grpc.versions) > 1 and len(rest.versions) > 1, "answers of the new version")
    assert grpc.failures + rest.failures == []
    assert (grpc.versions, rest.versions) == ([1, 2], [2.0, 5.0])
    assert [state for state in watch.of(2) if state != "START"] == ["LOADING", "AVAILABLE"]
    assert [state for state in watch.of(1) if state != "UNLOADING"] == ["AVAILABLE", "END"]
    assert watch.always_available()
    for each in watch.history:
        assert each[1] == "AVAILABLE" or each[2] == "AVAILABLE"


@row("5.1", needs=("page",))
def test_it_answers_while_it_shows_loading(world: World) -> None:
    """the new version answers while it still shows LOADING: the swap waits for older requests on any model"""
    name = world.fresh("early")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.held():
        saved_models.add_model(world.base(name), 2)
        world.wait(lambda: world.wire.serving(name) == 2, "the new version answering")
        assert world.wire.predict(name).model_spec.version.value == 2
        stays(lambda: world.wire.states(name) == "2 LOADING, 1 AVAILABLE", 0.5, "LOADING")
    world.wait_states(name, "2 AVAILABLE, 1 END")


@row("5.2", needs=("page",))
def test_downgrade(world: World) -> None:
    """downgrade: while both are loaded requests still go to the higher number"""
    name = _two(world, LATEST, "2 AVAILABLE")
    with world.held():
        world.apply({name: specific(1)})
        world.wait(lambda: world.wire.predict(name, version=1), "the older version loaded")
        assert world.wire.serving(name) == 2
        assert world.wire.predict(name).model_spec.version.value == 2
    world.wait_states(name, "2 END, 1 AVAILABLE")
    assert world.wire.serving(name) == 1


@row("5.3")
def test_a_request_holds_its_version(world: World) -> None:
    """a request holds its version until it is done, and the version is not at END before that"""
    name = world.fresh("holding")
    saved_models.slow(world.base(name), 1, 3.0)
    world.load(name)
    call = Call(lambda: world.wire.predict(name))
    with pytest.raises(AssertionError, match="did not end"):
        call.result(0.5)
    saved_models.add_model(world.base(name), 2)
    while not call.is_over:
        seen = world.wire.versions(name)
        assert seen[1] != "END" or call.is_over
    assert call.result().model_spec.version.value == 1
    world.wait_states(name, "2 AVAILABLE, 1 END")


@row("5.3")
def test_six_switches(world: World) -> None:
    """six switches up and down under unpinned requests: none fails, versions are seen strictly in order"""
    name = _two(world, specific(1), "1 AVAILABLE")
    with Traffic(world.wire, name) as grpc, Traffic(world.wire, name, rest=True) as rest:
        for version in (2, 1, 2, 1, 2, 1):
            world.wait(lambda: grpc.versions and rest.versions, "the first answers")
            world.apply({name: specific(version)})
            world.wait(
                lambda wanted=version: world.wire.versions(name) == {wanted: "AVAILABLE", 3 - wanted: "END"},  # type: ignore[misc]
                f"{version} alone",
            )
            turns = (grpc.turns, rest.turns)
            world.wait(lambda old=turns: grpc.turns > old[0] + 1 and rest.turns > old[1] + 1, "answers")  # type: ignore[misc]
    assert grpc.failures + rest.failures == []
    assert grpc.versions == [1, 2, 1, 2, 1, 2, 1]
    assert rest.versions == [2.0, 5.0, 2.0, 5.0, 2.0, 5.0, 2.0]


@row("2.3", needs=("page",))
def test_unloading(world: World) -> None:
    """UNLOADING is announced before the version is gone and stays while requests drain; pinned ones get NOT_FOUND"""
    name = world.fresh("draining")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.held():
        world.apply()
        world.wait_states(name, "1 UNLOADING")
        world.wait(lambda: refusal(lambda: world.wire.predict(name, version=1)), "out of the table")
        said = refusal(lambda: world.wire.predict(name, version=1))
        assert said == f"NOT_FOUND: Servable not found for request: Specific({name}, 1)"
        stays(lambda: world.wire.states(name) == "1 UNLOADING", 0.5, "UNLOADING")
    world.wait_states(name, "1 END")


TRAP_A = "A. latest, 2 serves, 3 is LOADING, {2} is asked for: 3 goes live, 2 is unloaded and loaded again"


@pytest.mark.parametrize(
    "with_threads",
    [
        *table("5.5", {f"{TRAP_A}, with load threads": True}, needs=("threads",)),
        *table("5.5", {f"{TRAP_A}, with 0 load threads": False}, group="inline", needs=("inline",)),
    ],
)
def test_trap_a(world: World, with_threads: bool) -> None:
    name = world.fresh("trap")
    saved_models.add_model(world.base(name), 2)
    world.load(name, states="2 AVAILABLE")
    with world.watch(name) as watch:
        saved_models.slow_load(world.base(name), 3, 2.5)
        world.wait(lambda: world.wire.versions(name).get(3) == "LOADING", "3 LOADING")
        world.apply({name: specific(2)})
        assert world.wire.versions(name)[2] == "AVAILABLE"
        world.wait(lambda: world.wire.versions(name)[3] in ("AVAILABLE", "UNLOADING", "END"), "3 live")
        world.wait(lambda: watch.of(2)[-1] != "AVAILABLE", "2 going")
        world.wait_states(name, "3 END, 2 AVAILABLE")
    assert "AVAILABLE" in watch.of(3)
    states = watch.of(2)
    assert states[0] == states[-1] == "AVAILABLE"
    assert "END" in states
    assert watch.always_available()
    assert world.wire.serving(name) == 2


@row("5.5", needs=("threads",))
def test_b_with_threads(world: World) -> None:
    """B. under {2,3} with 3 LOADING, {2} takes effect at once: 3 ends CANCELLED, 2 never stops, with load threads"""
    name = world.fresh("kept")
    saved_models.add_model(world.base(name), 2)
    world.load(name, specific(2, 3), "2 AVAILABLE")
    with world.watch(name) as watch:
        saved_models.slow_load(world.base(name), 3, 4.0)
        world.wait(lambda: world.wire.versions(name).get(3) == "LOADING", "3 LOADING")
        world.apply({name: specific(2)})
        world.wait_states(name, "3 END, 2 AVAILABLE")
    assert world.wire.end_of(name, 3) == CANCELLED
    assert "AVAILABLE" not in watch.of(3)
    assert watch.of(2) == ["AVAILABLE"]


@row("5.5", group="inline", needs=("inline",))
def test_b_inline(world: World) -> None:
    """B. the same with 0 load threads: 3 ends without an error, 2 never stops"""
    name = world.fresh("kept")
    saved_models.add_model(world.base(name), 2)
    world.load(name, specific(2, 3), "2 AVAILABLE")
    with world.watch(name) as watch:
        saved_models.slow_load(world.base(name), 3, 2.5)
        world.wait(lambda: world.wire.versions(name).get(3) == "LOADING", "3 LOADING")
        world.apply({name: specific(2)})
        world.wait_states(name, "3 END, 2 AVAILABLE")
    assert world.wire.end_of(name, 3)[0] == 0
    assert watch.of(2) == ["AVAILABLE"]


@row("5.5")
def test_c(world: World) -> None:
    """C. normal: 3 serves, 2 is not loaded, 2 is asked for: 2 loads, 3 goes, no gap"""
    name = _two(world, LATEST, "2 AVAILABLE")
    with world.watch(name) as watch, Traffic(world.wire, name) as traffic:
        world.wait(lambda: traffic.versions, "the first answer")
        world.apply({name: specific(1)})
        world.wait_states(name, "2 END, 1 AVAILABLE")
        world.wait(lambda: traffic.versions[-1] == 1, "the older version answering")
    assert traffic.failures == []
    assert traffic.versions == [2, 1]
    assert watch.always_available()


@row("5.5", needs=("quick failures",))
def test_d(world: World) -> None:
    """D. latest, 3 failed, 2 serves: a repaired 3 stays failed whatever is asked for; a new number helps"""
    name = world.fresh("repaired")
    saved_models.add_model(world.base(name), 2)
    world.load(name, states="2 AVAILABLE")
    broken = saved_models.truncated(world.base(name), 3)
    world.wait_states(name, "3 END, 2 AVAILABLE")
    broken.rename(broken.with_name("3.bad"))
    world.wait_polls()
    saved_models.add_model(world.base(name), 3)
    world.apply({name: LATEST})
    world.wait_polls()
    for policy in (specific(3), specific(2), specific(2, 3), LATEST):
        assert world.wire.states(name) == "3 END, 2 AVAILABLE"
        assert world.wire.end_of(name, 3)[0] == 11
        world.apply({name: policy})
        world.wait_polls(1)
    assert world.wire.serving(name) == 2
    saved_models.add_model(world.base(name), 4)
    world.wait_states(name, "4 AVAILABLE, 3 END, 2 END")


@row("5.5", needs=("quick failures",))
def test_e(world: World) -> None:
    """E. the same under {2,3}, then {2}, then {2,3}: 3 is tried again"""
    name = world.fresh("repaired")
    saved_models.add_model(world.base(name), 2)
    world.load(name, specific(2, 3), "2 AVAILABLE")
    broken = saved_models.truncated(world.base(name), 3)
    world.wait_states(name, "3 END, 2 AVAILABLE")
    world.apply({name: specific(2)})
    world.wait_polls()
    broken.rename(broken.with_name("3.bad"))
    saved_models.add_model(world.base(name), 3)
    world.apply({name: specific(2, 3)})
    world.wait_states(name, "3 AVAILABLE, 2 AVAILABLE")


@row("5.6", needs=("page",), late=3)
def test_a_stuck_request(world: World) -> None:
    """a stuck request: loads stay LOADING, nothing is unloaded, reloads return OK, predictions go on, until it ends"""
    name, dropped = world.fresh("stuck"), world.fresh("dropped")
    for each in (name, dropped):
        saved_models.add_model(world.base(each), 1)
    world.apply({name: "", dropped: ""})
    for each in (name, dropped):
        world.wait_states(each, "1 AVAILABLE")
    with world.held() as call:
        saved_models.add_model(world.base(name), 2)
        path = world.seen(world.base(name) / "2")
        world.wait(lambda: world.wire.page().of("cc:saved_model:load_latency", model_path=path), "2 read into memory")
        assert world.apply({name: ""}).status.error_code == 0
        stays(lambda: world.wire.states(name) == "2 LOADING, 1 AVAILABLE", 2.5, "LOADING")
        assert world.wire.states(dropped) == "1 AVAILABLE"
        assert world.wire.predict(world.name("m")).model_spec.version.value == 2
        assert not call.is_over
    world.wait_states(name, "2 AVAILABLE, 1 END")
    world.wait_states(dropped, "1 END")


@row("6", needs=("quick failures",))
def test_renamed_while_loading(world: World) -> None:
    """(c) renaming a version that is still LOADING fails its load: END, code 5, with the path; it never serves"""
    name = world.fresh("renamed")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.watch(name) as watch:
        loading = saved_models.slow_load(world.base(name), 2, 1.5)
        world.wait(lambda: world.wire.versions(name).get(2) == "LOADING", "LOADING")
        loading.rename(loading.with_name("2.quarantined"))
        world.wait_states(name, "2 END, 1 AVAILABLE")
    code, message = world.wire.end_of(name, 2)
    assert code == 5
    assert f"/{name}/2" in message
    assert "AVAILABLE" not in watch.of(2)


@row("6", needs=("threads",))
def test_republished_with_threads(world: World) -> None:
    """(e) a higher number while 2 is LOADING, with load threads: 2 is cancelled and never serves"""
    name = world.fresh("higher")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.watch(name) as watch:
        saved_models.slow_load(world.base(name), 2, 4.0)
        world.wait(lambda: world.wire.versions(name).get(2) == "LOADING", "LOADING")
        saved_models.add_model(world.base(name), 3)
        world.wait_states(name, "3 AVAILABLE, 2 END, 1 END")
    assert "AVAILABLE" not in watch.of(2)
    assert watch.always_available()


@row("6", group="inline", needs=("inline",))
def test_republished_inline(world: World) -> None:
    """(e) the same with 0 load threads: 2 goes live and 1 is unloaded before 3 loads"""
    name = world.fresh("higher")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    with world.watch(name) as watch:
        saved_models.slow_load(world.base(name), 2, 2.5)
        world.wait(lambda: world.wire.versions(name).get(2) == "LOADING", "LOADING")
        saved_models.slow_load(world.base(name), 3, 1.0)
        world.wait_states(name, "3 AVAILABLE, 2 END, 1 END")
    assert "AVAILABLE" in watch.of(2)
    assert any(each.get(1) == "END" and each.get(3) == "LOADING" for each in watch.history)
