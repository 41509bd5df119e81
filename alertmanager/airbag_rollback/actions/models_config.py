"""Changing what servers serve: the only module of the receiver that touches TensorFlow Serving.

models.config first, durably, then the identical text to every server: a server that restarts in between serves what
the file says, and one that polls the file agrees with the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airbag.errors import AirbagError, ConfigError
from airbag.serving import control
from airbag.serving.groups import ServingGroup
from airbag.serving.model_config import FileError, Locked, ModelConfigFile, Snapshot, StaleGeneration, edit_versions
from airbag_rollback import failpoints
from airbag_rollback.actions.landing import Effect, Result
from airbag_rollback.look import Lookout, base_path, endpoint, on_disk, wanted

RELOAD_TIMEOUT = 10.0
"""Seconds for one server to take a configuration; it may be busy with another one."""

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another writer of models.config; the caller asks again."""


@dataclass(frozen=True)
class Change:
    """What the model should serve, and the precondition: what served by default and what the file named when planned.

    `needs` must be complete on disk, where that can be seen. `labels` replaces all labels of the model; None leaves
    them. `fence` is the fencing token of who writes.
    """

    model: str
    versions: tuple[int, ...]
    needs: int
    expected: frozenset[int]
    wanted_before: frozenset[int] | None
    labels: Mapping[str, int] | None = None
    fence: int = 0


def change(lookout: Lookout, group: ServingGroup, plan: Change) -> Effect:
    """Make `plan.versions` what the model serves, if all is still as planned. Safe to repeat with the same change."""
    if group.model_config_file is None:
        text = f"no way to act: the serving {group.name} has no model_config_file in exporters.yml"
        return Effect(Result.IMPOSSIBLE, "no_model_config_file", text)
    file = ModelConfigFile(group.model_config_file, failpoints.reached)
    try:
        with file.locked(LOCK_TIMEOUT):
            return _change_locked(lookout, group, file, plan)
    except Locked as error:
        return Effect(Result.RETRY, "file_locked", str(error))
    except StaleGeneration as error:
        return Effect(Result.RETRY, "file_changed", str(error))
    except (FileError, ConfigError) as error:
        return _after_file_error(file, plan, error)


def _change_locked(lookout: Lookout, group: ServingGroup, file: ModelConfigFile, plan: Change) -> Effect:
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
    text = edit_versions(snapshot.text, plan.model, plan.versions, labels=plan.labels, source=str(file.path))
    if text != snapshot.text:
        snapshot = file.replace(snapshot, text)
    return _tell(group, snapshot)


def _no_longer_as_planned(
    lookout: Lookout, group: ServingGroup, plan: Change, named: frozenset[int] | None
) -> Effect | None:
    if named != plan.wanted_before:
        text = f"models.config names {listed(named)} and no longer {listed(plan.wanted_before)}"
        return Effect(Result.SUPERSEDED, "superseded", text)
    view = lookout.look(group, plan.model)
    if view.unreachable:
        return Effect(Result.RETRY, "server_unreachable", view.unreachable)
    if view.serves != plan.expected:
        text = f"{listed(view.serves)} serves and no longer {listed(plan.expected)}"
        if view.serves & plan.expected:  # servers that follow a release one after the other: judge it anew
            return Effect(Result.RETRY, "servers_moving", text)
        return Effect(Result.SUPERSEDED, "superseded", text)
    return None


def _tell(group: ServingGroup, snapshot: Snapshot) -> Effect:
    """The whole file to every server, also when one of them fails."""
    failures = []
    for target in group.targets:
        failpoints.reached("before the reload of ", target.name)
        try:
            control.reload(endpoint(target), snapshot.config, timeout=RELOAD_TIMEOUT)
            failpoints.reached("after the reload of ", target.name)
        except AirbagError as error:
            failures.append(f"{target.name}: {error}")
    if failures:
        return Effect(Result.UNCLEAR, "reload_failed", "; ".join(failures))
    return Effect(Result.DONE, "reloaded", f"generation {snapshot.generation} of {snapshot.path} was taken")


def _after_file_error(file: ModelConfigFile, plan: Change, error: AirbagError) -> Effect:
    """Nothing was touched, unless the file turns out to say what was meant."""
    try:
        written = wanted(file.read(), plan.model) == frozenset(plan.versions)
    except ConfigError:
        written = False
    return Effect(Result.UNCLEAR if written else Result.FAILED, "models_config", str(error))


def listed(versions: frozenset[int] | None) -> str:
    return "no versions" if not versions else ", ".join(str(version) for version in sorted(versions))
