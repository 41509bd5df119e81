"""§4.2 and §4.4: which versions are wanted, and what the server sees of the file system."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.wire import refusal
from tests.conformance.kit.world import BOTH, World, specific
from tests.fakes import saved_models
from tests.fakes.wait import until

POLICIES: dict[str, tuple[str, set[int]]] = {
    "no policy: the highest number on disk": ("", {3}),
    "latest without a number counts as 1": ("model_version_policy { latest { } }", {3}),
    "latest 2: the two highest": ("model_version_policy { latest { num_versions: 2 } }", {2, 3}),
    "all: every number on disk": (BOTH, {1, 2, 3}),
    "specific: those named that exist, missing ones are passed over": (specific(1, 2, 77), {1, 2}),
}
NAMES: dict[str, tuple[tuple[str, ...], set[int]]] = {
    "leading zeros: 00000123 is 123": (("00000123",), {1, 123}),
    "a plus sign: +7 is 7": (("+7",), {1, 7}),
    "a minus sign: -3 is version -3": (("-3",), {-3, 1}),
    "surrounding blanks are accepted": ((" 8 ",), {1, 8}),
    "3.bad is no version": (("3.bad",), {1}),
    "tmp-3 is no version": (("tmp-3",), {1}),
    "two names for one number: one of them is used": (("2", "02"), {1, 2}),
}


def _served(world: World, policies: Mapping[str, str], expected: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Serve models with these policies in one reload; what is AVAILABLE of each in the end."""

    def now() -> dict[str, set[int]]:
        return {
            name: {version for version, state in world.wire.versions(name).items() if state == "AVAILABLE"}
            for name in policies
        }

    world.apply(policies)
    try:
        until(lambda: now() == expected, timeout=world.patience, every=0.05)
    except AssertionError:
        return now()
    world.wait_polls(1)
    return now()


@pytest.fixture(scope="session")
def found() -> dict[tuple[int, str], set[int]]:
    """By server and statement; filled by the first row that asks."""
    return {}


@pytest.fixture
def versions(world: World, found: dict[tuple[int, str], set[int]]) -> dict[str, set[int]]:
    """What is served of the models in POLICIES and NAMES."""
    if (id(world), "") not in found:
        expected: dict[str, set[int]] = {}
        policies: dict[str, str] = {}
        models: dict[str, str] = {}
        for statement, (policy, versions) in POLICIES.items():
            name = models[statement] = world.fresh("policy")
            policies[name], expected[name] = policy, versions
            for version in (1, 2, 3):
                saved_models.add_model(world.base(name), version)
        for statement, (spellings, versions) in NAMES.items():
            name = models[statement] = world.fresh("named")
            policies[name], expected[name] = BOTH, versions
            saved_models.add_model(world.base(name), 1)
            for spelling in spellings:
                saved_models.add_model(world.base(name), 0, name=spelling)
        served = _served(world, policies, expected)
        found.update({(id(world), statement): served[name] for statement, name in models.items()})
        found[id(world), ""] = set()
    return {statement: versions for (server, statement), versions in found.items() if server == id(world)}


@pytest.mark.parametrize("statement", table("4.2", {name: name for name in POLICIES}))
def test_policies(versions: dict[str, set[int]], statement: str) -> None:
    assert versions[statement] == POLICIES[statement][1]


@pytest.mark.parametrize("statement", table("4.4", {name: name for name in NAMES}))
def test_names(versions: dict[str, set[int]], statement: str) -> None:
    assert versions[statement] == NAMES[statement][1]


@row("4.4")
def test_symlinks(world: World) -> None:
    """a symbolic link to a version is a version"""
    name, elsewhere = world.fresh("linked"), world.fresh("elsewhere")
    saved_models.add_model(world.base(elsewhere), 1, scale=7.0)
    world.store.empty(name)
    (world.base(name) / "4").symlink_to(f"../{elsewhere}/1")
    world.load(name, states="4 AVAILABLE")
    assert list(world.wire.predict(name).outputs["y"].float_val) == [7.0]


@row("4.4")
def test_half_copied(world: World) -> None:
    """a version without its variables folder becomes AVAILABLE, and every request gets FAILED_PRECONDITION"""
    assert world.wire.states(world.name("hollow")) == "1 AVAILABLE"
    assert refusal(lambda: world.wire.predict(world.name("hollow"))).startswith("FAILED_PRECONDITION")


@row("4.4", evidence="S")
def test_overwritten_files(world: World) -> None:
    """overwriting the files of a loaded version is not noticed"""
    name, other = world.fresh("overwritten"), world.fresh("other")
    path = saved_models.add_model(world.base(name), 1)
    world.load(name)
    shutil.copytree(saved_models.add_model(world.base(other), 1, scale=9.0), path, dirs_exist_ok=True)
    world.wait_polls()
    assert world.wire.states(name) == "1 AVAILABLE"
    assert list(world.wire.predict(name).outputs["y"].float_val) == [2.0]


@row("4.4")
def test_removed_files(world: World) -> None:
    """weights that are loaded do not need their files"""
    name = world.fresh("removed")
    path = saved_models.add_model(world.base(name), 1)
    world.load(name)
    for child in path.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    world.wait_polls()
    assert list(world.wire.predict(name).outputs["y"].float_val) == [2.0]


@row("4.4")
def test_a_version_disappears(world: World) -> None:
    """under latest a version whose directory disappears goes after the next lower number has loaded, without a gap"""
    name = world.fresh("vanishing")
    for version in (1, 2):
        saved_models.add_model(world.base(name), version)
    world.load(name, states="2 AVAILABLE")
    with world.watch(name) as watch:
        world.wait(lambda: watch.history, "the first look")
        (world.base(name) / "2").rename(world.base(name) / "2.quarantined")
        world.wait_states(name, "2 END, 1 AVAILABLE")
    assert watch.always_available()
    assert world.wire.end_of(name, 2) == (0, "")
    assert world.wire.serving(name) == 1


@row("4.4", late=4)
def test_a_missing_base_path(world: World) -> None:
    """a base_path that disappears leaves everything loaded"""
    name = world.fresh("hidden")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    hidden = world.base(name).rename(world.base(f"{name}.hidden"))
    with pytest.raises(AssertionError):
        until(lambda: world.wire.states(name) != "1 AVAILABLE", timeout=2.5)
    world.wire.predict(name)
    hidden.rename(world.base(name))
    world.wait_polls(1)


@row("5.5")
def test_an_empty_base_path(world: World) -> None:
    """F. a base_path without versions unloads everything of that model: NOT_FOUND Latest(NAME)"""
    name = world.fresh("emptied")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    (world.base(name) / "1").rename(world.base(name) / "1.quarantined")
    world.wait_states(name, "1 END")
    assert refusal(lambda: world.wire.predict(name)) == f"NOT_FOUND: Servable not found for request: Latest({name})"


@row("5.5")
def test_a_specific_policy_of_nothing(world: World) -> None:
    """F. a specific policy that names only versions that are not there unloads the model, while the call is OK"""
    name = world.fresh("nothing")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    assert world.apply({name: specific(77)}).status.error_code == 0
    world.wait_states(name, "1 END")
    assert refusal(lambda: world.wire.predict(name)) == f"NOT_FOUND: Servable not found for request: Latest({name})"
