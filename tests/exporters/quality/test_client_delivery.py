"""What the client sends, and what it does when the exporter does not take it."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme

from airbag_exporters.quality.client import QualityClient, Stats
from tests.exporters.quality.intake_server import Remembering, served
from tests.exporters.quality.scripted_exporter import CLOSE, DIE, HANG, scripted
from tests.fakes.ports import free_port
from tests.fakes.wait import until

LABELS = "/v1/labels"


@contextmanager
def client(url: str, **options: Any) -> Iterator[QualityClient]:
    """One that does not wait long for anything."""
    made = QualityClient(url, **{"interval": 0.01, "backoff": (0.01, 0.05)} | options)
    try:
        yield made
    finally:
        made.close(0)


def delivered(made: QualityClient) -> Stats:
    until(lambda: not made.stats().queued, timeout=30, what="everything sent")
    return made.stats()


def test_every_field_arrives_as_it_was_given() -> None:
    given: dict[str, Any] = {
        "id": "mine", "serving": "main", "score": 0.5, "scores": [0.5, 0.5], "features": {"a": 1.5, "b": "x"},
        "segments": {"country": "de"}, "latency_seconds": 0.25, "timestamp": 7.5, "actual": "1",
    }  # fmt: skip
    with scripted() as exporter, client(exporter.url) as made:
        assert made.predicted("digits", 3, "0", **given) == "mine"
        made.labelled("mine", 1, timestamp=8.5)
        assert delivered(made) == Stats(accepted=2)
    named = {"model_name": "digits", "model_version": 3, "predicted": "0"}
    assert exporter.rows() == [given | named]
    assert exporter.rows(LABELS) == [{"id": "mine", "actual": 1, "timestamp": 8.5}]


def test_ids_are_made_and_no_two_are_the_same() -> None:
    with scripted() as exporter, client(exporter.url) as made, client(exporter.url) as other:
        ids = {each.predicted("digits", 3, "0") for each in (made, other) for _ in range(100)}
        delivered(made)
        delivered(other)
    assert len(ids) == 200
    assert {row["id"] for row in exporter.rows()} == ids


def test_values_of_numpy_are_sent_as_numbers_and_nan_as_missing() -> None:
    features = {"a": np.float32(0.5), "b": np.nan, "c": np.int64(3), "d": np.float32("nan"), "e": float("inf")}
    with scripted() as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, np.int64(1), score=float("nan"), scores=np.array([0.25, 0.75]), features=features)  # type: ignore[arg-type] # what careless callers do
        delivered(made)
    (row,) = exporter.rows()
    assert (row["predicted"], row["scores"], row["score"]) == (1, [0.25, 0.75], None)
    assert row["features"] == {"a": 0.5, "b": None, "c": 3, "d": None, "e": None}


class Spiteful:
    """A value that raises whatever is done with it."""

    def tolist(self) -> object:
        raise RuntimeError("never")


@pytest.mark.parametrize("value", [object(), Spiteful(), {1, 2}, b"bytes", "\ud800"])
def test_what_no_json_can_be_made_of_is_dropped_and_nothing_is_raised(value: Any) -> None:
    with scripted() as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0", features={"a": value})
        made.predicted("digits", 3, "1")
        assert delivered(made) == Stats(accepted=1, dropped={"invalid": 1})


def test_a_row_is_sent_as_it_was_when_it_was_given() -> None:
    features = {"a": 1}
    with scripted() as exporter, client(exporter.url, interval=0.2) as made:
        made.predicted("digits", 3, "0", features=features)
        features["a"] = 2
        delivered(made)
    assert exporter.rows()[0]["features"] == {"a": 1}


def test_rows_travel_in_batches_on_one_connection_and_labels_after_their_predictions() -> None:
    with scripted() as exporter, client(exporter.url, batch_rows=50, interval=60) as made:
        for _ in range(100):
            made.labelled(made.predicted("digits", 3, "0"), "0")
        assert delivered(made).accepted == 200
    assert [(path, len(rows)) for path, _, rows in exporter.requests] == [("/v1/predictions", 25), (LABELS, 25)] * 4
    assert exporter.connections == 1
    known: set[str] = set()
    for path, _, rows in exporter.requests:
        ids = {row["id"] for row in rows}
        assert path != LABELS or ids <= known
        known |= ids


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_succeed_later_is_sent_again(status: int) -> None:
    with scripted(status, status) as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0")
        assert delivered(made) == Stats(accepted=1, retried=2)
    assert len(exporter.rows()) == 3


def test_the_exporter_says_when_to_come_again() -> None:
    with scripted((503, {"retry-after": "3600"})) as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0")
        until(lambda: exporter.requests, what="the first try")
        made.predicted("digits", 3, "1")
        assert made.close(0.3)  # closing does not wait that long: it tries once more
        assert made.stats() == Stats(accepted=2, retried=1)
    assert [len(rows) for _, _, rows in exporter.requests] == [1, 1, 1]


def test_a_short_wait_that_is_asked_for_is_kept() -> None:
    with scripted((429, {"retry-after": "1"})) as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0")
        until(lambda: exporter.requests, what="the first try")
        with pytest.raises(AssertionError, match="second"):
            until(lambda: len(exporter.requests) > 1, timeout=0.7, what="second try")
        assert delivered(made) == Stats(accepted=1, retried=1)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 415])
def test_what_is_refused_for_good_is_dropped(status: int) -> None:
    with scripted(status) as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0")
        made.predicted("digits", 3, "1")
        assert delivered(made) == Stats(dropped={"refused": 2})
        made.predicted("digits", 3, "2")
        assert delivered(made) == Stats(accepted=1, dropped={"refused": 2})


def test_a_bad_row_spoils_no_others() -> None:
    def judge(rows: list[dict[str, Any]]) -> int:
        return 400 if any(row["predicted"] == "bad" for row in rows) else 202

    with scripted(*[judge] * 100) as exporter, client(exporter.url, batch_rows=500, interval=60) as made:
        for number in range(500):
            made.predicted("digits", 3, "bad" if number == 321 else "0")
        assert delivered(made) == Stats(accepted=499, dropped={"refused": 1})


def test_batches_of_bad_rows_are_not_halved_for_ever() -> None:
    with scripted(*[400] * 1000) as exporter, client(exporter.url, batch_rows=500, interval=60) as made:
        for _ in range(500):
            made.predicted("digits", 3, "bad")
        assert delivered(made) == Stats(dropped={"refused": 500})
        assert len(exporter.requests) < 50


def test_an_answer_that_is_lost_doubles_nothing() -> None:
    """The exporter took the batch and died before it could say so: the same ids come again."""
    with scripted(DIE, 503, CLOSE) as exporter, client(exporter.url) as made:
        given = made.predicted("digits", 3, "0")
        assert delivered(made).accepted == 1
    assert [row["id"] for row in exporter.rows()] == [given] * 3
    assert len({str(row) for row in exporter.rows()}) == 1


def test_a_connection_that_was_closed_while_it_was_idle_costs_no_wait() -> None:
    with scripted(CLOSE) as exporter, client(exporter.url, backoff=(60, 60)) as made:
        for _ in range(3):
            made.predicted("digits", 3, "0")
            delivered(made)
        assert made.stats() == Stats(accepted=3)
        assert exporter.connections == 2


def test_an_exporter_that_is_not_there_yet_gets_everything_once_it_is() -> None:
    port = free_port()
    with client(f"http://127.0.0.1:{port}") as made:
        made.predicted("digits", 3, "0")
        until(lambda: made.stats().retried > 2, what="some tries")
        assert made.stats().queued == 1
        with scripted(port=port) as exporter:
            assert delivered(made).accepted == 1
        assert len(exporter.rows()) == 1


def test_an_exporter_that_hangs_holds_up_nobody_and_what_does_not_fit_is_dropped_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Stats] = []
    with scripted(HANG) as exporter, client(exporter.url, timeout=0.2, queue_rows=10, on_drop=told.append) as made:
        made.predicted("digits", 3, "first")
        until(lambda: exporter.requests, what="the request that hangs")
        for _ in range(30):
            made.predicted("digits", 3, "0")
        assert made.stats().dropped == {"full": 20}
        exporter.ended.set()
        stats = delivered(made)
        assert (stats.accepted, stats.dropped) == (11, {"full": 20})
        until(lambda: told, what="the report")
    assert [each.dropped for each in told] == [{"full": 20}]
    assert caplog.messages == ["quality events dropped"]


def test_a_report_that_fails_ends_nothing() -> None:
    def fail(_: Stats) -> None:
        raise RuntimeError("on purpose")

    with scripted(404) as exporter, client(exporter.url, on_drop=fail) as made:
        made.predicted("digits", 3, "0")
        until(lambda: made.stats().dropped, what="the drop")
        made.predicted("digits", 3, "1")
        assert delivered(made).accepted == 1


def test_drops_are_told_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with scripted(404, 404, 404) as exporter, client(exporter.url) as made:
        for _ in range(3):
            made.predicted("digits", 3, "0")
            delivered(made)
        made.close(5)
    assert caplog.messages == ["quality events dropped"]


def test_batches_are_compressed_where_that_is_asked_for_and_worth_it() -> None:
    with scripted() as exporter, client(exporter.url, compress=True) as made:
        made.predicted("digits", 3, "0")
        delivered(made)
        made.predicted("digits", 3, "x" * 5000)
        delivered(made)
    assert ["content-encoding" in headers for _, headers, _ in exporter.requests] == [False, True]
    assert exporter.rows()[1]["predicted"] == "x" * 5000


def test_the_token_is_asked_for_at_each_request() -> None:
    tokens = iter(["first\n", "second"])
    with scripted() as exporter, client(exporter.url + "/behind/a/proxy/", token=lambda: next(tokens)) as made:
        for _ in range(2):
            made.predicted("digits", 3, "0")
            delivered(made)
    assert [headers["authorization"] for _, headers, _ in exporter.requests] == ["Bearer first", "Bearer second"]
    assert exporter.requests[0][0] == "/behind/a/proxy/v1/predictions"


def test_many_threads_may_use_one_client() -> None:
    with scripted() as exporter, client(exporter.url) as made:
        with ThreadPoolExecutor(8) as threads:
            ids = set(threads.map(lambda number: made.predicted("digits", 3, number), range(2000)))
        assert delivered(made) == Stats(accepted=2000)
    assert len(ids) == 2000
    assert {row["id"] for row in exporter.rows()} == ids


@pytest.mark.parametrize("url", ["", "127.0.0.1:9811", "ftp://a", "http://", "http://me:secret@a", "http://a?b=c"])
def test_a_wrong_address_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        QualityClient(url)


def test_the_real_intake_takes_what_the_client_sends() -> None:
    taker = Remembering()
    with served(taker, token="secret") as at, client(at.url, token="secret", compress=True) as made:
        for number in range(1000):
            made.labelled(made.predicted("digits", 3, "0", features={"a": number}), "0")
        assert delivered(made) == Stats(accepted=2000)
        assert at.value("airbag_quality_events_total", source="http", kind="labels") == 1000


def test_a_server_is_believed_by_its_certificate_only(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with scripted(tls=context) as exporter:
        url = f"https://localhost:{exporter.port}"
        with client(url) as stranger:
            stranger.predicted("digits", 3, "0")
            until(lambda: stranger.stats().retried, what="a refused handshake")
        with client(url, ca_file=str(tmp_path / "ca.pem")) as made:
            made.predicted("digits", 3, "0")
            assert delivered(made) == Stats(accepted=1)
        assert len(exporter.requests) == 1


def test_nothing_is_logged_as_long_as_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with scripted(503, DIE) as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0")
        delivered(made)
    assert caplog.messages == []


def test_the_thread_ends_with_the_client() -> None:
    with scripted() as exporter, client(exporter.url) as made:
        made.predicted("digits", 3, "0")
        assert made.close(30)
        assert not [each for each in threading.enumerate() if each.name == "airbag-quality-client"]
