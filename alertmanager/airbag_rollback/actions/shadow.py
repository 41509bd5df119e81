"""Going back for real on the shadow model, and then putting back what was there: the landing of real drills."""

from __future__ import annotations

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Found, Landing, Order, Planned, Reality
from airbag_rollback.actions.models_config import Change, change
from airbag_rollback.look import Lookout


class Shadow:
    """Step 0 is the real landing's only step, step 1 undoes it. Every crash in between is followed by the undoing."""

    restores = True

    def __init__(self, real: Landing, lookout: Lookout, group: ServingGroup) -> None:
        self._real = real
        self._lookout = lookout
        self._group = group

    def plan(self, order: Order) -> Planned | Effect:
        planned = self._real.plan(order)
        if isinstance(planned, Effect):
            return planned
        before = sorted(order.wanted_before or ())
        text = f"{planned.text}; then {', '.join(map(str, before))} again"
        return Planned(planned.document | {"shadow_before": before}, text, steps=2)

    def apply(self, order: Order) -> Effect:
        if order.step == 0:
            return self._real.apply(order)
        return change(self._lookout, self._group, self._undoing(order))

    def look(self, order: Order) -> Reality:
        if order.step == 0:
            return self._real.look(order)
        view = self._lookout.look(self._group, order.model_name)
        if view.unreachable:
            return Reality(Found.UNSEEN, view.unreachable)
        undoing = self._undoing(order)
        if view.wanted not in (frozenset(undoing.versions), undoing.wanted_before):
            text = f"models.config was changed by somebody else and names {sorted(view.wanted or ())}"
            return Reality(Found.OTHER, text)
        if view.wanted != frozenset(undoing.versions):
            return Reality(Found.BEFORE, f"models.config still names {order.target} alone")
        if view.serves == {order.bad_version} and frozenset(undoing.versions) <= view.available:
            return Reality(Found.DONE, f"{order.target} answered alone, and {order.bad_version} answers again")
        return Reality(Found.PARTLY, f"{order.bad_version} does not answer everywhere yet")

    def _undoing(self, order: Order) -> Change:
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        alone = frozenset({order.target})
        versions = tuple(order.plan["shadow_before"])
        return Change(
            order.model_name, versions, order.bad_version, expected=alone, wanted_before=alone, fence=order.fence
        )  # fmt: skip
