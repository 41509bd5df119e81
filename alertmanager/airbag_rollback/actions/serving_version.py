"""Going back by models.config and the reload call: the landing for servers that Airbag may speak to."""

from __future__ import annotations

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Found, Order, Planned, Reality, Result
from airbag_rollback.actions.models_config import Change, change
from airbag_rollback.look import Lookout, ModelView


class ServingVersion:
    """The landing `serving-version`: the target alone, at every server of the group."""

    restores = True

    def __init__(self, lookout: Lookout, group: ServingGroup) -> None:
        self._lookout = lookout
        self._group = group

    def plan(self, order: Order) -> Planned | Effect:
        if self._group.model_config_file is None:
            text = f"no way to act: the serving {self._group.name} has no model_config_file in exporters.yml"
            return Effect(Result.IMPOSSIBLE, "no_model_config_file", text)
        document = {"file": str(self._group.model_config_file), "versions": [order.target]}
        return Planned(document, f"models.config names {order.target} alone, and every server is told")

    def apply(self, order: Order) -> Effect:
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        return change(
            self._lookout, self._group,
            Change(
                order.model_name, tuple(order.plan["versions"]), order.target, order.expected, order.wanted_before,
                fence=order.fence,
            ),
        )  # fmt: skip

    def look(self, order: Order) -> Reality:
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        view = self._lookout.look(self._group, order.model_name)
        if view.unreachable:
            return Reality(Found.UNSEEN, view.unreachable)
        meant = frozenset(order.plan["versions"])
        if view.wanted not in (meant, order.wanted_before):
            text = f"models.config was changed by somebody else and names {sorted(view.wanted or ())}"
            return Reality(Found.OTHER, text)
        if view.wanted != meant:
            return Reality(Found.BEFORE, "models.config is as before")
        if all(target.settled(order.target) for target in view.targets):
            return Reality(Found.DONE, f"{order.target} serves alone")
        return Reality(Found.PARTLY, unsettled(view, order.target))


def unsettled(view: ModelView, target: int) -> str:
    """What keeps the switch from being done, with the server's own words where a load failed."""
    lines = []
    for each in view.targets:
        if each.error or each.settled(target):
            lines += [f"{each.name}: {each.error}"] if each.error else []
            continue
        states = ", ".join(f"{status.version} {status.state.name}" for status in each.versions) or "no versions"
        failure = each.failure(target)
        lines.append(f"{each.name}: {states}" + (f"; {target} failed: {failure}" if failure else ""))
    return "; ".join(lines)
