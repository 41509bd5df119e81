"""nginx-blue-green against a real nginx, with two groups of servers behind it and clients in front of it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from airbag_rollback.actions.landing import Effect, Found, Result
from airbag_rollback.engine.states import State
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port
from tests.fakes.rollback import Surroundings
from tests.fakes.scripts import SHIPPED, Stage, handle, order, use
from tests.fakes.wait import until

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx"
NGINX_CONF = """\
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/active.conf;
    server {{
        listen 127.0.0.1:{port};
        location = /airbag/colour {{ add_header X-Airbag-Colour $airbag_colour always; return 204; }}
        location / {{ proxy_pass http://tf_serving; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""
COLOUR_CONF = """\
upstream tf_serving {{ server 127.0.0.1:{port}; keepalive 16; }}
map "" $airbag_colour {{ default {colour}; }}
"""


@dataclass
class Colour:
    """A group of servers of one: serves one version of digits."""

    name: str
    version: int
    state: str = "AVAILABLE"
    port: int = 0
    answered: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        colour = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path != f"/v1/models/digits/versions/{colour.version}":
                    self._send(404, {"error": "no such version"})
                    return
                status = {"version": str(colour.version), "state": colour.state}
                self._send(200, {"model_version_status": [status]})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                colour.answered += 1
                self._send(200, {"from": colour.name})

            def _send(self, status: int, body: dict[str, object]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@dataclass
class Front:
    """A running nginx with green active, which serves the bad version 3; blue serves 2."""

    folder: Path
    port: int
    blue: Colour
    green: Colour
    environment: dict[str, str] = field(default_factory=dict)

    def include(self) -> str:
        return (self.folder / "active.conf").read_text()

    def conf(self, colour: str) -> str:
        return (self.folder / f"{colour}.conf").read_text()

    def seen(self) -> str | None:
        """The colour that nginx answers with."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/airbag/colour")
            return connection.getresponse().headers["X-Airbag-Colour"]
        finally:
            connection.close()

    def stage(self) -> Stage:
        return Stage(SHIPPED / "nginx-blue-green", self.folder / "state", self.environment, timeout=60.0)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    with ExitStack() as stack:
        found = Front(folder, free_port(), Colour("blue", 2), Colour("green", 3))
        for colour in (found.blue, found.green):
            colour.port = stack.enter_context(serving_http(colour.handler()))
            (folder / f"{colour.name}.conf").write_text(COLOUR_CONF.format(port=colour.port, colour=colour.name))
        (folder / "active.conf").write_text(found.conf("green"))
        (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, port=found.port))
        start = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        found.environment = {
            "NGINX_INCLUDE": str(folder / "active.conf"), "NGINX_BLUE": str(folder / "blue.conf"),
            "NGINX_GREEN": str(folder / "green.conf"), "NGINX_PID_FILE": str(folder / "nginx.pid"),
            "NGINX_TEST": json.dumps([*start, "-t", "-q"]),
            "NGINX_WHO": f"http://127.0.0.1:{found.port}/airbag/colour",
            "NGINX_BLUE_STATUS": f"http://127.0.0.1:{found.blue.port}/v1/models/{{model}}/versions/{{version}}",
            "NGINX_GREEN_STATUS": f"http://127.0.0.1:{found.green.port}/v1/models/{{model}}/versions/{{version}}",
        }  # fmt: skip
        process = subprocess.Popen(start, start_new_session=True)
        try:
            until(lambda: found.seen() == "green", timeout=30, what="nginx to answer")
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@dataclass
class Client(threading.Thread):
    """Asks one request after the other until told to stop.

    As HTTP clients do (RFC 9112, 9.3.1), it sends again what it sent on a used connection that ended without answer.
    """

    port: int
    keeps: bool
    stopping: threading.Event
    answers: list[tuple[int, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        connection, used = self._connect(), False
        while not self.stopping.is_set():
            try:
                used = self._ask(connection) and self.keeps
            except (OSError, http.client.HTTPException) as error:
                if not used:
                    self.lost.append(repr(error))
                used = False
            if not used:
                connection.close()
                connection = self._connect()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """Whether the connection may be used again."""
        connection.request("POST", "/v1/models/digits:predict", b'{"instances": [[0]]}')
        answer = connection.getresponse()
        self.answers.append((answer.status, json.loads(answer.read())["from"]))
        return not answer.will_close


def test_traffic_goes_to_the_other_colour_and_no_request_is_lost(front: Front) -> None:
    stopping = threading.Event()
    clients = [Client(front.port, keeps, stopping) for keeps in (True, True, False, False)]
    stage = front.stage()
    for client in clients:
        client.start()
    try:
        until(lambda: all(len(each.answers) > 30 for each in clients), timeout=60, what="traffic")
        made = stage.planned()
        assert made.plan["plan"] == {"from": "green", "to": "blue"}
        assert stage.landing.apply(made).result is Result.DONE
        until(lambda: stage.landing.look(made).found is Found.DONE, timeout=60, what="blue to answer")
        counted = [len(each.answers) for each in clients]
        until(
            lambda: all(len(each.answers) > count + 30 for each, count in zip(clients, counted, strict=True)),
            timeout=60, what="traffic after the switch",
        )  # fmt: skip
    finally:
        stopping.set()
        for client in clients:
            client.join(60)
    assert [each.lost for each in clients] == [[]] * 4
    assert {status for each in clients for status, _ in each.answers} == {200}
    assert sum(len(each.answers) for each in clients) > 300
    for client, count in zip(clients, counted, strict=True):
        colours = [colour for _, colour in client.answers]
        assert colours[0] == "green"
        assert set(colours[count + 1 :]) == {"blue"}  # one request may have been on its way when blue was seen
    assert front.include() == front.conf("blue")


def test_what_nginx_refuses_is_put_back_and_never_loaded(front: Front) -> None:
    stage = front.stage()
    made = stage.planned()
    (front.folder / "blue.conf").write_text("upstream tf_serving { no such thing; }\n")
    effect = stage.landing.apply(made)
    assert effect.result is Result.RETRY
    assert "put back to green" in effect.text
    assert front.include() == front.conf("green")
    assert front.seen() == "green"


def test_a_colour_that_does_not_serve_the_target_is_not_switched_to(front: Front) -> None:
    front.blue.version = 1
    effect = front.stage().landing.plan(order())
    assert isinstance(effect, Effect)
    assert (effect.result, effect.reason) == (Result.IMPOSSIBLE, "script_refused")
    assert "blue does not serve version 2" in effect.text
    front.blue.version, front.blue.state = 2, "LOADING"
    effect = front.stage().landing.plan(order())
    assert isinstance(effect, Effect)
    assert effect.result is Result.RETRY
    assert "LOADING" in effect.text


def test_the_target_is_asked_again_just_before_the_switch(front: Front) -> None:
    stage = front.stage()
    made = stage.planned()
    front.blue.state = "END"
    assert stage.landing.apply(made).result is Result.RETRY
    assert front.include() == front.conf("green")


def test_a_file_that_somebody_else_wrote_is_left_alone(front: Front) -> None:
    stage = front.stage()
    made = stage.planned()
    (front.folder / "active.conf").write_text(front.conf("green") + "# by hand\n")
    effect = stage.landing.apply(made)
    assert effect.result is Result.UNCLEAR
    assert "somebody else" in effect.text
    assert stage.landing.look(made).found is Found.OTHER
    assert front.include().endswith("# by hand\n")
    assert isinstance(stage.landing.plan(order()), Effect)


def test_a_file_that_nginx_has_not_loaded_is_not_done(front: Front) -> None:
    stage = front.stage()
    made = stage.planned()
    assert stage.landing.look(made).found is Found.BEFORE
    (front.folder / "active.conf").write_text(front.conf("blue"))
    assert stage.landing.look(made).found is Found.PARTLY
    assert stage.landing.apply(made).result is Result.DONE  # the same order again: it only has to be loaded
    until(lambda: stage.landing.look(made).found is Found.DONE, timeout=60, what="blue to answer")


def test_a_leader_that_was_overtaken_switches_nothing(front: Front) -> None:
    stage = front.stage()
    made = stage.planned(fence=7)
    assert stage.landing.apply(made).result is Result.DONE
    (front.folder / "active.conf").write_text(front.conf("green"))
    late = stage.landing.apply(stage.planned(fence=6))
    assert late.result is not Result.DONE
    assert "fence 6 is lower than 7" in late.text
    assert front.include() == front.conf("green")


def test_a_number_that_is_not_nginx_gets_no_signal(front: Front) -> None:
    stage = front.stage()
    made = stage.planned()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pid = (front.folder / "nginx.pid").read_text()
    try:
        (front.folder / "nginx.pid").write_text(str(bystander.pid))
        effect = stage.landing.apply(made)
        assert "not nginx" in effect.text
        assert bystander.poll() is None
        assert front.include() == front.conf("green")
    finally:
        (front.folder / "nginx.pid").write_text(pid)
        bystander.kill()
        bystander.wait(10)


def test_an_alert_ends_with_the_other_colour(front: Front, around: Surroundings) -> None:
    use(around, "nginx", front.stage())
    action = handle(around)
    assert (action.state, action.landing, action.target_version) == (State.SUCCEEDED, "nginx", 2), action
    assert front.seen() == "blue"
    assert around.named() == (2, 3)  # models.config is not this landing's business
