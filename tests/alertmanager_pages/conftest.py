"""The pages of a receiver in this process, whose time is set, over real HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest
import requests
import uvicorn
from starlette.applications import Starlette

from airbag_rollback.pages.routes import page_routes
from tests.fakes import rollback
from tests.fakes.ports import free_port
from tests.fakes.wait import until

TOKENS = {"vera": "viewer-token-of-vera", "olga": "operator-token-of-olga", "adam": "administrator-token-of-adam"}
ROLES = {"vera": "viewer", "olga": "operator", "adam": "admin"}
PASSWORD = "a password of uwe"
ACCESS = "{tokens: [" + ", ".join(
    f"{{name: {name}, role: {ROLES[name]}, token: {{file: token_{name}}}}}" for name in TOKENS
) + "], users: [{name: uwe, role: operator, password_hash: {file: hash_uwe}}]}"  # fmt: skip


def give_access(around: rollback.Surroundings) -> None:
    """Write the secrets and a policy that names who may come."""
    for name, token in TOKENS.items():
        (around.folder / f"token_{name}").write_text(token)
    (around.folder / "hash_uwe").write_bytes(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)))
    around.write_policy(access=ACCESS)


@dataclass
class Browser:
    """Follows forms and keeps cookies, as a browser without JavaScript does."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **more: object) -> requests.Response:
        """The page."""
        return self.session.get(self.url + path, timeout=20, **more)  # type: ignore[arg-type]

    def token(self, path: str) -> str:
        """The token in the forms of a page."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get(path).text)
        assert found, f"no form on {path}"
        return found[1]

    def send(self, path: str, on: str = "/", **fields: str) -> requests.Response:
        """Send a form of the page `on`, and follow where it leads."""
        form = {"form_token": self.token(on)} | fields
        return self.session.post(self.url + path, data=form, timeout=20)

    def log_in(self, name: str) -> Browser:
        """With the token of this person."""
        assert self.send("/login", "/login", secret=TOKENS[name]).ok
        return self


@dataclass
class Office:
    """A receiver with its pages."""

    desk: rollback.Bench
    url: str

    def browser(self, name: str = "") -> Browser:
        """A new one, logged in as somebody if a name is given."""
        found = Browser(self.url)
        return found.log_in(name) if name else found


@contextmanager
def serving_pages(desk: rollback.Bench) -> Iterator[str]:
    """The pages of that receiver on a free port."""
    app = Starlette(routes=page_routes(desk.receiver))
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, timeout=30, what="the pages to be served")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def around(tmp_path: Path) -> Iterator[rollback.Surroundings]:
    """Fakes and files around a receiver that three people may visit; version 2 of digits serves."""
    with rollback.surroundings(tmp_path) as found:
        give_access(found)
        yield found


@pytest.fixture
def office(around: rollback.Surroundings) -> Iterator[Office]:
    """Version 3 was just released over a proven 2, and is bad."""
    with rollback.bench(around) as desk:
        desk.released()
        around.bad_release()
        with serving_pages(desk) as url:
            yield Office(desk, url)
