"""What a client is told."""

from __future__ import annotations

import gzip
import http.client
import socket
from collections.abc import Iterator

import pytest
import requests

from airbag_exporters.config import Limits
from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.intake import Intake, Kind
from airbag_exporters.quality.ledger.values import Conflict, LedgerUnavailable
from tests.exporters.quality.intake_server import ARROW, JSON, NDJSON, Remembering, Served, served
from tests.fakes.clock import SetClock

BODY = b'{"id": "1"}\n{"id": "2"}\n'


class Failing:
    """A taker that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def take(self, kind: Kind, body: bytes, content_type: str) -> int:
        raise self.error


@pytest.mark.parametrize("kind", Kind)
def test_a_batch_is_accepted_once_it_was_taken(kind: Kind) -> None:
    taker = Remembering()
    with served(taker) as at:
        answer = at.post(f"/v1/{kind}", BODY, "Application/JSON; charset=utf-8")
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        assert answer.headers["content-type"] == JSON
        assert taker.taken == [(kind, BODY, JSON)]
        assert at.value("airbag_quality_batches_total", source="http", outcome="accepted") == 1
        assert at.value("airbag_quality_events_total", source="http", kind=kind) == 2
        assert at.value("airbag_quality_batch_duration_seconds_count", source="http") == 1
        assert at.in_flight() == 0


def test_every_series_is_there_before_the_first_batch() -> None:
    with served(Remembering()) as at:
        for source in ("http", "file", "stream"):
            for outcome in ("accepted", "refused", "unavailable"):
                assert at.value("airbag_quality_batches_total", source=source, outcome=outcome) == 0
            for kind in Kind:
                assert at.value("airbag_quality_events_total", source=source, kind=kind) == 0
        assert (at.refused("batch"), at.refused("token"), at.refused("memory"), at.in_flight()) == (0, 0, 0, 0)


def test_a_bad_batch_is_refused_with_every_problem() -> None:
    with served(Failing(BadBatch("line 1: no\nline 7: neither"))) as at:
        answer = at.post("/v1/labels", BODY)
        assert answer.status_code == 400
        assert answer.json() == {
            "error": "nothing was taken: line 1: no (and 1 more)", "problems": ["line 1: no", "line 7: neither"],
        }  # fmt: skip
        assert at.value("airbag_quality_batches_total", source="http", outcome="refused") == 1
        assert at.refused("batch") == 1


@pytest.mark.parametrize("error", [LedgerUnavailable("the disk is full"), Conflict("others were faster")])
def test_what_could_not_be_committed_may_come_again(error: Exception) -> None:
    with served(Failing(error)) as at:
        answer = at.post("/v1/predictions", BODY)
        assert (answer.status_code, answer.json()) == (503, {"error": f"nothing was taken: {error}"})
        assert answer.headers["retry-after"] == "1"
        assert at.value("airbag_quality_batches_total", source="http", outcome="unavailable") == 1
        assert at.refused("ledger") == 1


def test_a_defect_is_told_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with served(Failing(ZeroDivisionError("secret detail"))) as at:
        answer = at.post("/v1/predictions", BODY)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert at.refused("internal") == 1
    assert "secret detail" in caplog.text


def test_the_method_the_format_and_the_body_are_looked_at_before_the_taker() -> None:
    taker = Remembering()
    with served(taker) as at:
        wrong = requests.get(at.url + "/v1/labels", timeout=30)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        assert "error" in wrong.json()
        text = at.post("/v1/labels", BODY, "text/csv")
        assert text.status_code == 415
        assert text.json()["error"].startswith("content-type 'text/csv' is not taken here; taken: ")
        assert text.headers["accept"] == f"{NDJSON}, {JSON}, {ARROW}"
        assert at.post("/v1/pipeline-runs", BODY, ARROW).headers["accept"] == f"{NDJSON}, {JSON}"
        assert at.post("/v1/labels", BODY, "").status_code == 415
        packed = at.post("/v1/labels", BODY, content_encoding="br")
        assert (packed.status_code, packed.headers["accept-encoding"]) == (415, "gzip")
        assert raw(at, b"POST /v1/labels HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\r\n").status == 411
    assert taker.taken == []


def raw(at: Served, head: bytes) -> http.client.HTTPResponse:
    """The answer to exactly these bytes."""
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as connection:
        connection.sendall(head)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer


def test_gzip_is_decompressed() -> None:
    taker = Remembering()
    with served(taker) as at:
        assert at.post("/v1/labels", gzip.compress(BODY), content_encoding="gzip").status_code == 202
        two = gzip.compress(BODY) + gzip.compress(BODY)
        assert at.post("/v1/labels", two, content_encoding="X-Gzip").status_code == 202
    assert [body for _, body, _ in taker.taken] == [BODY, BODY + BODY]


NOT_GZIP = {
    "empty": b"",
    "plain": b"plain",
    "cut short": gzip.compress(BODY)[:-3],
    "wrong checksum": gzip.compress(BODY)[:-8] + bytes(8),
    "rubbish behind": gzip.compress(BODY) + b"\0",
    "too many members": gzip.compress(b"") * 1001,
}


@pytest.mark.parametrize("body", NOT_GZIP.values(), ids=NOT_GZIP.keys())
def test_what_is_not_gzip_is_refused(body: bytes) -> None:
    taker = Remembering()
    with served(taker) as at:
        answer = at.post("/v1/labels", body, content_encoding="gzip")
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("nothing was taken: ")
        assert at.in_flight() == 0
    assert taker.taken == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_and_its_sender_reads_the_answer(chunked: bool) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65536

    taker = Remembering()
    with served(taker, Limits(body_bytes=100_000)) as at:
        answer = at.post("/v1/labels", parts() if chunked else b" " * (4 << 20))
        assert answer.status_code == 413
        assert "100000 bytes" in answer.json()["error"]
        assert answer.headers["connection"] == "close"
        assert (at.refused("too_large"), at.in_flight()) == (1, 0)
    assert taker.taken == []


def test_a_body_is_refused_by_its_declared_length_before_any_of_it_comes() -> None:
    head = b"POST /v1/labels HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
    with served(Remembering()) as at:
        assert raw(at, head + b"content-length: 99999999999\r\n\r\n").status == 413


def test_the_token_is_wanted_and_a_new_one_replaces_it() -> None:
    taker = Remembering()
    with served(taker, token="first") as at:

        def status(given: str) -> int:
            return at.post("/v1/labels", BODY, authorization=given).status_code

        wrong = ("", "first", "Basic first", "Bearer", "Bearer second", "Bearer first2", "Bearer f\xefrst")
        assert {status(given) for given in wrong} == {401}
        assert at.post("/v1/labels", BODY).headers["www-authenticate"] == 'Bearer realm="airbag"'
        assert taker.taken == []
        assert status("Bearer first") == status("bearer  first") == 202
        at.intake.token = "second"
        assert (status("Bearer first"), status("Bearer second")) == (401, 202)
        at.intake.token = None
        assert status("") == 202
        assert at.refused("token") == 9


def test_events_beyond_the_rate_are_told_when_to_come_again() -> None:
    clock = SetClock()
    with served(Remembering(), Limits(events_per_second=10), clock=clock) as at:
        large = BODY * 20  # 40 events: 4 seconds, of which one may come at once
        assert at.post("/v1/labels", large).status_code == 202
        answer = at.post("/v1/labels", BODY)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert at.refused("rate") == 1
        clock.time += 2.9
        assert at.post("/v1/labels", BODY).headers["retry-after"] == "1"
        clock.time += 0.2
        assert at.post("/v1/labels", BODY).status_code == 202
        at.intake.limits = Limits()
        assert at.post("/v1/labels", large).status_code == at.post("/v1/labels", large).status_code == 202


def test_the_paths_are_those_that_the_process_exempts_from_passwords() -> None:
    assert {"/v1/predictions", "/v1/labels", "/v1/pipeline-runs"} == Intake.PATHS
