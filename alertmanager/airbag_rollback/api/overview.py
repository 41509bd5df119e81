"""How things stand with every model, as answers."""

from __future__ import annotations

from airbag_rollback.api import values
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.pausing import not_acting_since
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action


def models_view(receiver: Receiver) -> values.Models:
    """Every configured model with its mode, its pause and its open actions."""
    policy = receiver.settings.policy
    seen = {(serving, model): rest for serving, model, *rest in receiver.journal.ledger.present()}
    open_actions = receiver.journal.actions.open()
    now = receiver.clock.now()
    shown = []
    for group in receiver.settings.servings.servings:
        for entry in group.models:
            epoch, serves, wanted = seen.get((group.name, entry.name), (0, [], None))
            rule = policy.rule(group.name, entry.name, "")
            shown.append(
                values.ModelView(
                    serving=group.name, model_name=entry.name, mode=rule.mode, landing=rule.landing, epoch=epoch,
                    serves=serves, wanted=wanted, paused=receiver.journal.pauses.on(group.name, entry.name, now),
                    open_actions=[
                        open_view(each) for each in open_actions
                        if (each.serving, each.model_name) == (group.name, entry.name)
                    ],
                )
            )  # fmt: skip
    return values.Models(
        mode=policy.mode,
        not_acting_since=not_acting_since(receiver.not_acting_since, receiver.journal, now),
        fence=receiver.journal.database.fence,
        journal_error=receiver.journal.database.last_error,
        models=shown,
    )


def open_view(action: Action) -> values.OpenAction:
    """What an open action waits for."""
    return values.OpenAction(
        id=action.id, state=action.state, reason=action.reason, text=action.text, deadline=action.deadline
    )


def pause_view(pause: Pause) -> values.PauseView:
    """A pause as an answer."""
    return values.PauseView(
        serving=pause.serving, model_name=pause.model_name, since=pause.since, until=pause.until, by=pause.by,
        because=pause.reason,
    )  # fmt: skip
