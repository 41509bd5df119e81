"""Going back by moving one label: the landing for clients that ask for a label, in milliseconds."""

from __future__ import annotations

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Order, Planned, Result
from airbag_rollback.actions.serving_version import ByModelsConfig
from airbag_rollback.actions.step import Step, beside, planned
from airbag_rollback.look import Lookout, ModelView

DEFAULT_LABEL = "stable"


class ServingLabel(ByModelsConfig):
    """The landing `serving-label`: the label moves from the bad version to the target, and both stay loaded.

    So nothing is loaded or unloaded when the target is loaded everywhere; else it is loaded first, as a step.
    """

    def __init__(self, lookout: Lookout, group: ServingGroup, label: str | None) -> None:
        super().__init__(lookout, group)
        self._label = label or DEFAULT_LABEL

    def _steps(self, order: Order, target: int, view: ModelView) -> Planned | Effect:
        assert self._group.model_config_file is not None  # noqa: S101 - `plan` has seen to it
        wrong = self._wrong(order, target, view)
        if wrong:
            return wrong
        versions = beside(order)
        move = Step(versions, {**view.labelled, self._label: target})
        text = f"label {self._label} moves from {view.labelled[self._label]} to {target}, and both stay loaded"
        if target in view.available:
            return planned(self._group.model_config_file, view, [move], text)
        cold = sorted(server.name for server in view.answering if target not in server.available)
        text = f"{target} is not loaded at {', '.join(cold)}, so it is loaded first; then {text}"
        return planned(self._group.model_config_file, view, [Step(versions, view.labelled), move], text)

    def _wrong(self, order: Order, target: int, view: ModelView) -> Effect | None:
        if not view.by_label:
            text = (
                f"serving-label needs `routing: labels` for {order.model_name} in exporters.yml: clients who name no "
                f"label would stay at {order.bad_version}"
            )
            return Effect(Result.IMPOSSIBLE, "wrong_routing", text)
        named = view.labelled.get(self._label)
        if named is None:
            there = ", ".join(sorted(view.labelled)) or "no label"
            text = f"models.config has no label {self._label} for {order.model_name}; it has {there}"
            return Effect(Result.IMPOSSIBLE, "unknown_label", text)
        if named == target:
            return Effect(Result.SUPERSEDED, "superseded", f"label {self._label} names {target} already")
        if named not in {order.bad_version, *order.tried}:
            text = (
                f"label {self._label} names {named} and not {order.bad_version}, which is bad: name the label to move "
                f"by `label` in policy.yml"
            )
            return Effect(Result.IMPOSSIBLE, "wrong_label", text)
        return None
