"""Every version of a model, and whether one could go back to it or why not."""

from __future__ import annotations

from dataclasses import replace

from airbag.serving.groups import ServingGroup
from airbag.serving.values import State as Loaded
from airbag_rollback.api import values
from airbag_rollback.engine.states import State
from airbag_rollback.judge import Judge
from airbag_rollback.look import ModelView
from airbag_rollback.people import NotThere
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action, Served


def group_of(receiver: Receiver, serving: str, model: str) -> ServingGroup:
    """The serving that has this model; NotThere without it."""
    group = receiver.settings.servings.group(serving)
    if group is None or group.model(model) is None:
        there = ", ".join(
            f"{each.name}/{entry.name}" for each in receiver.settings.servings.servings for entry in each.models
        )
        raise NotThere(f"exporters.yml has no such model on that serving; there: {there}")
    return group


def supposed(receiver: Receiver, serving: str, model: str, view: ModelView, alertname: str) -> Action:
    """An action that nobody wrote down, to be judged as if an alert about what serves had just come.

    Its cause lies far back, so that what is measured now is not taken for older than the alert.
    """
    now = receiver.clock.now()
    epoch = receiver.journal.ledger.epoch(serving, model)
    return Action(
        0,
        "",
        serving,
        model,
        max(view.serves, default=0),
        epoch,
        alertname,
        State.EVALUATING,
        1,
        now,
        alert_at=0.0,
        received_at=now,
    )


def versions(receiver: Receiver, serving: str, model: str) -> values.Versions:
    """All that is known of each version. NotThere for an unknown model; changes nothing."""
    group = group_of(receiver, serving, model)
    view = receiver.lookout.look(group, model)
    usable, refused = options(receiver.judge, supposed(receiver, serving, model, view, ""), view)
    known = {each.version: each for each in receiver.journal.ledger.served(serving, model, receiver.clock.now())}
    quarantined = receiver.journal.quarantine.of(serving, model)
    there = {*known, *refused, *usable, *view.available, *(view.on_disk or ()), *view.serves, *quarantined}
    shown = [
        values.VersionView(
            version=version, serves=version in view.serves, wanted=version in (view.wanted or ()),
            loaded_on=_loaded_on(view, version), on_disk=None if view.on_disk is None else version in view.on_disk,
            quarantined=quarantined.get(version, ""), is_target=usable[:1] == [version],
            refused="it serves now" if version in view.serves else refused.get(version, ""),
            **_proof(known.get(version, Served.never(version))),
        )
        for version in sorted(there, reverse=True)
    ]  # fmt: skip
    return values.Versions(
        serving=serving, model_name=model, serves=sorted(view.serves), target=next(iter(usable), None),
        unreachable=view.unreachable, versions=shown,
    )  # fmt: skip


def options(judge: Judge, action: Action, view: ModelView) -> tuple[list[int], dict[int, str]]:
    """Every version that could be gone back to, best first, and the reason against each of the others.

    The judge names one target at a time; what it named is then taken as tried, so that it names the next.
    """
    usable: list[int] = []
    refused: dict[int, str] = {}
    while True:
        choice = judge.choice(replace(action, tried=tuple(usable)), view)
        refused = {version: why for version, why in choice.refused if version not in usable} | refused
        if choice.target is None or choice.target in usable:
            refused.pop(action.bad_version, None)
            return usable, refused
        usable.append(choice.target)


def _loaded_on(view: ModelView, version: int) -> list[str]:
    return [
        target.name
        for target in view.targets
        if any(each.version == version and each.state is Loaded.AVAILABLE for each in target.versions)
    ]


def _proof(has: Served) -> dict[str, object]:
    if has.bad_at is not None and has.bad_at >= (has.good_at or 0.0):
        verdict = "bad"
    else:
        verdict = "unknown" if has.good_at is None else "good"
    return {
        "soak_seconds": has.soak, "last_until": has.last_until, "requests": has.requests, "verdict": verdict,
        "checksum": has.checksum, "rolled_back": has.rolled_back,
    }  # fmt: skip
