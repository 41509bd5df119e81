"""Which version a request is counted for."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.attribution import (
    MULTIPLE,
    SWITCHING,
    Attribution,
    Increase,
    Look,
    Routing,
    Sample,
    View,
    owner,
)
from airbag_exporters.serving.defects import Defect, Kind
from airbag_exporters.serving.native import Page, Requests
from tests.exporters.simulated_server import MODEL, SimulatedServer

OK = Requests("m", "OK")
ROUTING: dict[str, Routing] = {"m": "default"}


def view(default: int | None = 2, **states: State | tuple[State, str]) -> View:
    """`view(2, v1=END, v2=AVAILABLE)`."""
    pairs = {int(name[1:]): state if isinstance(state, tuple) else (state, "OK") for name, state in states.items()}
    return View(tuple(VersionStatus(version, state, code) for version, (state, code) in pairs.items()), default)


STEADY = view(2, v1=State.AVAILABLE, v2=State.AVAILABLE)


def sample(count: int | None, seen: View | None = STEADY) -> Sample:
    look: Look = {"m": seen} if seen else {}
    return Sample(look, None if count is None else Page({OK: count}), look)


def watched(*samples: Sample, routing: Routing = "default") -> list[tuple[str, int]]:
    """Owner and amount of each increase of the samples in turn."""
    attribution = Attribution()
    found = [increase for each in samples for increase in attribution.observe(each, {"m": routing})]
    return [(increase.owner, increase.amount) for increase in found]


def test_a_steady_version_owns_what_was_counted_between_two_pages() -> None:
    assert watched(sample(10), sample(15)) == [(SWITCHING, 10), ("2", 5)]


def test_a_counter_that_appears_later_started_at_0() -> None:
    """The first error of a version belongs to that version."""
    attribution = Attribution()
    attribution.observe(Sample({"m": STEADY}, Page({}), {"m": STEADY}), ROUTING)
    assert attribution.observe(sample(3), ROUTING) == [Increase(OK, "2", 3)]


def test_a_counter_that_fell_means_a_restart_and_belongs_to_nobody() -> None:
    assert watched(sample(10), sample(4), sample(6)) == [(SWITCHING, 10), (SWITCHING, 4), ("2", 2)]


def test_a_series_that_left_means_a_restart_also_for_the_series_that_grew() -> None:
    attribution = Attribution()
    lost = Requests("m", "INTERNAL")
    attribution.observe(Sample({"m": STEADY}, Page({OK: 10, lost: 1}), {"m": STEADY}), ROUTING)
    assert attribution.observe(sample(12), ROUTING) == [Increase(OK, SWITCHING, 12)]


def test_a_page_that_failed_loses_nothing() -> None:
    assert watched(sample(10), sample(None), sample(15)) == [(SWITCHING, 10), ("2", 5)]


def test_a_look_that_failed_leaves_open_who_answered() -> None:
    assert watched(sample(10), sample(None, seen=None), sample(15)) == [(SWITCHING, 10), (SWITCHING, 5)]


def test_models_that_the_configuration_lacks_are_several() -> None:
    attribution = Attribution()
    attribution.observe(sample(10), {})
    assert attribution.observe(sample(11), {}) == [Increase(OK, MULTIPLE, 1)]


def test_counters_of_an_earlier_process_are_gone_on_with_and_nobody_owns_the_time_between() -> None:
    attribution = Attribution({OK: 10})
    assert attribution.observe(sample(15), ROUTING) == [Increase(OK, SWITCHING, 5)]
    assert attribution.observe(sample(16), ROUTING) == [Increase(OK, "2", 1)]


def test_a_line_that_was_lost_is_no_restart() -> None:
    attribution = Attribution()
    lost = Requests("m", "INTERNAL")
    attribution.observe(Sample({"m": STEADY}, Page({OK: 10, lost: 4}), {"m": STEADY}), ROUTING)
    torn = Page({OK: 12}, (Defect(Kind.TORN),))
    assert attribution.observe(Sample({"m": STEADY}, torn, {"m": STEADY}), ROUTING) == [Increase(OK, "2", 2)]
    whole = Page({OK: 12, lost: 5})
    assert attribution.observe(Sample({"m": STEADY}, whole, {"m": STEADY}), ROUTING) == [Increase(lost, "2", 1)]


def test_counting_begins_with_the_first_whole_page() -> None:
    attribution = Attribution()
    torn = Page({}, (Defect(Kind.TORN),))
    assert attribution.observe(Sample({"m": STEADY}, torn, {"m": STEADY}), ROUTING) == []
    assert attribution.observe(sample(10), ROUTING) == [Increase(OK, SWITCHING, 10)]


@pytest.mark.parametrize(
    ("asked", "expected"), [(set(), "2"), ({2}, "2"), ({1}, SWITCHING), ({1, 2}, SWITCHING), ({3}, SWITCHING)]
)
def test_what_may_hold_an_answer_of_a_version_that_we_asked_ourselves_belongs_to_nobody(
    asked: set[int], expected: str
) -> None:
    attribution = Attribution()
    attribution.observe(sample(10), ROUTING)
    found = attribution.observe(Sample({"m": STEADY}, Page({OK: 12}), {"m": STEADY}, {"m": frozenset(asked)}), ROUTING)
    assert found == [Increase(OK, expected, 2)]


def test_an_asked_version_leaves_several_what_it_is_and_other_models_alone() -> None:
    attribution = Attribution()
    routing: dict[str, Routing] = {"m": "labels", "n": "default"}
    look: Look = {"m": STEADY, "n": STEADY}
    other = Requests("n", "OK")
    attribution.observe(Sample(look, Page({OK: 1, other: 1}), look), routing)
    asked = {"m": frozenset({1}), "nobody": frozenset({1})}
    found = attribution.observe(Sample(look, Page({OK: 2, other: 2}), look, asked), routing)
    assert found == [Increase(OK, MULTIPLE, 1), Increase(other, "2", 1)]


@pytest.mark.parametrize(
    ("loaded", "folders", "expected"),
    [
        ("/m/3", {"m": "/m"}, SWITCHING),
        ("/m/2", {"m": "/m"}, SWITCHING),
        ("/m/0002", {"m": "/m/"}, SWITCHING),
        ("/m/1", {"m": "/m"}, "2"),
        ("/other/3", {"m": "/m"}, "2"),
        ("/other/3", {}, SWITCHING),
        ("/m/export", {}, "2"),
    ],
)
def test_a_version_that_came_and_went_unseen_left_its_load_on_the_page(
    loaded: str, folders: dict[str, str], expected: str
) -> None:
    attribution = Attribution()
    first = {"/m/2": 1, loaded: 4}
    for count, loads in ((10, first), (12, first), (15, {**first, loaded: 5})):
        one = Sample({"m": STEADY}, Page({OK: count}), {"m": STEADY}, loads=loads)
        found = attribution.observe(one, ROUTING, folders)
    assert found == [Increase(OK, expected, 3)]
    assert attribution.observe(one, ROUTING, folders) == []


A, U, L, END = State.AVAILABLE, State.UNLOADING, State.LOADING, State.END


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ([view(2, v2=A)] * 4, "2"),
        ([view(2, v2=A), view(2, v2=A, v3=L), view(2, v2=A, v3=L)], "2"),
        ([view(2, v2=A, v3=L), view(2, v2=A, v3=(END, "NOT_FOUND"))], "2"),
        ([view(2, v2=A, v3=END), view(2, v2=A, v3=END)], "2"),
        ([view(2, v2=A), view(3, v2=A, v3=L)], SWITCHING),
        ([view(3, v2=A, v3=L), view(3, v2=A, v3=A)], SWITCHING),
        ([view(2, v2=A, v3=U), view(2, v2=A, v3=END)], SWITCHING),
        ([view(2, v2=A, v3=A), view(2, v2=A, v3=END)], SWITCHING),
        ([view(2, v2=A), view(2, v2=A, v3=END)], SWITCHING),
        ([view(2, v2=A, v3=(END, "NOT_FOUND")), view(2, v2=A, v3=END)], SWITCHING),
        ([view(2, v2=A), view(2, v2=U), view(2, v2=A)], SWITCHING),
        ([view(None, v2=END)] * 2, SWITCHING),
        ([view(2, v2=A), None], SWITCHING),
        ([], SWITCHING),
    ],
)
def test_a_version_owns_an_interval_only_if_no_other_can_have_answered(views: list[View | None], expected: str) -> None:
    assert owner(views, "default") == expected


@pytest.mark.parametrize("routing", ["labels", "versions"])
def test_clients_who_choose_a_version_leave_open_which_when_there_are_several(routing: Routing) -> None:
    assert owner([STEADY] * 4, routing) == MULTIPLE
    assert owner([view(2, v1=END, v2=A)] * 4, routing) == "2"
    assert owner([view(2, v1=U, v2=A)] * 4, routing) == SWITCHING


class Exporter:
    """Polls the simulated server one call at a time, so that anything can happen between two calls."""

    def __init__(self, server: SimulatedServer) -> None:
        self.server = server
        self.attribution = Attribution()
        self.counted: Counter[tuple[str, str]] = Counter()
        self.native: Counter[str] = Counter()
        self._seen: list[object] = []
        self._at_page: Counter[tuple[int, str]] = Counter()

    def poll(self, how: str) -> None:
        server, calls = self.server, ["statuses", "default", "page", "default", "statuses"]
        call = calls[len(self._seen)]
        if call == "page":
            self._truth, self._loads = server.answered.copy(), dict(server.loads)
        if not self._seen:
            server.let_a_second_pass()
        answer = getattr(server, call)
        self._seen.append(answer() if callable(answer) else answer)
        if len(self._seen) == len(calls):
            self._observe(how, *self._seen)
            self._seen = []

    @property
    def is_between_polls(self) -> bool:
        """A poll takes less than a second; between two of them the exporter may be stopped for as long as one likes."""
        return not self._seen

    def _observe(self, how: str, *seen: object) -> None:
        status, default, page, new_default, new_status = seen
        before: Look = {MODEL: View(status, default)}  # type: ignore[arg-type]
        after: Look = {} if how == "no look" else {MODEL: View(new_status, new_default)}  # type: ignore[arg-type]
        found = self.attribution.observe(
            Sample(before, None if how == "no page" else page, after, loads=self._loads),  # type: ignore[arg-type]
            {MODEL: "default"},
        )
        if how == "no page":
            return
        answered = self._truth - self._at_page
        self._at_page = self._truth
        self.native = Counter()
        for (_, code), count in self._truth.items():
            self.native[code] += count
        for increase in found:
            assert isinstance(increase.counter, Requests)
            code = increase.counter.status
            self.counted[increase.owner, code] += increase.amount
            if increase.owner != SWITCHING:
                assert answered[int(increase.owner), code] == increase.amount, "counted for one that did not answer"


MOVES = {"advance": 5, "start": 3, "finish": 3, "load": 2, "unload": 2, "fail": 1}


def take_step(server: SimulatedServer, exporter: Exporter, random: Random) -> None:
    match random.choices(["poll", "stall", "move"], [16, 4, 16])[0]:
        case "poll":
            exporter.poll(random.choices(["well", "no page", "no look"], [20, 1, 1])[0])
        case "stall" if exporter.is_between_polls:
            for _ in range(60):
                server.let_a_second_pass()
                move(server, random)
        case _:
            move(server, random)


def move(server: SimulatedServer, random: Random) -> None:
    match random.choices(list(MOVES), list(MOVES.values()))[0]:
        case "advance":
            server.advance()
        case "start":
            server.start_request()
        case "finish":
            server.finish_request(random.randrange(5), random.choice(["OK", "INTERNAL"]))
        case movement:
            server.begin(movement, random.choice([1, 2, 3]))


@pytest.mark.parametrize("block", range(8))
def test_no_request_is_counted_for_a_version_that_did_not_answer_it(block: int) -> None:
    """Whatever happens between whichever two calls of the exporter, and the sum over versions is the native counter."""
    for seed in range(100 * block, 100 * (block + 1)):
        random = Random(seed)  # noqa: S311 - a history that can be told again
        server = SimulatedServer()
        exporter = Exporter(server)
        for _ in range(300):
            take_step(server, exporter, random)
            sums: Counter[str] = Counter()
            for (_, code), amount in exporter.counted.items():
                sums[code] += amount
            assert sums == exporter.native


def test_most_requests_find_their_version() -> None:
    """Else everything could go to `switching` and nothing above would notice."""
    random = Random(1)  # noqa: S311
    server = SimulatedServer()
    exporter = Exporter(server)
    for _ in range(200):
        for _ in range(5):
            server.start_request()
            server.finish_request(0, "OK")
            exporter.poll("well")
        server.let_a_second_pass()
        if random.random() < 0.1:
            server.begin(random.choice(["load", "unload"]), random.choice([1, 2]))
        server.advance()
    owned = sum(amount for (name, _), amount in exporter.counted.items() if name != SWITCHING)
    assert owned > 0.6 * exporter.native.total()
