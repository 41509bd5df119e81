"""Changing what servers serve: the only module of the receiver that touches TensorFlow Serving.

models.config first, durably, then the identical text to every server: a server that restarts in between serves what
the file says, and one that polls the file agrees with the call. So a server that is silent holds nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airbag.errors import AirbagError, ConfigError, Refused, Unreachable
from airbag.serving import control
from airbag.serving.groups import ServingGroup, Target
from airbag.serving.model_config import (
    FencedOff,
    FileError,
    Locked,
    ModelConfigFile,
    Snapshot,
    StaleGeneration,
    edit_versions,
)
from airbag_rollback import failpoints
from airbag_rollback.actions.landing import Effect, Result
from airbag_rollback.actions.step import Step, listed, names
from airbag_rollback.look import Lookout, ModelView, TargetView, at_each, base_path, on_disk, wanted

RELOAD_TIMEOUT = 10.0
"""Seconds for one server to take a configuration; it may be busy with another one."""

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another writer of models.config; the caller asks again."""


@dataclass(frozen=True)
class Change:
    """What the model should serve, and the precondition: what served and what the file named when planned.

    `needs` must be complete on disk, where that can be seen. `labels` replaces all labels of the model, which were
    `labels_before`; None leaves them. `beside` is the policy that loads `needs` and drops nothing: a server without
    it is given that first, since it refuses labels for what is not loaded. `also` may serve as well. `fence` is the
    fencing token of the receiver that writes, 0 for a person.
    """

    model: str
    versions: tuple[int, ...]
    needs: int
    expected: frozenset[int]
    wanted_before: frozenset[int] | None
    labels: Mapping[str, int] | None = None
    labels_before: Mapping[str, int] | None = None
    beside: tuple[int, ...] = ()
    also: frozenset[int] = frozenset()
    fence: int = 0

    def is_written(self, snapshot: Snapshot) -> bool:
        """Whether the file says already what is meant."""
        meant = self.labels is None or _labels(snapshot, self.model) == self.labels
        return meant and wanted(snapshot, self.model) == frozenset(self.versions)

    def waits_for_load(self, server: TargetView) -> bool:
        """Whether labels would move to a version that this server has not loaded."""
        return self.labels not in (None, self.labels_before) and self.needs not in server.available

    def is_followed(self, server: TargetView) -> bool:
        """Whether the server shows what is meant, so that it need not be told again."""
        return Step(self.versions, self.labels or {}).reached(server, self.needs)


def change(lookout: Lookout, group: ServingGroup, plan: Change) -> Effect:
    """Make `plan.versions` what the model serves, if all is still as planned. Safe to repeat with the same change."""
    if group.model_config_file is None:
        return no_file(group)
    file = ModelConfigFile(group.model_config_file, failpoints.reached)
    try:
        with file.locked(LOCK_TIMEOUT):
            return _change_locked(lookout, group, file, plan)
    except Locked as error:
        return Effect(Result.RETRY, "file_locked", str(error))
    except FencedOff as error:  # nothing was touched; whether it is still ours to act is for the journal to say
        return Effect(Result.RETRY, "fenced", str(error))
    except StaleGeneration as error:
        return Effect(Result.RETRY, "file_changed", str(error))
    except (FileError, ConfigError) as error:
        return _after_file_error(file, plan, error)


def no_file(group: ServingGroup) -> Effect:
    """The refusal to act where Airbag does not know the servers' configuration."""
    text = f"no way to act: the serving {group.name} has no model_config_file in exporters.yml"
    return Effect(Result.IMPOSSIBLE, "no_model_config_file", text)


def _change_locked(lookout: Lookout, group: ServingGroup, file: ModelConfigFile, plan: Change) -> Effect:
    snapshot = file.read()
    if plan.fence and snapshot.fence > plan.fence:  # before a server is told, too: the newer leader may have told it
        text = f"{file.path} was written under fence {snapshot.fence}, this receiver has fence {plan.fence}"
        return Effect(Result.RETRY, "fenced", text)
    view = lookout.look(group, plan.model)
    if not plan.is_written(snapshot):
        changed = _no_longer_as_planned(view, snapshot, plan)
        if changed:
            return changed
    disk = on_disk(base_path(snapshot, plan.model))
    if disk is not None and plan.needs not in disk:
        text = f"version {plan.needs} is not complete under {base_path(snapshot, plan.model)}"
        return Effect(Result.IMPOSSIBLE, "no_eligible_target", text)
    text = edit_versions(snapshot.text, plan.model, plan.versions, labels=plan.labels, source=str(file.path))
    is_new = text != snapshot.text
    # A person has no fence. The same text again, under another fence, shuts out who had it.
    if is_new or (plan.fence and plan.fence != snapshot.fence):
        snapshot = file.replace(snapshot, text, fence=plan.fence or None)
    told = at_each(group.targets, lambda target: _tell(lookout, group, target, view, snapshot, plan, is_new))
    failures = [f"{target.name}: {what}" for target, what in zip(group.targets, told, strict=True) if what]
    if failures:
        done = [target.name for target, what in zip(group.targets, told, strict=True) if not what]
        taken = [f"taken by {', '.join(done)}"] if done else []
        return Effect(Result.UNCLEAR, "reload_failed", "; ".join([*failures, *taken]))
    return Effect(Result.DONE, "reloaded", f"generation {snapshot.generation} of {snapshot.path} was taken")


def _no_longer_as_planned(view: ModelView, snapshot: Snapshot, plan: Change) -> Effect | None:
    named, labels = wanted(snapshot, plan.model), _labels(snapshot, plan.model)
    planned = labels if plan.labels_before is None else plan.labels_before
    if (named, labels) != (plan.wanted_before, planned):
        meant = names(plan.wanted_before, planned)
        text = f"models.config names {names(named, labels)} and no longer {meant}"
        return Effect(Result.SUPERSEDED, "superseded", text)
    if view.unreachable:
        return Effect(Result.RETRY, "server_unreachable", view.unreachable)
    if view.serves == plan.expected or (plan.also and view.serves <= plan.expected | plan.also):
        return None
    text = f"{listed(view.serves)} serves and no longer {listed(plan.expected)}"
    if view.serves & plan.expected:  # servers that follow a release one after the other: judge it anew
        return Effect(Result.RETRY, "servers_moving", text)
    return Effect(Result.SUPERSEDED, "superseded", text)


def _tell(
    lookout: Lookout, group: ServingGroup, target: Target, view: ModelView, snapshot: Snapshot, plan: Change,
    everybody: bool,
) -> str:  # fmt: skip
    """Give one server the whole file; "" when it took it or has followed already, else what is the matter."""
    server = next(each for each in view.targets if each.name == target.name)
    if server.error:
        return f"is silent and not told: {server.error}"
    if not everybody and plan.is_followed(server):
        return ""
    config, waits = snapshot.config, plan.waits_for_load(server)
    try:
        failpoints.reached("before the reload of ", target.name)
        if waits:
            first = edit_versions(snapshot.text, plan.model, plan.beside, labels=plan.labels_before)
            control.reload(group.endpoint(target), first, timeout=RELOAD_TIMEOUT)
        else:
            control.reload(group.endpoint(target), config, timeout=RELOAD_TIMEOUT)
        failpoints.reached("after the reload of ", target.name)
    except AirbagError as error:
        return _refusal(lookout, group, target, snapshot, error)
    return f"has to load {plan.needs} before labels can move to it" if waits else ""


def _refusal(lookout: Lookout, group: ServingGroup, target: Target, snapshot: Snapshot, error: AirbagError) -> str:
    """The server's words, and what they mean where that is known."""
    if isinstance(error, Unreachable) and error.code == "DEADLINE_EXCEEDED":
        return (
            f"the reload is blocked: no answer in {RELOAD_TIMEOUT:g} s. The server waits for an earlier reload (a new "
            f"model without a folder?) and takes this one when it is free; else restart it ({error})"
        )
    if not (isinstance(error, Refused) and error.code == "FAILED_PRECONDITION"):
        return str(error)
    stale = []
    for model in snapshot.config.model_config_list.config:
        loaded = lookout.available(group, target, model.name) if model.version_labels else frozenset()
        stale += [
            f"label {label} of {model.name} names {version}, which is not loaded"
            for label, version in sorted(model.version_labels.items()) if version not in loaded
        ]  # fmt: skip
    if not stale:
        return str(error)
    return (
        f"{'; '.join(stale)}. Until that version is loaded or the label is taken out of models.config, this server "
        f"refuses every reload, for other models as well ({error})"
    )


def _after_file_error(file: ModelConfigFile, plan: Change, error: AirbagError) -> Effect:
    """Nothing was touched, unless the file turns out to say what was meant."""
    try:
        written = plan.is_written(file.read())
    except ConfigError:
        written = False
    return Effect(Result.UNCLEAR if written else Result.FAILED, "models_config", str(error))


def _labels(snapshot: Snapshot, model: str) -> Mapping[str, int]:
    return dict(snapshot.model(model).version_labels)
