"""The report of an action: attached by people, kept with its record, shown as what somebody else wrote."""

from __future__ import annotations

import functools
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

from airbag_rollback.api import values
from airbag_rollback.api.door import caller_of
from airbag_rollback.journal.reports import Attached
from airbag_rollback.receiver import Receiver

REFUSALS = (401, 403, 404, 413, 415, 422, 429, 503)
PATH = "/v1/actions/{action_id}/report"
HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Whatever the document holds, it runs nothing, loads nothing, sends nothing and is in nobody's frame."""

_Html = Annotated[str, Body(media_type="text/html", pattern="^<!doctype html>", description="One whole HTML page.")]


def document_of(receiver: Receiver, action_id: int) -> Response | None:
    """The report of an action as browsers may have it; None when there is none. JournalError as usual."""
    document = receiver.journal.reports.read(action_id)
    return None if document is None else HTMLResponse(document, 200, HEADERS)


def add_to(router: APIRouter, receiver: Receiver) -> None:
    """Add the routes."""

    def attach(request: Request, action_id: values.ActionId, document: _Html) -> Attached:
        if receiver.journal.actions.get(action_id) is None:
            raise HTTPException(404, f"there is no action {action_id}")
        by, now = caller_of(request).name, receiver.clock.now()
        return receiver.journal.reports.attach(action_id, document.encode(), by, now)

    def report(action_id: values.ActionId) -> Response:
        found = document_of(receiver, action_id)
        if found is None:
            raise HTTPException(404, f"no report is attached to action {action_id}")
        return found

    page: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/html": {"schema": {"type": "string"}}}}
    }  # Any: FastAPI's own shape
    add = functools.partial(router.add_api_route, PATH)
    add(report, response_class=Response, responses=page, summary="The report that was attached to an action")
    add(attach, methods=["PUT"], summary="Attach a report to an action, in place of the one before")
