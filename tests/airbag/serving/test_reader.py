"""What a Reader sees of a server that speaks the real protocol."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import pytest

from airbag.errors import Garbled, Refused, Unreachable
from airbag.serving.native_page import PAGE_MAX
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State, VersionStatus
from tests.exporters.native_page import page_server
from tests.fakes.tfs_wire import FakeServing, Status, serving

PAGE = b'# TYPE :tensorflow:serving:request_count counter\n:x{model_name="\xff"} 1\n'


@pytest.fixture
def fake() -> Iterator[FakeServing]:
    with serving() as running:
        yield running


@pytest.fixture
def reader(fake: FakeServing) -> Iterator[Reader]:
    with Reader(Endpoint(fake.address)) as reading:
        yield reading


def test_versions_come_newest_first_with_state_code_and_message(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {2: Status.AVAILABLE, 10: Status.LOADING, 3: Status.END}
    fake.errors[("m", 3)] = (5, "no saved_model.pb")
    assert reader.versions("m") == (
        VersionStatus(10, State.LOADING),
        VersionStatus(3, State.END, "NOT_FOUND", "no saved_model.pb"),
        VersionStatus(2, State.AVAILABLE),
    )


@pytest.mark.parametrize("state", [s for s in State if s is not State.UNKNOWN])
def test_every_state_is_known_by_its_official_number(fake: FakeServing, reader: Reader, state: State) -> None:
    fake.models["m"] = {1: Status.State.Value(state.name)}
    assert reader.versions("m")[0].state is state


def test_a_state_of_a_newer_server_is_unknown(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {1: 60}
    assert reader.versions("m")[0].state is State.UNKNOWN


def test_a_model_that_the_server_never_heard_of_has_no_versions(reader: Reader) -> None:
    assert reader.versions("nobody") == ()


def test_any_other_no_is_refused(fake: FakeServing, reader: Reader) -> None:
    fake.refuse_with = (grpc.StatusCode.PERMISSION_DENIED, "who are you")
    for ask in (reader.versions, reader.default_version):
        with pytest.raises(Refused):
            ask("m")


def test_the_default_version_is_the_one_that_answers(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {1: Status.AVAILABLE, 2: Status.AVAILABLE, 3: Status.LOADING}
    assert reader.default_version("m") == 2


def test_no_default_version_when_nothing_serves(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {3: Status.END}
    assert reader.default_version("m") is None


def test_a_label_leads_to_its_version(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {1: Status.AVAILABLE, 2: Status.AVAILABLE}
    fake.labels["m"] = {"stable": 1, "gone": 7}
    assert reader.label_version("m", "stable") == 1
    assert reader.label_version("m", "gone") is None
    assert reader.label_version("m", "unheard") is None


def test_another_invalid_argument_is_not_mistaken_for_an_unknown_label(fake: FakeServing, reader: Reader) -> None:
    fake.refuse_with = (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    with pytest.raises(Refused, match="Missing ModelSpec"):
        reader.label_version("m", "stable")


def test_an_answer_that_hides_its_version_is_garbled(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {1: Status.AVAILABLE}
    fake.names_version = False
    with pytest.raises(Garbled, match="which version"):
        reader.default_version("m")


@pytest.mark.parametrize(("version", "answers"), [(None, 2), (1, 1), ("stable", 1)])
def test_a_prediction_tells_which_version_gave_it(
    fake: FakeServing, reader: Reader, version: int | str | None, answers: int
) -> None:
    fake.models["m"] = {1: Status.AVAILABLE, 2: Status.AVAILABLE}
    fake.labels["m"] = {"stable": 1}
    x = np.array([[1.5, 2.5]], np.float32)
    prediction = reader.predict("m", {"x": x}, version, signature="scores")
    assert prediction.version == answers
    np.testing.assert_array_equal(prediction.outputs["x"], x)
    assert fake.requests[-1].model_spec.signature_name == "scores"


def test_version_zero_is_a_version(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {0: Status.AVAILABLE, 1: Status.AVAILABLE}
    assert reader.predict("m", {}, 0).version == 0


def test_every_method_keeps_its_deadline(fake: FakeServing, reader: Reader) -> None:
    fake.hold.clear()
    for ask in (
        lambda: reader.versions("m", 0.2),
        lambda: reader.default_version("m", 0.2),
        lambda: reader.label_version("m", "l", 0.2),
        lambda: reader.predict("m", {}, timeout=0.2),
    ):
        with pytest.raises(Unreachable):
            ask()
    fake.hold.set()


def test_many_threads_share_one_reader(fake: FakeServing, reader: Reader) -> None:
    fake.models["m"] = {1: Status.AVAILABLE}
    seen: list[int | None] = []
    threads = [threading.Thread(target=lambda: seen.append(reader.default_version("m", 20))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 16


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200
    drip = False
    cut = False

    def do_GET(self) -> None:
        known = self.path in ("/monitoring/prometheus/metrics", "/other")
        self.send_response(self.status if known else 400)
        self.send_header("Content-Length", "1000" if self.drip or self.cut else str(len(PAGE)))
        if self.status == 302:
            self.send_header("Location", "/other")
        self.end_headers()
        if not self.drip:
            self.wfile.write(PAGE)
            self.close_connection = self.cut
            return
        stop = time.monotonic() + 5
        while time.monotonic() < stop:
            try:
                self.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def _page(status: int = 200, drip: bool = False, cut: bool = False) -> Iterator[str]:
    handler = type("Handler", (_Page,), {"status": status, "drip": drip, "cut": cut})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reader(rest: str | None, path: str = "/monitoring/prometheus/metrics") -> Reader:
    return Reader(Endpoint("127.0.0.1:1", rest), path)


def test_the_native_page_comes_byte_for_byte_even_with_bytes_that_are_no_text() -> None:
    with _page() as rest, _reader(rest) as reader:
        assert reader.native_page() == PAGE
        assert reader.native_page() == PAGE


def test_the_path_of_the_page_can_be_set() -> None:
    with _page() as rest, _reader(rest, "/other") as reader:
        assert reader.native_page() == PAGE


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_a_page_that_is_not_served_is_refused_with_the_http_status(status: int) -> None:
    with _page(status) as rest, _reader(rest) as reader, pytest.raises(Refused) as caught:
        reader.native_page()
    assert caught.value.code == str(status)


def test_a_missing_page_names_the_flag_that_enables_it() -> None:
    with _page(404) as rest, _reader(rest) as reader, pytest.raises(Refused, match="--monitoring_config_file"):
        reader.native_page()


def test_a_page_that_drips_ends_at_the_deadline() -> None:
    with _page(drip=True) as rest, _reader(rest) as reader:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="no whole page within"):
            reader.native_page(0.3)
        assert time.monotonic() - started < 3


def test_nobody_on_the_rest_port_is_unreachable() -> None:
    with _page() as rest:
        pass
    with _reader(rest) as reader, pytest.raises(Unreachable):
        reader.native_page()


def test_a_page_cut_off_in_the_middle_is_unreachable() -> None:
    with _page(cut=True) as rest, _reader(rest) as reader, pytest.raises(Unreachable, match="IncompleteRead"):
        reader.native_page()


def test_a_page_without_measure_is_refused_before_it_fills_the_memory() -> None:
    with page_server() as server, _reader(server.address) as reader:
        server.page = bytes(PAGE_MAX)
        assert len(reader.native_page(20)) == PAGE_MAX
        server.page = bytes(PAGE_MAX + 1)
        with pytest.raises(Garbled, match="more than 64 MiB"):
            reader.native_page(20)


def test_a_server_without_rest_address_has_no_page() -> None:
    with _reader(None) as reader, pytest.raises(Refused, match="no REST address"):
        reader.native_page()


def test_looking_and_touching_never_import_tensorflow() -> None:
    code = (
        "import pkgutil, sys, importlib, airbag.serving\n"
        "for m in pkgutil.walk_packages(airbag.serving.__path__, 'airbag.serving.'): importlib.import_module(m.name)\n"
        "assert 'airbag.serving.control' in sys.modules and 'airbag.serving.model_config.file' in sys.modules\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'tensorflow_serving', 'keras')])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
