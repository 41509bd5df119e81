"""Putting a newer version live, beside the one that answers now."""

from __future__ import annotations

from airbag.errors import AirbagError
from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Result
from airbag_rollback.actions.models_config import Change, change
from airbag_rollback.actions.step import listed
from airbag_rollback.look import Lookout


class NotReleased(AirbagError):
    """The release was refused or failed; the message says why."""

    reason = "release"


def release(lookout: Lookout, group: ServingGroup, model: str, version: int) -> frozenset[int]:
    """Serve `version` beside the version that answers now; returns the two. Does not wait for it to load.

    NotReleased when it is not newer, not on disk, or cannot be done; the message holds the server's own words.
    """
    view = lookout.look(group, model)
    unknown = view.unreachable or view.silent
    if unknown:
        raise NotReleased(f"cannot release while this is unknown: {unknown}")
    if len(view.serves) != 1:
        raise NotReleased(f"the servers of {group.name} do not agree on one version of {model}: {listed(view.serves)}")
    (current,) = view.serves
    if version <= current:
        raise NotReleased(
            f"{version} is not newer than {current}, which serves; the highest number answers. Give it a higher number"
        )
    if view.on_disk is not None and version not in view.on_disk:
        there = listed(view.on_disk)
        raise NotReleased(f"{model} has no complete version {version} in the model store; there: {there}")
    plan = Change(model, (current, version), version, view.serves, view.wanted)
    effect = change(lookout, group, plan)
    if effect.result is not Result.DONE:
        raise NotReleased(f"{model} {version} was not released: {effect.text}")
    return frozenset(plan.versions)
