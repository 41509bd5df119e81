"""§2.5: the file that is polled."""

from __future__ import annotations

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.wire import refusal
from tests.conformance.kit.world import World, labels, specific
from tests.fakes import saved_models

POLL = ("config poll",)


@row("2.5", needs=POLL)
def test_a_change_is_applied(world: World) -> None:
    """a changed file is applied as a reload would be"""
    name = world.fresh("filed")
    saved_models.add_model(world.base(name), 1)
    with world.polled() as write:
        write(world.text({name: ""}))
        world.wait_states(name, "1 AVAILABLE")
        write(world.text())
        world.wait_states(name, "1 END")


@row("2.5", needs=POLL)
def test_the_file_wins(world: World) -> None:
    """every poll applies the whole file again: what a reload call changed is undone (0 Fact 3)"""
    name = world.fresh("fight")
    for version in (1, 2):
        saved_models.add_model(world.base(name), version)
    world.load(name, specific(1, 2), "2 AVAILABLE, 1 AVAILABLE")
    with world.polled() as write:
        write(world.text({name: specific(1, 2) + labels({"l": 1})}))
        for version in (2, 1, 2):
            world.apply({name: specific(1, 2) + labels({"l": version})})
            world.wait(lambda: world.wire.serving(name, label="l") == 1, "the file's label")


BROKEN = {
    "a file that cannot be parsed changes nothing, and polling goes on": "model_config_list { config { nonsense",
    "an empty file changes nothing, and polling goes on": "",
    "a missing file changes nothing, and polling goes on": None,
    "a file that is refused changes nothing, and polling goes on":
        'model_config_list { config { name: "a" base_path: "relative" model_platform: "tensorflow" } }',
}  # fmt: skip


@pytest.mark.parametrize("text", table("2.5", BROKEN, needs=POLL))
def test_a_broken_file(world: World, text: str | None) -> None:
    name = world.fresh("filed")
    saved_models.add_model(world.base(name), 1)
    with world.polled() as write:
        write(text)
        world.wait_polls()
        assert world.wire.states(world.name("m")) == "2 AVAILABLE, 1 AVAILABLE"
        assert refusal(lambda: world.wire.states(name)).startswith("NOT_FOUND")
        write(world.text({name: ""}))
        world.wait_states(name, "1 AVAILABLE")
