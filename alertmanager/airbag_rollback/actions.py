"""Touching TensorFlow Serving: the only module of the receiver that does.

models.config first, durably, then the identical text to every server: a server that restarts in between serves what
the file says, and one that polls the file agrees with the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airbag.errors import AirbagError, ConfigError
from airbag.serving import control
from airbag.serving.groups import ServingGroup
from airbag.serving.model_config import FileError, Locked, ModelConfigFile, Snapshot, StaleGeneration, edit_versions
from airbag_rollback.look import Lookout, base_path, endpoint, on_disk, wanted

RELOAD_TIMEOUT = 10.0
"""Seconds for one server to take a configuration; it may be busy with another one."""

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another writer of models.config; the caller asks again."""


class Result(StrEnum):
    """What came of a touch. Only UNCLEAR leaves open whether anything changed."""

    DONE = "done"  # the file says so and every server took it
    SUPERSEDED = "superseded"  # things are no longer as planned; nothing was touched
    RETRY = "retry"  # not now; nothing was touched
    IMPOSSIBLE = "impossible"  # never like this; nothing was touched
    FAILED = "failed"  # the disk said no; nothing was touched
    UNCLEAR = "unclear"  # touched, and not every server confirmed


@dataclass(frozen=True)
class Effect:
    """The result, with a short word for metrics and a sentence for people."""

    result: Result
    reason: str
    text: str


@dataclass(frozen=True)
class Plan:
    """A switch and its precondition: what served by default and what the file named when it was planned."""

    model: str
    versions: tuple[int, ...]
    needs: int
    expected: frozenset[int]
    wanted_before: frozenset[int] | None


class NotReleased(AirbagError):
    """The release was refused or failed; the message says why."""

    reason = "release"


def switch(lookout: Lookout, group: ServingGroup, plan: Plan) -> Effect:
    """Make `plan.versions` what the model serves, if all is still as planned. Safe to repeat with the same plan."""
    if group.model_config_file is None:
        text = f"no way to act: the serving {group.name} has no model_config_file in exporters.yml"
        return Effect(Result.IMPOSSIBLE, "no_model_config_file", text)
    file = ModelConfigFile(group.model_config_file)
    try:
        with file.locked(LOCK_TIMEOUT):
            return _switch_locked(lookout, group, file, plan)
    except Locked as error:
        return Effect(Result.RETRY, "file_locked", str(error))
    except StaleGeneration as error:
        return Effect(Result.RETRY, "file_changed", str(error))
    except (FileError, ConfigError) as error:
        return _after_file_error(file, plan, error)


def _switch_locked(lookout: Lookout, group: ServingGroup, file: ModelConfigFile, plan: Plan) -> Effect:
    snapshot = file.read()
    named = wanted(snapshot, plan.model)
    if named != frozenset(plan.versions):
        changed = _no_longer_as_planned(lookout, group, plan, named)
        if changed:
            return changed
    disk = on_disk(base_path(snapshot, plan.model))
    if disk is not None and plan.needs not in disk:
        text = f"version {plan.needs} is not complete under {base_path(snapshot, plan.model)}"
        return Effect(Result.IMPOSSIBLE, "no_eligible_target", text)
    text = edit_versions(snapshot.text, plan.model, plan.versions, source=str(file.path))
    if text != snapshot.text:
        snapshot = file.replace(snapshot, text)
    return _tell(group, snapshot)


def _no_longer_as_planned(
    lookout: Lookout, group: ServingGroup, plan: Plan, named: frozenset[int] | None
) -> Effect | None:
    if named != plan.wanted_before:
        text = f"models.config names {_list(named)} and no longer {_list(plan.wanted_before)}"
        return Effect(Result.SUPERSEDED, "superseded", text)
    view = lookout.look(group, plan.model)
    if view.unreachable:
        return Effect(Result.RETRY, "server_unreachable", view.unreachable)
    if view.serves != plan.expected:
        text = f"{_list(view.serves)} serves and no longer {_list(plan.expected)}"
        if view.serves & plan.expected:  # servers that follow a release one after the other: judge it anew
            return Effect(Result.RETRY, "servers_moving", text)
        return Effect(Result.SUPERSEDED, "superseded", text)
    return None


def _tell(group: ServingGroup, snapshot: Snapshot) -> Effect:
    """The whole file to every server, also when one of them fails."""
    failures = []
    for target in group.targets:
        try:
            control.reload(endpoint(target), snapshot.config, timeout=RELOAD_TIMEOUT)
        except AirbagError as error:
            failures.append(f"{target.name}: {error}")
    if failures:
        return Effect(Result.UNCLEAR, "reload_failed", "; ".join(failures))
    return Effect(Result.DONE, "reloaded", f"generation {snapshot.generation} of {snapshot.path} was taken")


def _after_file_error(file: ModelConfigFile, plan: Plan, error: AirbagError) -> Effect:
    """Nothing was touched, unless the file turns out to say what was meant."""
    try:
        written = wanted(file.read(), plan.model) == frozenset(plan.versions)
    except ConfigError:
        written = False
    return Effect(Result.UNCLEAR if written else Result.FAILED, "models_config", str(error))


def release(lookout: Lookout, group: ServingGroup, model: str, version: int) -> frozenset[int]:
    """Serve `version` beside the version that answers now; returns the two. Does not wait for it to load.

    NotReleased when it is not newer, not on disk, or cannot be done; the message holds the server's own words.
    """
    view = lookout.look(group, model)
    if view.unreachable:
        raise NotReleased(f"cannot release while this is unknown: {view.unreachable}")
    if len(view.serves) != 1:
        raise NotReleased(f"the servers of {group.name} do not agree on one version of {model}: {_list(view.serves)}")
    (current,) = view.serves
    if version <= current:
        raise NotReleased(
            f"{version} is not newer than {current}, which serves; the highest number answers. Give it a higher number"
        )
    if view.on_disk is not None and version not in view.on_disk:
        there = _list(view.on_disk)
        raise NotReleased(f"{model} has no complete version {version} in the model store; there: {there}")
    plan = Plan(model, (current, version), version, view.serves, view.wanted)
    effect = switch(lookout, group, plan)
    if effect.result is not Result.DONE:
        raise NotReleased(f"{model} {version} was not released: {effect.text}")
    return frozenset(plan.versions)


def _list(versions: frozenset[int] | None) -> str:
    return "no versions" if not versions else ", ".join(str(version) for version in sorted(versions))
