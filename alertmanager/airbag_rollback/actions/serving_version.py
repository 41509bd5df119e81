"""Going back by models.config and the reload call: the landing for servers that Airbag may speak to."""

from __future__ import annotations

from abc import ABC, abstractmethod

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Order, Planned, Reality, Result
from airbag_rollback.actions.models_config import Change, change, no_file
from airbag_rollback.actions.step import Step, before, beside, planned, reality, step_of
from airbag_rollback.look import Lookout, ModelView


class ByModelsConfig(ABC):
    """What the landings by models.config have in common: they differ in their plans alone."""

    restores = True

    def __init__(self, lookout: Lookout, group: ServingGroup) -> None:
        self._lookout = lookout
        self._group = group

    def plan(self, order: Order) -> Planned | Effect:
        if self._group.model_config_file is None:
            return no_file(self._group)
        view = self._lookout.look(self._group, order.model_name)
        if view.unreachable:
            return Effect(Result.RETRY, "server_unreachable", view.unreachable)
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        return self._steps(order, order.target, view)

    def apply(self, order: Order) -> Effect:
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        step = step_of(order)
        wanted_before, labels_before = before(order)
        return change(
            self._lookout, self._group,
            Change(
                order.model_name, step.versions, order.target, order.expected, wanted_before, step.labels,
                labels_before, beside(order), frozenset({order.target} if order.step else ()), order.fence,
            ),
        )  # fmt: skip

    def look(self, order: Order) -> Reality:
        return reality(self._lookout.look(self._group, order.model_name), order)

    @abstractmethod
    def _steps(self, order: Order, target: int, view: ModelView) -> Planned | Effect:
        """The plan, from what the file and the servers show now."""


class ServingVersion(ByModelsConfig):
    """The landing `serving-version`: every server goes back to the target, and the bad version goes.

    Labels of versions that go move to the target in the same change: a label that stays on an unloaded version fails
    its clients and every later reload. A loaded version below the target that a label names stays for its clients.
    """

    def _steps(self, order: Order, target: int, view: ModelView) -> Planned | Effect:
        assert self._group.model_config_file is not None  # noqa: S101 - `plan` has seen to it
        named = {version for version in view.labelled.values() if version in view.available}
        stay = sorted({version for version in named if version < target and version != order.bad_version}, reverse=True)
        versions = (target, *stay)
        labels = {label: v if v in versions else target for label, v in view.labelled.items()}
        moved = sorted(label for label, version in labels.items() if version != view.labelled[label])
        steps = [Step(versions, labels)]
        alone = f"models.config names {target} " + (f"beside {', '.join(map(str, stay))}" if stay else "alone")
        text = alone + (f" and gives it {', '.join(moved)}" if moved else "") + ", and every server is told"
        if moved and target not in view.available:
            steps.insert(0, Step(beside(order), view.labelled))
            text = f"{target} is not loaded everywhere and labels move only to what is: it is loaded first; then {text}"
        silent = f"; not now, as it is silent: {view.silent}" if view.silent else ""
        return planned(self._group.model_config_file, view, steps, text + silent)
