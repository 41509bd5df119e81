"""The receiver over HTTP: Alertmanager's webhook in, actions out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Security
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from airbag import __version__
from airbag.http import Surface
from airbag_rollback import webhook
from airbag_rollback.journal import JournalError
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action

log = logging.getLogger("airbag.receiver.http")


def wants_token(path: str) -> bool:
    """Whether the routes at this path ask for the bearer token; a route added below must do so too."""
    return path.startswith("/v1/")


def create_app(receiver: Receiver, surface: Surface) -> FastAPI:
    """The application. Its lifespan runs the receiver's threads."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with receiver.run():
            yield

    # No redirects: Alertmanager follows one as a GET without a body and takes that for delivered.
    app = FastAPI(title="Airbag rollback receiver", version=__version__, redirect_slashes=False, lifespan=lifespan)

    def with_token(request: Request) -> None:
        if not webhook.authorized(request.headers.get("authorization"), receiver.settings.token):
            raise HTTPException(401, "wrong or missing bearer token", {"WWW-Authenticate": "Bearer"})

    async def alerts(request: Request) -> Response:
        status, result, detail = await _take(receiver, request)
        receiver.metrics.webhooks.labels(result).inc()
        if status != 202:
            log.warning("webhook refused", extra={"result": result, "detail": detail})
        return JSONResponse({"detail": detail}, status)

    def unreadable(_request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, 503)

    def actions() -> dict[str, Any]:
        return {"actions": [public(action) for action in receiver.journal.actions.latest()]}

    def action(action_id: int) -> dict[str, Any]:
        found = receiver.journal.actions.get(action_id)
        if found is None:
            raise HTTPException(404, f"there is no action {action_id}")
        return public(found) | {"events": [asdict(event) for event in receiver.journal.actions.events(action_id)]}

    def serving() -> dict[str, Any]:
        keys = ("serving", "model_name", "epoch", "serves", "wanted")
        rows = receiver.journal.ledger.present()
        return {"mode": receiver.settings.policy.mode, "models": [dict(zip(keys, row, strict=True)) for row in rows]}

    described = Security(HTTPBearer(auto_error=False))  # for the OpenAPI; the check itself is ours, in constant time
    closed = [described, Depends(with_token)]
    app.add_api_route(
        "/v1/alerts", alerts, methods=["POST"], status_code=202, summary="Take an Alertmanager message (version 4)",
        responses={code: {"description": text} for code, text in _REFUSALS.items()},
        openapi_extra={"requestBody": _body_schema()}, dependencies=[described],
    )  # fmt: skip
    app.add_api_route("/v1/actions", actions, dependencies=closed, summary="The latest 100 actions, newest first")
    app.add_api_route("/v1/actions/{action_id}", action, dependencies=closed, summary="One action with its events")
    app.add_api_route("/v1/serving", serving, dependencies=closed, summary="What the ledger saw serving last")
    app.add_exception_handler(JournalError, unreadable)
    app.router.routes.extend(surface.routes())
    return app


def _body_schema() -> dict[str, Any]:
    """The message's schema without references, which would not resolve inside an OpenAPI document."""
    schema = webhook.Message.model_json_schema()
    schema["properties"]["alerts"]["items"] = schema.pop("$defs")["Alert"]
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_REFUSALS: dict[int | str, str] = {
    400: "no Alertmanager message of version 4", 401: "wrong or missing bearer token", 413: "body too large",
    503: "the journal cannot be written; send it again",
}  # fmt: skip


async def _take(receiver: Receiver, request: Request) -> tuple[int, str, str]:
    """Check, make durable, wake the worker: the status, its metric label and a short sentence.

    A message that holds nothing but the watchdog is only noted: it is there every half minute and asks for nothing.
    """
    if not webhook.authorized(request.headers.get("authorization"), receiver.settings.token):
        return 401, "unauthorized", "wrong or missing bearer token"
    body = await _body(request)
    if body is None:
        return 413, "too_large", f"more than {webhook.BODY_LIMIT} bytes"
    try:
        message = webhook.read(body)
        if message.has_watchdog:
            receiver.path.heard()
        if message.is_only_watchdog:
            for alert in message.alerts:
                receiver.metrics.alerts.labels("watchdog" if alert.status == "firing" else "resolved").inc()
            return 202, "watchdog", "the way works"
        number = await run_in_threadpool(receiver.journal.deliveries.accept, body, receiver.clock.now())
    except webhook.NotAMessage as error:
        return 400, "malformed", str(error)
    except JournalError as error:
        return 503, "journal", str(error)
    if message.truncatedAlerts:
        log.warning("Alertmanager left alerts out; set max_alerts: 0", extra={"left_out": message.truncatedAlerts})
    receiver.worker.wake()
    return 202, "accepted", f"delivery {number} is durable"


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is over the limit, whatever its length was said to be."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > webhook.BODY_LIMIT:
            return None
        parts.append(part)
    return b"".join(parts)


def public(action: Action) -> dict[str, Any]:
    """The action as JSON shows it."""
    return asdict(action)
