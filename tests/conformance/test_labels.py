"""§2.4, labels: when they may be set, and what happens to their clients."""

from __future__ import annotations

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.watch import Traffic
from tests.conformance.kit.wire import refusal
from tests.conformance.kit.world import World, labels, specific
from tests.fakes import saved_models

REFUSED = "Request to assign label to version {version} of model {name}, which is not currently available for inference"


def _two(world: World) -> str:
    """A model of which 1 and 2 serve."""
    name = world.fresh("label")
    for version in (1, 2):
        saved_models.add_model(world.base(name), version)
    return world.load(name, specific(1, 2), "2 AVAILABLE, 1 AVAILABLE")


@row("2.4")
def test_a_label_moves_at_once(world: World) -> None:
    """a label moves between AVAILABLE versions, and the new target answers as soon as the call returns"""
    name = _two(world)
    for version in (1, 2, 1):
        world.apply({name: specific(1, 2) + labels({"l": version})})
        assert world.wire.serving(name, label="l") == version
        assert world.wire.predict(name, label="l").model_spec.version.value == version


@pytest.mark.parametrize(
    "version",
    table(
        "2.4",
        {"by default a label may name only a version that is AVAILABLE": 77},
        group="inline",
        needs=("no labels",),
    ),
)
def test_the_default(world: World, version: int) -> None:
    name = _two(world)
    said = refusal(lambda: world.apply({name: specific(1, 2) + labels({"l": version})}))
    assert said.startswith("FAILED_PRECONDITION: ")
    assert REFUSED.format(version=version, name=name) in said


@row("2.4", group="inline", needs=("no labels",))
def test_a_version_and_its_label_need_two_reloads(world: World) -> None:
    """by default a label for a version that the same reload brings is refused"""
    name = world.fresh("label")
    for version in (1, 2):
        saved_models.add_model(world.base(name), version)
    world.load(name, specific(1))
    said = refusal(lambda: world.apply({name: specific(1, 2) + labels({"l": 2})}))
    assert REFUSED.format(version=2, name=name) in said


@row("2.4", needs=("labels",))
def test_a_new_label_with_the_flag(world: World) -> None:
    """with the flag a new label may name a version that is not there; its clients get NOT_FOUND"""
    name = _two(world)
    world.apply({name: specific(1, 2) + labels({"l": 77})})
    said = refusal(lambda: world.wire.predict(name, label="l"))
    assert said == f"NOT_FOUND: Servable not found for request: Specific({name}, 77)"


@row("2.4", needs=("labels",))
def test_a_kept_label_with_the_flag(world: World) -> None:
    """with the flag a label may keep a version that is not there any more"""
    name = _two(world)
    kept = labels({"l": 1})
    world.apply({name: specific(1, 2) + kept})
    world.apply({name: specific(2) + kept})
    world.wait_states(name, "2 AVAILABLE, 1 END")
    assert world.apply({name: specific(2) + kept}).status.error_code == 0
    said = refusal(lambda: world.wire.predict(name, label="l"))
    assert said == f"NOT_FOUND: Servable not found for request: Specific({name}, 1)"


@pytest.mark.parametrize(
    "moved",
    [
        *table("2.4", {"with the flag a label cannot move to a version that is not AVAILABLE": 77}, needs=("labels",)),
        *table("2.4", {"without the flag a label cannot move to a version that is not AVAILABLE": 78},
               group="inline", needs=("no labels",)),
    ],
)  # fmt: skip
def test_a_move_is_refused(world: World, moved: int) -> None:
    name = _two(world)
    world.apply({name: specific(1, 2) + labels({"l": 1})})
    said = refusal(lambda: world.apply({name: specific(1, 2) + labels({"l": moved})}))
    assert said.startswith("FAILED_PRECONDITION: ")
    assert REFUSED.format(version=moved, name=name) in said
    assert world.wire.serving(name, label="l") == 1


@row("2.4")
def test_a_label_left_out(world: World) -> None:
    """a label that is left out is gone at once: INVALID_ARGUMENT Unrecognized servable version label"""
    name = _two(world)
    world.apply({name: specific(1, 2) + labels({"l": 1, "k": 2})})
    world.apply({name: specific(1, 2) + labels({"k": 2})})
    said = refusal(lambda: world.wire.predict(name, label="l"))
    assert said == "INVALID_ARGUMENT: Unrecognized servable version label: l"
    assert world.wire.serving(name, label="k") == 2


@row("2.4", group="inline", needs=("no labels",))
def test_a_stale_label(world: World) -> None:
    """a label on an unloaded version: NOT_FOUND for its clients; a reload that lists it fails for all models"""
    name, other = _two(world), world.fresh("other")
    saved_models.add_model(world.base(other), 1)
    world.apply({name: specific(1, 2) + labels({"l": 1})})
    world.apply({name: specific(2) + labels({"l": 1})})
    world.wait_states(name, "2 AVAILABLE, 1 END")
    said = refusal(lambda: world.wire.predict(name, label="l"))
    assert said == f"NOT_FOUND: Servable not found for request: Specific({name}, 1)"
    said = refusal(lambda: world.apply({name: specific(2) + labels({"l": 1}), other: ""}))
    assert said.startswith("FAILED_PRECONDITION: ")
    assert REFUSED.format(version=1, name=name) in said
    assert refusal(lambda: world.wire.states(other)).startswith("NOT_FOUND")


@row("2.4")
def test_move_and_drop_in_one_reload(world: World) -> None:
    """labels move before versions are unloaded: moving one off N and dropping N in one reload fails no request"""
    name = _two(world)
    world.apply({name: specific(1, 2) + labels({"l": 1})})
    with Traffic(world.wire, name, label="l") as traffic:
        world.wait(lambda: traffic.versions, "the first answer")
        world.apply({name: specific(2) + labels({"l": 2})})
        world.wait_states(name, "2 AVAILABLE, 1 END")
    assert traffic.failures == []
    assert traffic.versions == [1, 2]


@row("5.4")
def test_label_clients_see_an_unloaded_version(world: World) -> None:
    """over REST: an unknown label is 400, a label left on an unloaded version is 404"""
    name = _two(world)
    reply = world.wire.http("POST", f"/v1/models/{name}/labels/L:predict", '{"instances": [1]}')
    assert (reply.status, reply.error) == (400, "Unrecognized servable version label: L")
    world.apply({name: specific(1, 2) + labels({"l": 1})})
    world.apply({name: specific(2) + labels({"l": 1})})
    world.wait_states(name, "2 AVAILABLE, 1 END")
    reply = world.wire.http("POST", f"/v1/models/{name}/labels/l:predict", '{"instances": [1]}')
    assert (reply.status, reply.error) == (404, f"Servable not found for request: Specific({name}, 1)")
