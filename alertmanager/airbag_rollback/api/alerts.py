"""Alertmanager's webhook: checked, made durable, answered. What follows is the worker's."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from airbag_rollback import webhook
from airbag_rollback.access import Access
from airbag_rollback.api.door import NotLetIn, body_within, let_in
from airbag_rollback.api.openapi import SECURITY, refusals
from airbag_rollback.journal import JournalError
from airbag_rollback.receiver import Receiver

log = logging.getLogger("airbag.receiver.http")


def add_to(app: FastAPI, receiver: Receiver, access: Access) -> None:
    """Add the webhook's route."""

    async def alerts(request: Request) -> Response:
        try:
            result, detail = await _take(receiver, access, request)
            answer: Response = JSONResponse({"detail": detail}, 202)
        except NotLetIn as refusal:
            result, detail, answer = refusal.result, refusal.detail, _refused(refusal)
            # Too large is lost until somebody does something: Alertmanager does not divide it.
            log.log(
                logging.ERROR if refusal.status == 413 else logging.WARNING,
                "webhook refused", extra={"result": result, "detail": detail, "status": answer.status_code},
            )  # fmt: skip
        receiver.metrics.webhooks.labels(result).inc()
        return answer

    app.add_api_route(
        "/v1/alerts", alerts, methods=["POST"], status_code=202, summary="Take an Alertmanager message (version 4)",
        operation_id="post_alerts", tags=["alerts"],
        responses={202: {"description": "durable, or nothing to keep"}, **refusals(400, 401, 403, 413, 415, 503)},
        openapi_extra={"requestBody": _body_schema(), "security": SECURITY, "x-airbag-role": "alertmanager"},
    )  # fmt: skip


def _refused(refusal: NotLetIn) -> Response:
    """429 would be final for this message; after 503 Alertmanager sends it again."""
    status = 503 if refusal.status == 429 else refusal.status
    return NotLetIn(status, refusal.result, refusal.detail).answer()


async def _take(receiver: Receiver, access: Access, request: Request) -> tuple[str, str]:
    """Check, make durable, wake the worker: the result for metrics and a short sentence. Raises NotLetIn.

    A message that holds nothing but the watchdog is only noted: it is there every half minute and asks for nothing.
    """
    await let_in(access, request, "alertmanager")
    body = await body_within(request, webhook.BODY_LIMIT)
    try:
        message = webhook.read(body)
        if message.has_watchdog:
            receiver.path.heard()
        if message.is_only_watchdog:
            for alert in message.alerts:
                receiver.metrics.alerts.labels("watchdog" if alert.status == "firing" else "resolved").inc()
            return "watchdog", "the way works"
        number = await run_in_threadpool(receiver.journal.deliveries.accept, body, receiver.clock.now())
    except webhook.NotAMessage as error:
        raise NotLetIn(400, "malformed", str(error)) from error
    except JournalError as error:
        raise NotLetIn(503, "journal", str(error)) from error
    receiver.worker.wake()
    return "accepted", f"delivery {number} is durable"


def _body_schema() -> dict[str, Any]:
    """The message's schema without references, which would not resolve inside an OpenAPI document."""
    schema = webhook.Message.model_json_schema()
    schema["properties"]["alerts"]["items"] = schema.pop("$defs")["Alert"]
    return {"required": True, "content": {"application/json": {"schema": schema}}}
