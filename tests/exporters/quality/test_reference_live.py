"""A reference from live counters, as Prometheus' query API gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result

from airbag.errors import ConfigError, Garbled, Refused, Unreachable
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference, load_reference
from airbag_exporters.quality.reference.write import write
from airbag_exporters.reference_commands import reference
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port

OLD = Reference(
    rows=10,
    features={
        "a": Numeric(edges=(1.0, 2.0), le=(3, 6, 10), minimum=-5.0, maximum=9.0),
        "c": Categorical(counts={"x": 5, "y": 5}),
    },
    score=Numeric(edges=(0.5,), le=(5, 10), minimum=0.0, maximum=1.0),
    score_edges=(0.25, 0.5),
    target_mean=3.0,
)


@dataclass
class Counters:
    """`series` maps a family to labels and value; what is asked is kept."""

    series: dict[str, list[tuple[dict[str, str], str]]] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    asked: list[str] = field(default_factory=list)
    authorization: str | None = None
    port: int = 0


def le(feature: str, *values: float) -> list[tuple[dict[str, str], str]]:
    start = ({"feature": feature, "bin": "start"}, "0")
    return [start, *(({"feature": feature, "bin": f"{at:02}"}, str(value)) for at, value in enumerate(values))]


def full() -> dict[str, list[tuple[dict[str, str], str]]]:
    return {
        "feature_le": [*le("a", 10.4, 9.9, 31.2), *le("score", 4, 30)],
        "feature_category": [({"feature": "c", "category": name}, n) for name, n in
                             (("x", "3.6"), ("y", "0"), ("other", "2"))],
        "feature_missing": [({"feature": "a"}, "1.5"), ({"feature": "c"}, "0")],
    }  # fmt: skip


@contextmanager
def prometheus(counters: Counters) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
            counters.asked.append(query)
            counters.authorization = self.headers["Authorization"]
            family = re.search(r"airbag_quality_(\w+)_total", query)
            found = counters.series.get(family[1] if family else "", [])
            result = [{"metric": labels, "value": [0, value]} for labels, value in found]
            answer = {"status": "success", "data": {"resultType": "vector", "result": result}}
            body = counters.body or json.dumps(answer).encode()
            self.send_response(counters.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_http(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def run(url: str, folder: Path, *more: str | Path) -> Result:
    write(OLD, folder / "old.json")
    arguments = ["live", "--prometheus", url, "--serving", 's"1', "--model", "fraud", "--version", "3",
                 "--window", "24h", "--edges-from", folder / "old.json", "-o", folder / "new.json", *more]  # fmt: skip
    return CliRunner().invoke(reference, [str(each) for each in arguments])


def test_live_counters_are_rounded_and_keep_the_bins(tmp_path: Path) -> None:
    counters = Counters(full())
    with prometheus(counters) as url:
        result = run(url, tmp_path)
    assert result.exit_code == 0, result.exception
    new = load_reference(tmp_path / "new.json")
    assert new.ref == OLD.ref
    assert new.features == {
        "a": Numeric(edges=(1.0, 2.0), le=(10, 10, 31), missing=2, minimum=-5.0, maximum=9.0),
        "c": Categorical(counts={"x": 4, "y": 0}, other=2),
    }
    assert new.score == Numeric(edges=(0.5,), le=(4, 30), minimum=0.0, maximum=1.0)
    assert (new.rows, new.target_mean, new.score_edges) == (33, 3.0, (0.25, 0.5))
    assert new.source.startswith('live counters of version 3 of fraud on s"1 over 24h until ')


def test_only_counters_of_that_version_in_the_same_bins_are_asked_for(tmp_path: Path) -> None:
    counters = Counters(full())
    with prometheus(counters) as url:
        run(url, tmp_path)
    labels = r'serving="s\"1", model_name="fraud", model_version="3"'
    binned = f'{labels}, ref="{OLD.ref}"'
    assert counters.asked == [
        f"sum by (feature, bin) (increase(airbag_quality_feature_le_total{{{binned}}}[24h]))",
        f"sum by (feature, category) (increase(airbag_quality_feature_category_total{{{binned}}}[24h]))",
        f"sum by (feature) (increase(airbag_quality_feature_missing_total{{{labels}}}[24h]))",
    ]
    assert counters.authorization is None


def test_a_token_is_sent_when_there_is_one(tmp_path: Path) -> None:
    counters = Counters(full())
    (tmp_path / "token").write_text("secret\n")
    with prometheus(counters) as url:
        assert run(url, tmp_path, "--token-file", tmp_path / "token").exit_code == 0
    assert counters.authorization == "Bearer secret"


def test_every_feature_without_counters_is_named(tmp_path: Path) -> None:
    counters = Counters({"feature_le": [*le("a", 1, 2), *le("score", 0, 0)]})
    with prometheus(counters) as url:
        error = run(url, tmp_path).exception
    assert isinstance(error, ConfigError)
    assert [str(problem) for problem in error.problems] == [
        "feature `a`: has 2 bins in Prometheus and 3 in the reference",
        "feature `c`: has no counters in that window",
        "feature `score`: counted no value in that window",
    ]
    assert not (tmp_path / "new.json").exists()


def test_a_category_that_is_not_counted_is_named(tmp_path: Path) -> None:
    counters = Counters({**full(), "feature_category": [({"feature": "c", "category": "x"}, "3")]})
    with prometheus(counters) as url:
        assert "feature `c`: has no counter of 'y'" in str(run(url, tmp_path).exception)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"status": "error", "error": "bad window"}', Refused),
        (502, b"<html>", Garbled),
        (200, b'{"status": "success"}', Garbled),
        (200, b"[]", Garbled),
    ],
)
def test_an_answer_that_is_none_is_an_error(tmp_path: Path, status: int, body: bytes, error: type[Exception]) -> None:
    with prometheus(Counters(status=status, body=body)) as url:
        assert isinstance(run(url, tmp_path).exception, error)


def test_nobody_answering_is_an_error_and_a_password_in_the_address_is_refused(tmp_path: Path) -> None:
    assert isinstance(run(f"http://127.0.0.1:{free_port()}", tmp_path).exception, Unreachable)
    assert run("http://user:secret@127.0.0.1", tmp_path).exit_code == 2
    assert run("http://127.0.0.1", tmp_path, "--window", "a day").exit_code == 2
