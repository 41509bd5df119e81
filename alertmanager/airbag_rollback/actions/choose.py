"""Which landing an action lands by."""

from __future__ import annotations

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Found, Landing, Order, Planned, Reality, Result
from airbag_rollback.actions.quarantine_directory import QuarantineDirectory
from airbag_rollback.actions.script import Script
from airbag_rollback.actions.serving_label import ServingLabel
from airbag_rollback.actions.serving_version import ServingVersion
from airbag_rollback.look import Lookout
from airbag_rollback.place import folder_of
from airbag_rollback.policy import Policy


class UnknownLanding(KeyError):
    """policy.yml no longer has the landing that an open action was planned with."""


def landing_of(name: str, label: str | None, policy: Policy, group: ServingGroup, lookout: Lookout) -> Landing:
    """The landing of that name. `label` is the one to move, for landings that move labels."""
    if name == "serving-version":
        return ServingVersion(lookout, group)
    if name == "serving-label":
        return ServingLabel(lookout, group, label)
    if name == "quarantine-directory":
        return QuarantineDirectory(lookout, group)
    if name in policy.landings:
        return Script(name, policy.landings[name], folder_of(policy.journal) / "landings" / name)
    raise UnknownLanding(name)


class NoEffect:
    """The same plan, and nothing is touched: for drills. What is there counts as done."""

    def __init__(self, real: Landing) -> None:
        self._real = real
        self.restores = real.restores

    def plan(self, order: Order) -> Planned | Effect:
        return self._real.plan(order)

    def apply(self, order: Order) -> Effect:  # noqa: ARG002 - as every landing's
        return Effect(Result.DONE, "drilled", "nothing was touched, as this is a drill")

    def look(self, order: Order) -> Reality:
        real = self._real.look(order)
        return real if real.found is Found.UNSEEN else Reality(Found.DONE, f"a drill: {real.text}")
