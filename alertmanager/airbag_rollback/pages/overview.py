"""What the first page shows: every model, and the actions that are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airbag_rollback.api.versions import options, supposed
from airbag_rollback.engine.guards import held
from airbag_rollback.engine.states import State
from airbag_rollback.journal.history import History
from airbag_rollback.journal.pauses import ALL, Pause
from airbag_rollback.look import ModelView
from airbag_rollback.pages.seen import Seen
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action
from airbag_rollback.standing import unsolved

Key = tuple[str, str]


@dataclass(frozen=True)
class Options:
    """Where one could go back to. `eligible` is in the order in which Airbag would try; `refused` says why not."""

    eligible: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]

    @property
    def target(self) -> int | None:
        """What Airbag would choose now."""
        return self.eligible[0] if self.eligible else None

    def against(self, version: int) -> str:
        """What speaks against this one, "" when nothing does."""
        return dict(self.refused).get(version, "")


@dataclass(frozen=True)
class Model:
    """One model of one serving. `view` is None when its servers did not answer in time."""

    serving: str
    name: str
    serves: tuple[int, ...]
    since: dict[int, float]
    view: ModelView | None
    options: Options | None
    mode: str
    landing: str
    other_modes: tuple[tuple[str, str], ...]
    pauses: tuple[Pause, ...]
    held: str
    needs_human: bool
    opened: Action | None

    @property
    def suspect(self) -> int | None:
        """What a rollback would take away."""
        return max(self.view.serves, default=None) if self.view else None

    @property
    def trouble(self) -> str:
        """What could not be seen, "" when all could."""
        return self.view.unreachable if self.view else "its servers did not answer in time"

    @property
    def own_pause(self) -> Pause | None:
        """The pause of exactly this model."""
        return next(
            (each for each in self.pauses if (each.serving, each.model_name) == (self.serving, self.name)), None
        )


class Overview:
    """Gathers. Reads the journal, the policy and the servers; changes nothing."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._history = History(receiver.journal.database)
        self._seen: Seen[Key, tuple[ModelView, Options | None] | None] = Seen(self._look, receiver.clock)

    def keys(self) -> list[Key]:
        """Every model that exporters.yml lists."""
        groups = self._receiver.settings.servings.servings
        return [(group.name, entry.name) for group in groups for entry in group.models]

    def models(self, keys: Sequence[Key] | None = None, *, anew: bool = False) -> list[Model]:
        """All models, or those named; a name that is not there is left out. With `anew` as they are at this moment."""
        journal, now = self._receiver.journal, self._receiver.clock.now()
        known = {(serving, model): tuple(serves) for serving, model, _, serves, _ in journal.ledger.present()}
        since, waiting = self._history.serving_since(), unsolved(journal)
        pauses, opened = journal.pauses.present(now), {(each.serving, each.model_name): each for each in self.open()}
        there = [key for key in self.keys() if keys is None or key in keys]
        seen = self._seen.all(there, anew=anew)
        return [
            self._model(
                key, seen[key], known.get(key, ()), since.get(key, {}),
                tuple(each for each in pauses if each.serving in (ALL, key[0]) and each.model_name in (ALL, key[1])),
                key in waiting, opened.get(key),
            )
            for key in there
        ]  # fmt: skip

    def _model(
        self, key: Key, seen: tuple[ModelView, Options | None] | None, known: tuple[int, ...],
        since: dict[int, float], pauses: tuple[Pause, ...], needs_human: bool, opened: Action | None,
    ) -> Model:  # fmt: skip
        policy = self._receiver.settings.policy
        rule = policy.rule(*key, "")
        special = {
            alert for each in policy.models if each.matches(*key, next(iter(each.alerts), "")) for alert in each.alerts
        }
        modes = ((alert, policy.rule(*key, alert).mode) for alert in sorted(special))
        view = seen[0] if seen else None
        return Model(
            *key, tuple(sorted(view.serves)) if view and view.serves else known, since, view, seen[1] if seen else None,
            rule.mode, rule.landing, tuple((alert, mode) for alert, mode in modes if mode != rule.mode), pauses,
            self._held(key, view) if view else "", needs_human, opened,
        )  # fmt: skip

    def _held(self, key: Key, view: ModelView) -> str:
        """The guard other than a pause that would hold the next rollback of the model back, in words."""
        receiver = self._receiver
        now, guards = receiver.clock.now(), receiver.settings.policy.guards
        past = receiver.journal.actions.past(supposed(receiver, *key, view, ""))
        found = held(now, "", guards.freezes, guards.limits, past)
        return found.text if found else ""

    def _look(self, key: Key) -> tuple[ModelView, Options | None] | None:
        group = self._receiver.settings.servings.group(key[0])
        if group is None:
            return None
        view = self._receiver.lookout.look(group, key[1])
        return view, self._options(key, view)

    def _options(self, key: Key, view: ModelView) -> Options | None:
        policy = self._receiver.settings.policy
        if not view.serves or not policy.restores(policy.rule(*key, "").landing):
            return None
        action = supposed(self._receiver, *key, view, "")
        eligible, refused = options(self._receiver.judge, action, view)
        against = {version: why for version, why in refused.items() if version not in view.serves}
        return Options(tuple(eligible), tuple(sorted(against.items(), reverse=True)))

    def open(self) -> list[Action]:
        """Actions that have not ended; those that wait for a person first, then the newest."""
        return sorted(
            self._receiver.journal.actions.open(),
            key=lambda each: (each.state is not State.AWAITING_APPROVAL, -each.id),
        )

    def ended(self, limit: int = 10) -> list[Action]:
        """The latest outcomes, newest first."""
        found = self._history.page(limit + 50)
        return [each for each in found if each.ended_at is not None][:limit]
