"""The version manager at work: loads, retries, switches under running requests."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from airbag_demo.model_server.status import StatusError
from tests.demo.model_server.fake_loader import Bench, FakeLoader
from tests.fakes.wait import until

BenchOf = Callable[..., Bench]


@pytest.fixture
def bench_of() -> Iterator[BenchOf]:
    """Makes benches and closes them."""
    with contextlib.ExitStack() as stack:

        def make(loader: FakeLoader, **options: object) -> Bench:
            bench = Bench(loader, **options)
            stack.callback(bench.close)
            return bench

        yield make


def test_an_upgrade_goes_through_all_states_and_the_old_version_is_freed(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    bench = bench_of(loader)
    bench.serve(2)
    bench.ask(3)
    bench.wait("3 AVAILABLE, 2 END")
    assert bench.history.said == [
        "2 START", "2 LOADING", "2 AVAILABLE", "3 START", "3 LOADING", "3 AVAILABLE", "2 UNLOADING", "2 END",
    ]  # fmt: skip
    assert loader.servables["m/2"].is_closed
    assert not loader.servables["m/3"].is_closed


def test_the_default_is_the_highest_loaded_number_not_the_newest_loaded(bench_of: BenchOf) -> None:
    bench = bench_of(FakeLoader())
    bench.serve(3)
    bench.ask(2, 3)
    bench.wait("3 AVAILABLE, 2 AVAILABLE")
    assert bench.default() == 3


def test_the_new_version_answers_while_it_still_shows_loading_until_older_requests_are_done(bench_of: BenchOf) -> None:
    bench = bench_of(FakeLoader())
    bench.serve(2)
    bench.serve(1, name="other")
    open_request = bench.request("other")
    bench.ask(3)
    until(lambda: bench.default() == 3, what="version 3 answering")
    time.sleep(0.3)  # three ticks in which nothing may happen
    assert bench.states() == "3 LOADING, 2 AVAILABLE"
    open_request.finish()
    bench.wait("3 AVAILABLE, 2 END")


def test_an_unload_is_announced_and_then_waits_for_the_requests_that_hold_the_version(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    bench = bench_of(loader)
    bench.serve(2)
    open_request = bench.request(version=2)
    bench.ask()
    bench.wait("2 UNLOADING")
    until(lambda: _refusal(bench, 2), what="new requests being refused")
    assert _refusal(bench, 2) == "Servable not found for request: Specific(m, 2)"
    assert _refusal(bench, None) == "Servable not found for request: Latest(m)"
    assert not loader.servables["m/2"].is_closed
    open_request.finish()
    bench.wait("2 END")
    assert loader.servables["m/2"].is_closed


def test_a_stuck_request_stops_every_version_change_of_every_model(bench_of: BenchOf) -> None:
    bench = bench_of(FakeLoader(), load_threads=2, unload_threads=2)
    bench.serve(1)
    stuck = bench.request()
    bench.ask(1, 2)
    bench.wait("2 LOADING, 1 AVAILABLE")
    bench.ask(1, name="other")
    time.sleep(0.3)  # three ticks in which nothing may happen
    assert bench.states("other") == ""
    stuck.finish()
    bench.wait("1 AVAILABLE", "other")


def test_a_failure_shows_only_after_the_retries_and_carries_the_loads_own_error(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    loader.failures["m/3"] = 99
    bench = bench_of(loader, max_retries=2)
    bench.serve(2)
    bench.ask(3)
    bench.wait("3 END, 2 AVAILABLE")
    assert loader.attempts.count("m/3") == 3
    event = bench.monitor.version("m", 3)
    assert event is not None
    assert str(event.status) == "NOT_FOUND: no graph"
    assert bench.default() == 2


def test_a_load_that_succeeds_on_a_retry_is_available(bench_of: BenchOf, caplog: pytest.LogCaptureFixture) -> None:
    loader = FakeLoader()
    loader.failures["m/1"] = 1
    bench = bench_of(loader, max_retries=5)
    bench.serve(1)
    assert "Loading servable: {name: m version: 1} failed: NOT_FOUND: no graph" in caplog.text


def test_a_negative_pause_between_tries_is_none(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    loader.failures["m/1"] = 2
    bench_of(loader, max_retries=2, retry_seconds=-1.0).serve(1)
    assert loader.attempts == ["m/1"] * 3


def test_with_no_load_threads_a_retrying_load_blocks_every_other_model(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    loader.failures["bad/1"] = 99
    bench = bench_of(loader, max_retries=1, retry_seconds=0.5)
    bench.ask(1, name="bad")
    bench.wait("1 LOADING", "bad")
    bench.serve(1)
    assert bench.history.said == ["1 START", "1 LOADING", "1 END", "1 START", "1 LOADING", "1 AVAILABLE"]


def test_with_load_threads_another_model_loads_meanwhile(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    loader.gates["slow/1"] = threading.Event()
    bench = bench_of(loader, load_threads=2)
    bench.ask(1, name="slow")
    bench.wait("1 LOADING", "slow")
    bench.serve(1)
    assert bench.states("slow") == "1 LOADING"
    loader.gates["slow/1"].set()


def test_with_load_threads_a_load_that_would_have_succeeded_ends_cancelled_when_it_is_not_wanted(
    bench_of: BenchOf,
) -> None:
    loader = FakeLoader()
    loader.gates["m/3"] = threading.Event()
    bench = bench_of(loader, load_threads=1)
    bench.serve(2)
    bench.ask(2, 3)
    bench.wait("3 LOADING, 2 AVAILABLE")
    bench.ask(2)
    time.sleep(0.3)  # the request takes effect at once, within a tick
    loader.gates["m/3"].set()
    bench.wait("3 END, 2 AVAILABLE")
    event = bench.monitor.version("m", 3)
    assert event is not None
    assert str(event.status) == "CANCELLED: Loading of servable cancelled"
    assert "3 AVAILABLE" not in bench.history.said
    assert loader.servables["m/3"].is_closed


def test_with_no_load_threads_the_unwanted_load_goes_live_and_is_then_unloaded_without_an_error(
    bench_of: BenchOf,
) -> None:
    loader = FakeLoader()
    loader.gates["m/3"] = threading.Event()
    bench = bench_of(loader)
    bench.serve(2)
    bench.ask(2, 3)
    bench.wait("3 LOADING, 2 AVAILABLE")
    bench.ask(2)
    loader.gates["m/3"].set()
    bench.wait("3 END, 2 AVAILABLE")
    event = bench.monitor.version("m", 3)
    assert event is not None
    assert event.status.is_ok
    assert "2 UNLOADING" not in bench.history.said


def test_a_cancelled_load_that_fails_tries_once_more_and_ends_with_its_own_error(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    loader.failures["m/3"] = 99
    bench = bench_of(loader, load_threads=1, max_retries=50, retry_seconds=0.4)
    bench.serve(2)
    bench.ask(2, 3)
    until(lambda: loader.attempts.count("m/3") == 1, what="the first attempt")
    bench.ask(2)
    bench.wait("3 END, 2 AVAILABLE")
    event = bench.monitor.version("m", 3)
    assert event is not None
    assert str(event.status) == "NOT_FOUND: no graph"
    assert loader.attempts.count("m/3") == 2


@pytest.mark.parametrize("threads", [0, 2])
def test_going_back_during_a_load_puts_the_bad_version_live_first(bench_of: BenchOf, threads: int) -> None:
    """The trap under the policy `latest`: the good version was let go when the bad one appeared."""
    loader = FakeLoader()
    loader.gates["m/3"] = threading.Event()
    bench = bench_of(loader, load_threads=threads, unload_threads=threads)
    bench.serve(2)
    bench.ask(3)
    bench.wait("3 LOADING, 2 AVAILABLE")
    bench.ask(2)
    loader.gates["m/3"].set()
    bench.wait("3 END, 2 AVAILABLE")
    switches = [said for said in bench.history.said if said.split()[1] in ("AVAILABLE", "END")]
    assert switches == ["2 AVAILABLE", "3 AVAILABLE", "2 END", "2 AVAILABLE", "3 END"]


def test_a_plain_file_waits_in_start_and_ends_with_failed_precondition(bench_of: BenchOf) -> None:
    loader = FakeLoader()
    loader.files.add("m/9")
    bench = bench_of(loader, max_retries=1, retry_seconds=0.3)
    bench.ask(9)
    bench.wait("9 START")
    bench.wait("9 END")
    assert "9 LOADING" not in bench.history.said
    event = bench.monitor.version("m", 9)
    assert event is not None
    assert str(event.status).startswith(
        "FAILED_PRECONDITION: Error while attempting to reserve resources to load servable {name: m version: 9}"
    )


def test_no_request_goes_back_in_time_or_fails_through_many_switches(bench_of: BenchOf) -> None:
    bench = bench_of(FakeLoader())
    bench.serve(1)
    seen: list[int] = []
    done = threading.Event()

    def traffic() -> None:
        while not done.is_set():
            seen.append(bench.default())

    client = threading.Thread(target=traffic)
    client.start()
    for version in (2, 3, 4):
        bench.ask(version)
        until(
            lambda version=version: bench.states().startswith(f"{version} AVAILABLE, {version - 1} END"), what="switch"
        )
    done.set()
    client.join()
    assert seen == sorted(seen)
    assert set(seen) == {1, 2, 3, 4}


def _refusal(bench: Bench, version: int | None) -> str:
    try:
        with bench.manager.routes.hold("m", version):
            return ""
    except StatusError as error:
        return error.status.message
