"""What may be read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from airbag_rollback.api import values
from airbag_rollback.api.explain import explain
from airbag_rollback.api.overview import models_view, pause_view
from airbag_rollback.api.versions import versions
from airbag_rollback.drill import failed_at, stages
from airbag_rollback.receiver import Receiver

REFUSALS = (401, 403, 404, 422, 429, 503)


def add_to(router: APIRouter, receiver: Receiver) -> None:
    """Add the routes that change nothing."""

    def actions(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        serving: str | None = None,
        model_name: str | None = None,
        open: bool = False,
    ) -> values.Actions:
        found = receiver.journal.actions.latest(limit)
        kept = [
            each for each in found
            if serving in (None, each.serving) and model_name in (None, each.model_name)
            and (not open or each.ended_at is None)
        ]  # fmt: skip
        return values.Actions(actions=kept)

    def action(action_id: values.ActionId) -> values.Timeline:
        found = receiver.journal.actions.get(action_id)
        if found is None:
            raise HTTPException(404, f"there is no action {action_id}")
        events = tuple(receiver.journal.actions.events(action_id))
        return values.Timeline(**vars(found), events=events, report=receiver.journal.reports.of(action_id))

    def drill(action_id: values.ActionId) -> values.Drill:
        found = receiver.journal.actions.get(action_id)
        if found is None or found.source != "drill":
            raise HTTPException(404, f"there is no drill {action_id}")
        posted_at = receiver.journal.outbox.posted_at(action_id)
        failed = failed_at(found, posted_at)
        return values.Drill(
            id=found.id, serving=found.serving, model_name=found.model_name, target_version=found.target_version,
            state=found.state, reason=found.reason, text=found.text,
            ordered_at=(found.received_at if found.alert_at is None else found.alert_at) or 0.0,
            stages=[values.DrillStage(**vars(each)) for each in stages(found, posted_at)],
            failed_at=values.DrillStage(**vars(failed)) if failed else None,
        )  # fmt: skip

    def serving() -> values.Serving:
        rows = receiver.journal.ledger.present()
        keys = tuple(values.ServingModel.model_fields)
        models = [values.ServingModel.model_validate(dict(zip(keys, row, strict=True))) for row in rows]
        return values.Serving(mode=receiver.settings.policy.mode, models=models)

    def models() -> values.Models:
        return models_view(receiver)

    def of_model(serving: values.InPath, model: values.InPath) -> values.Versions:
        return versions(receiver, serving, model)

    def explained(serving: str, model: str) -> values.Explanation:
        return explain(receiver, serving, model)

    def pauses() -> values.Pauses:
        held = receiver.journal.pauses.present(receiver.clock.now())
        return values.Pauses(pauses=[pause_view(each) for each in held])

    def audit(after: values.After = 0, limit: values.Limit = 100) -> values.AuditPart:
        seq, mac = receiver.journal.audit.head()
        records = [values.AuditRecord(**asdict(each)) for each in receiver.journal.audit.records(after, limit)]
        return values.AuditPart(head_seq=seq, head_mac=mac, records=records)

    add = router.add_api_route
    add("/v1/actions", actions, summary="The latest actions, newest first")
    add("/v1/actions/{action_id}", action, summary="One action with its events")
    add("/v1/drills/{action_id}", drill, summary="How far a drill has come, stage by stage")
    add("/v1/serving", serving, summary="What the ledger saw serving last")
    add("/v1/models", models, summary="Every model, with what holds for it and what is under way")
    add("/v1/models/{serving}/{model}/versions", of_model, summary="Every version, and whether one could go back to it")
    add("/v1/explain", explained, summary="What would be done now, and why not; changes nothing")
    add("/v1/pauses", pauses, summary="The pauses that hold")
    add("/v1/audit", audit, summary="Records of the audit, oldest first")
