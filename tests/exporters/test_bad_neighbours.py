"""One exporter watches many servers: whatever one of them does, the others' metrics stay whole and fresh.

And the one that misbehaves is told apart: by part, in the scrape; with the reason and the remedy, once in the log.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from itertools import pairwise

import pytest

from airbag_exporters.serving.native import Counter, Requests
from tests.exporters.native_page import PageServer, histogram, line, page_server, write
from tests.exporters.processes import Exporter, running
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port
from tests.fakes.tfs_wire import FakeServing, Status, serving
from tests.fakes.wait import until

soon = partial(until, timeout=30, every=0.2)  # a look is a whole scrape, and must not keep the exporter from working
PARTS = ("status", "metadata", "metrics", "page")
ROUND: dict[Counter, int] = {
    Requests("digits", "OK"): 4,
    Requests("digits", "INTERNAL"): 1,
    **histogram("digits", "Predict", "GRPC", [500.0, 700.0, 900.0, 130_000.0]),
}
FORGED = line(Requests("digits", "OK"), 10**6).decode()
POISON: dict[Counter, int] = {
    Requests("x\udcff", "NOT_FOUND"): 1,
    Requests(f"x\n{FORGED}", "NOT_FOUND"): 1,
    Requests(f'x"}} 5\n{FORGED}', "NOT_FOUND"): 1,
}


def rounds(times: int) -> dict[Counter, int]:
    """The counters after the same traffic has come `times` times."""
    return {counter: value * times for counter, value in ROUND.items()}


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as taken:
        listener.settimeout(0.05)
        ended = threading.Event()

        def take() -> None:
            while not ended.is_set():
                try:
                    taken.enter_context(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


class SomethingElse(BaseHTTPRequestHandler):
    """A web server that has a page for everybody."""

    def do_GET(self) -> None:
        body = b"<!DOCTYPE html><title>Welcome to nginx!</title>\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Neighbours:
    """The servers, good and bad, by the name of their target, and the exporter that watches them all."""

    grpc: dict[str, FakeServing] = field(default_factory=dict)
    pages: dict[str, PageServer] = field(default_factory=dict)
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    exporter: Exporter = field(init=False)

    def counted(self, name: str) -> float:
        """The OK requests of `digits` at one target, whoever answered."""
        return sum(
            value
            for (metric, labels), value in self.exporter.samples().items()
            if metric == "airbag_tfs_requests_total"
            and {("target", name), ("model_name", "digits"), ("status", "OK")} <= labels
        )

    def parts(self, name: str) -> dict[str, float | None]:
        """Which parts of the last poll worked; None for one that the scrape does not show."""
        samples = self.exporter.samples()
        label = frozenset({("serving", "main"), ("target", name)})
        return {part: samples.get(("airbag_tfs_scrape_part_success", label | {("part", part)})) for part in PARTS}

    def polled_at(self, name: str) -> float:
        """When the last poll of a target ended. Quick, so that no poll is missed."""
        page = self.exporter.get("/metrics").text
        found = re.search(
            rf'^airbag_tfs_last_poll_timestamp_seconds{{[^}}]*target="{name}"}} (\S+)$', page, re.MULTILINE
        )
        return float(found[1]) if found else 0

    def next_poll(self, name: str) -> float:
        """Wait for one more poll of a target; when it ended."""
        before = self.polled_at(name)
        return soon(lambda: (now := self.polled_at(name)) > before and now, what=f"a further poll of {name}")

    def told(self, name: str, part: str, sentence: str) -> list[str]:
        """The lines of the log in which one part of one target comes with `sentence`."""
        marks = (sentence, f"target={name} ", f"part={part} ")
        return [each for each in self.exporter.log().splitlines() if all(mark in each for mark in marks)]

    def complaints(self, name: str, part: str) -> list[str]:
        """What the log says about one part of one target that cannot be read."""
        return self.told(name, part, "cannot be read")


def add_server(stack: ExitStack, neighbours: Neighbours, name: str) -> None:
    grpc, page = stack.enter_context(serving()), stack.enter_context(page_server())
    grpc.models["digits"] = {2: Status.AVAILABLE}
    page.page = write(rounds(1))
    neighbours.grpc[name], neighbours.pages[name] = grpc, page
    neighbours.addresses[name] = (grpc.address, page.address)


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    with ExitStack() as stack:
        every = Neighbours()
        for name in ("good", "poisoned", "restarting", "swapped"):
            add_server(stack, every, name)
        every.pages["poisoned"].page = write({**rounds(1), **POISON})
        web = f"127.0.0.1:{stack.enter_context(serving_http(SomethingElse))}"
        every.addresses["dead"] = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
        every.addresses["hanging"] = (stack.enter_context(silent()), stack.enter_context(silent()))
        every.addresses["elsewhere"] = (web, web)
        every.addresses["swapped"] = every.addresses["swapped"][::-1]
        config = tmp_path_factory.mktemp("exporter") / "exporters.yml"
        config.write_text(configuration(every))
        every.exporter = stack.enter_context(running("serving", config))
        for name in every.addresses:
            soon(lambda name=name: every.polled_at(name), what=f"the first poll of {name}")
        yield every


def configuration(every: Neighbours) -> str:
    targets = [f'{{name: {name}, grpc: "{grpc}", rest: "{rest}"}}' for name, (grpc, rest) in every.addresses.items()]
    return f"servings:\n  - {{name: main, models: [{{name: digits}}], targets: [{', '.join(targets)}]}}\n"


def test_a_healthy_server_is_polled_every_second_and_counted_exactly_beside_all_of_them(neighbours: Neighbours) -> None:
    soon(lambda: neighbours.counted("good") == 4, what="the requests from before")
    for times in range(2, 6):
        neighbours.pages["good"].page = write(rounds(times))
        soon(lambda times=times: neighbours.counted("good") == 4 * times, what=f"round {times}")
    polls = [neighbours.next_poll("good") for _ in range(6)]
    # A poll of the hanging server takes nearly a second: who waits for it cannot poll every second.
    assert min(later - earlier for earlier, later in pairwise(polls)) < 1.5
    soon(lambda: neighbours.parts("good") == dict.fromkeys(PARTS, 1), what="every part of the healthy server")
    assert neighbours.exporter.value("airbag_tfs_default_version", target="good") == 2
    assert neighbours.counted("good") == 20


def test_a_poisoned_page_is_read_to_the_last_good_line_and_told(neighbours: Neighbours) -> None:
    soon(lambda: neighbours.counted("poisoned") == 4, what="the requests from before")
    neighbours.pages["poisoned"].page = write({**rounds(2), **POISON}) + b":tensorflow:serving:request_count{torn"
    soon(lambda: neighbours.counted("poisoned") == 8, what="the requests of a page that is torn as well")
    poisoned = {"status": 1, "metadata": 1, "metrics": 1, "page": 0}
    soon(lambda: neighbours.parts("poisoned") == poisoned, what="a page that is bad beside parts that are good")
    for _ in range(3):
        neighbours.next_poll("poisoned")
    (said,) = neighbours.complaints("poisoned", "page")
    assert "Prometheus refuses this page" in said
    assert "only a restart of the server clears it" in said
    assert r"x\\xff" in said
    neighbours.pages["poisoned"].page = write(rounds(3))
    soon(lambda: neighbours.parts("poisoned")["page"] == 1, what="the page of a server started anew")
    soon(lambda: neighbours.counted("poisoned") == 20, what="its counters on top of the old ones")


@pytest.mark.parametrize("name", ["dead", "hanging"])
def test_a_server_that_does_not_answer_fails_by_every_part_and_is_told_once(neighbours: Neighbours, name: str) -> None:
    failed = {"status": 0, "metadata": 0, "metrics": 0, "page": None}
    soon(lambda: neighbours.parts(name) == failed, what=f"the failed parts of {name}")
    for _ in range(3):
        neighbours.next_poll(name)
    assert neighbours.exporter.value("airbag_tfs_up", target=name) == 0
    assert neighbours.exporter.value("airbag_tfs_default_version", target=name) is None
    grpc, rest = neighbours.addresses[name]
    for part, address, remedy in (
        ("status", grpc, "`grpc`"),
        ("metadata", grpc, "`grpc`"),
        ("metrics", rest, "`rest`"),
    ):
        (said,) = neighbours.complaints(name, part)
        assert address in said
        assert remedy in said
        assert "reason=" in said


def test_a_restart_is_told_and_over_and_counts_on(neighbours: Neighbours) -> None:
    name = "restarting"
    soon(lambda: neighbours.counted(name) == 4, what="the requests from before")
    neighbours.grpc[name].die()
    neighbours.pages[name].status = 503
    down = {"status": 0, "metadata": 0, "metrics": 0, "page": None}
    soon(lambda: neighbours.parts(name) == down, what="the server that is down")
    assert neighbours.counted(name) == 4
    neighbours.pages[name].page, neighbours.pages[name].status = write({Requests("digits", "OK"): 1}), 200
    neighbours.grpc[name].start()
    soon(lambda: neighbours.parts(name) == dict.fromkeys(PARTS, 1), what="the server that is back")
    soon(lambda: neighbours.counted(name) == 5, what="the counters of the new process on top of the old ones")
    for part in ("status", "metadata", "metrics"):
        assert len(neighbours.told(name, part, "cannot be read")) == len(
            neighbours.told(name, part, "can be read again")
        )
        assert neighbours.complaints(name, part)


def test_an_address_where_something_else_answers_is_told_by_what_answered(neighbours: Neighbours) -> None:
    name = "elsewhere"
    wrong = {"status": 0, "metadata": 0, "metrics": 1, "page": 0}
    soon(lambda: neighbours.parts(name) == wrong, what="the parts of a web server")
    for _ in range(3):
        neighbours.next_poll(name)
    assert neighbours.counted(name) == 0
    (said,) = neighbours.complaints(name, "page")
    assert "none of TF Serving's" in said
    assert "`rest`" in said
    (said,) = neighbours.complaints(name, "status")
    assert "`grpc`" in said


def test_swapped_ports_are_told_as_wrong_addresses(neighbours: Neighbours) -> None:
    wrong = {"status": 0, "metadata": 0, "metrics": 0, "page": None}
    soon(lambda: neighbours.parts("swapped") == wrong, what="the parts of swapped ports")
    for _ in range(3):
        neighbours.next_poll("swapped")
    assert neighbours.exporter.value("airbag_tfs_up", target="swapped") == 0
    for part, remedy in (("status", "`grpc`"), ("metrics", "`rest`")):
        (said,) = neighbours.complaints("swapped", part)
        assert remedy in said
