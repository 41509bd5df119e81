"""What every page has in common: who may see it, its headers, its errors as sentences."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from airbag.errors import AirbagError
from airbag_rollback.access import Access, TooOften
from airbag_rollback.journal import JournalError, Overtaken
from airbag_rollback.pages.door import Door, Visitor, newcomer, read_form
from airbag_rollback.pages.render import Renderer
from airbag_rollback.pages.sessions import Messages
from airbag_rollback.people import NotNow, NotThere
from airbag_rollback.policy import Role

log = logging.getLogger("airbag.receiver.pages")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Nothing for other sites. To ourselves browsers must tell: with no-referrer they hide the origin of our forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATUS: dict[type[AirbagError], int] = {NotThere: 404, NotNow: 409, Overtaken: 409, TooOften: 429, JournalError: 503}


@dataclass(frozen=True)
class Ask:
    """A request by somebody who may make it. `form` is empty for a page that is only read."""

    request: Request
    visitor: Visitor
    form: Mapping[str, str]

    def field(self, name: str) -> str:
        """A field of the form or the query; "" when it is not there."""
        return self.form.get(name, self.request.query_params.get(name, ""))

    def number(self, name: str) -> int | None:
        """The same as a number; None when it is not a short row of digits."""
        text = self.field(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def action_id(self) -> int:
        """The number in the path. NotThere for one that cannot be."""
        text = str(self.request.path_params["action_id"])
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise NotThere(f"there is no action {text}")
        return int(text)


Handler = Callable[[Ask], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class Frame:
    """Wraps handlers. They run on a worker thread: journal and servers take their time."""

    def __init__(self, door: Door, access: Access, renderer: Renderer, messages: Messages) -> None:
        self._door = door
        self._access = access
        self._renderer = renderer
        self._messages = messages

    def page(self, handler: Handler, *, active: bool = True) -> Endpoint:
        """A page that viewers may read. Whom nobody knows is sent to the login, if it may be a person.

        With `active` false it is a part of a page, which keeps nobody logged in.
        """

        async def endpoint(request: Request) -> Response:
            return await self._guarded(request, handler, "viewer", {}, active)

        return endpoint

    def order(self, handler: Handler) -> Endpoint:
        """A form that operators may send."""

        async def endpoint(request: Request) -> Response:
            form = await read_form(request)
            if form is None:
                return self.sentence(413, "The form is too large, so nothing was done.")
            return await self._guarded(request, handler, "operator", form, active=True)

        return endpoint

    async def _guarded(
        self, request: Request, handler: Handler, role: Role, form: Mapping[str, str], active: bool
    ) -> Response:  # fmt: skip
        visitor: Visitor | None = None
        try:
            visitor = await self._door.visitor(request, active=active)
            if visitor is None:
                return self._strange(request, active)
            wrong = self._door.wrong(request, form, visitor.binding) if request.method == "POST" else ""
            if wrong:
                return self.sentence(403, wrong, visitor)
            if self._access.lacks(visitor.caller, role, request):
                text = f"{visitor.name} has the role {visitor.caller.role}; this takes the role {role} or above."
                return self.sentence(403, text, visitor)
            return await run_in_threadpool(handler, Ask(request, visitor, form))
        except AirbagError as error:
            status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
            if status >= 500:
                log.warning("a page could not be shown", extra={"path": request.url.path, "reason": str(error)})
            return self.sentence(status, f"{str(error)[:1].upper()}{str(error)[1:]}.", visitor)
        except Exception:
            log.exception("a page failed", extra={"path": request.url.path})
            return self.sentence(500, "Something went wrong here; the receiver's log has more.", visitor)

    def _strange(self, request: Request, active: bool) -> Response:
        """Nobody known. A cookie that is not sent along from other sites comes with the second try."""
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if not active or request.method != "GET":
            return self.sentence(401, "You are not logged in (any more), so nothing was done.")
        if (
            request.headers.get("sec-fetch-site") == "cross-site"
            and request.headers.get("sec-fetch-mode") == "navigate"
        ):
            return _html(self._renderer.html("again.html", here=here))
        return redirect("/login" + ("" if here == "/" else f"?{urlencode({'to': here})}"))

    def show(self, ask: Ask, template: str, **values: object) -> Response:
        """The page for this visitor, with what it should be told."""
        told = self._messages.take(ask.visitor.binding)
        return _html(self._renderer.html(template, **self._about(ask.visitor), messages=told, **values))

    def part(self, ask: Ask, template: str, **values: object) -> Response:
        """A part of a page, which takes no messages away from it."""
        return _html(self._renderer.html(template, **self._about(ask.visitor), **values))

    def done(self, ask: Ask, to: str, text: str) -> Response:
        """Off to what was changed, which will say so."""
        self._messages.leave(ask.visitor.binding, "good", text)
        return redirect(to)

    def login(self, request: Request, status: int = 200, problem: str = "", to: str = "/", name: str = "") -> Response:
        """The login form."""
        binding = newcomer(request)
        html = self._renderer.html(
            "login.html", form_token=self._door.form_token(binding), problem=problem, to=to, name=name, visitor=None,
            messages=[], title="Log in",
        )  # fmt: skip
        response = _html(html, status)
        newcomer(request, response, binding)
        return response

    def sentence(self, status: int, text: str, visitor: Visitor | None = None) -> Response:
        """A page that says only this."""
        html = self._renderer.html("sentence.html", **self._about(visitor), messages=[], status=status, text=text)
        return _html(html, status)

    def _about(self, visitor: Visitor | None) -> dict[str, object]:
        return {
            "visitor": visitor,
            "may_order": bool(visitor and visitor.caller.may("operator")),
            "form_token": self._door.form_token(visitor.binding) if visitor else "",
        }


def _html(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status, HEADERS)


def redirect(to: str) -> Response:
    """To a place of ours, by GET."""
    return RedirectResponse(quote(to, safe="/?&=%#"), 303, HEADERS)


def own_place(to: str) -> str:
    """Where to go after the login: a path of ours, whatever was asked for."""
    fine = to.startswith("/") and not to.startswith(("//", "/\\", "/login", "/logout")) and to.isprintable()
    return to if fine and "\\" not in to else "/"
