"""Where the pages are."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from airbag_rollback.access import TooOften
from airbag_rollback.pages.assets import Assets
from airbag_rollback.pages.door import Door, let_in, let_out, newcomer, read_form
from airbag_rollback.pages.frame import Frame, own_place, redirect
from airbag_rollback.pages.graph import Graph
from airbag_rollback.pages.ordering import Ordering
from airbag_rollback.pages.overview import Overview
from airbag_rollback.pages.paths import STATIC
from airbag_rollback.pages.reading import Reading
from airbag_rollback.pages.render import Renderer
from airbag_rollback.pages.sessions import FormTokens, Messages, Sessions
from airbag_rollback.receiver import Receiver


def page_routes(receiver: Receiver) -> list[BaseRoute]:
    """All of them. Put before the routes that every process has, `/` is the overview and not the list of doors."""
    assets = Assets()
    graph = Graph(
        lambda: receiver.settings.policy.prometheus_url, receiver.clock,
        lambda: receiver.settings.policy.prometheus_http_config,
    )  # fmt: skip
    door = Door(receiver.access, lambda: receiver.settings.keys, Sessions(receiver.clock), FormTokens())
    frame = Frame(door, receiver.access, Renderer(assets, graph, receiver.clock), Messages())
    overview = Overview(receiver)
    reading, ordering = Reading(receiver, frame, overview), Ordering(receiver, frame, overview)
    entry = Entry(door, frame)
    read = {
        "/": reading.overview, "/actions": reading.actions, "/actions/{action_id}": reading.action,
        "/actions/{action_id}/report": reading.report, "/rollback": ordering.confirm,
    }  # fmt: skip
    parts = {"/parts/open": reading.open_part, "/parts/actions/{action_id}": reading.action_part}
    orders = {
        "/actions/{action_id}/approve": ordering.approve, "/actions/{action_id}/reject": ordering.reject,
        "/actions/{action_id}/clear": ordering.clear, "/rollback": ordering.roll_back, "/pause": ordering.pause,
        "/resume": ordering.resume,
    }  # fmt: skip
    return [
        *(Route(path, frame.page(handler), methods=["GET"]) for path, handler in read.items()),
        *(Route(path, frame.page(handler, active=False), methods=["GET"]) for path, handler in parts.items()),
        *(Route(path, frame.order(handler), methods=["POST"]) for path, handler in orders.items()),
        Route("/login", entry.form, methods=["GET"]),
        Route("/login", entry.log_in, methods=["POST"]),
        Route("/logout", entry.log_out, methods=["POST"]),
        Route(STATIC + "{name}", assets.serve, methods=["GET"]),
    ]


class Entry:
    """Logging in and out."""

    def __init__(self, door: Door, frame: Frame) -> None:
        self._door = door
        self._frame = frame

    async def form(self, request: Request) -> Response:
        """The form."""
        return self._frame.login(request, to=own_place(request.query_params.get("to", "/")))

    async def log_in(self, request: Request) -> Response:
        """A new session, whatever the browser had before."""
        form = await read_form(request)
        if form is None:
            return self._frame.login(request, 413, "The form is too large.")
        to, name = own_place(form.get("to", "/")), form.get("name", "")
        wrong = self._door.wrong(request, form, newcomer(request))
        if wrong:
            return self._frame.login(request, 403, f"{wrong} Please try again.", to, name)
        try:
            session = await self._door.log_in(request, name, form.get("secret", ""))
        except TooOften as error:
            return self._frame.login(request, 429, f"{error}.".capitalize(), to, name)
        if session is None:
            problem = "This name and password are not known." if name else "This token is not known."
            return self._frame.login(request, 401, problem, to, name)
        self._door.forget(request)
        response = redirect(to)
        let_in(request, response, session)
        return response

    async def log_out(self, request: Request) -> Response:
        """The end of the session."""
        form = await read_form(request) or {}
        visitor = await self._door.visitor(request)
        if visitor is not None:
            wrong = self._door.wrong(request, form, visitor.binding)
            if wrong:
                return self._frame.sentence(403, wrong, visitor)
            self._door.log_out(visitor)
        response = redirect("/login")
        let_out(request, response)
        return response
