"""The receiver over HTTP: Alertmanager's webhook and people's orders in, what is known out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from airbag import __version__
from airbag.errors import AirbagError
from airbag.http import Surface
from airbag_rollback.api import alerts, orders, reading, reports
from airbag_rollback.api.door import guarded
from airbag_rollback.api.openapi import described, refusals
from airbag_rollback.api.rules import has_own_rule
from airbag_rollback.journal import JournalError, Overtaken
from airbag_rollback.pages.routes import page_routes
from airbag_rollback.people import NotNow, NotThere
from airbag_rollback.receiver import Receiver

__all__ = ["create_app", "has_own_rule"]

log = logging.getLogger("airbag.receiver.http")

_STATUS: dict[type[AirbagError], int] = {NotThere: 404, NotNow: 409, Overtaken: 409, JournalError: 503}


def create_app(receiver: Receiver, surface: Surface) -> FastAPI:
    """The application. Its lifespan runs the receiver's threads."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with receiver.run():
            yield

    # No redirects: Alertmanager follows one as a GET without a body and takes that for delivered.
    app = FastAPI(title="Airbag rollback receiver", version=__version__, redirect_slashes=False, lifespan=lifespan)
    alerts.add_to(app, receiver, receiver.access)
    door = guarded(receiver.access)
    for part in (reading, orders, reports):
        router = APIRouter(route_class=door, responses=refusals(*part.REFUSALS))
        part.add_to(router, receiver)
        app.router.routes.extend(router.routes)
    app.openapi = lambda: described(app)  # type: ignore[method-assign] # FastAPI's own way to change the document
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _says(status))
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(HTTPException, _plainly(app))
    app.router.routes.extend(page_routes(receiver))  # first, so that `/` is what serves and not the list of doors
    app.router.routes.extend(surface.routes())
    return app


def _says(status: int) -> Any:  # a handler of Starlette's
    def say(_request: Request, error: Exception) -> Response:
        return _refusal(status, str(error))

    return say


def _plainly(app: FastAPI) -> Any:
    def say(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
        answer = _refusal(error.status_code, error.detail, headers=error.headers)
        if error.status_code == 405:  # Starlette names the methods of one route, and a path may have several
            routes = [each for each in app.routes if each.matches(request.scope)[0] is not Match.NONE]
            answer.headers["Allow"] = ", ".join(
                sorted({way for each in routes for way in getattr(each, "methods", ())})
            )
        return answer

    return say


def _wrong(_request: Request, error: Exception) -> Response:
    """All that is wrong, each with its place and without what was given: that may be a secret in the wrong place."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return _refusal(422, f"{count}: {'; '.join(problems)}"[:2000], problems)


def _refusal(status: int, detail: str, problems: list[str] | None = None, headers: Any = None) -> Response:
    return JSONResponse({"detail": detail, "problems": problems or []}, status, headers)
