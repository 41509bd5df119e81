"""§1.1 and §1.2: the endpoint of the metrics page, and its text format."""

from __future__ import annotations

import http.client
import re
from urllib.parse import quote

import pytest

from tests.conformance.kit.page import Page
from tests.conformance.kit.rows import row, table
from tests.conformance.kit.rules import RULES
from tests.conformance.kit.wire import METRICS_PATH, refusal
from tests.conformance.kit.world import World
from tests.fakes import saved_models

PAGE = ("page",)


@pytest.mark.parametrize(
    "method",
    table("1.1", {f"the page answers {method}": method for method in ("GET", "POST", "PUT", "DELETE")}, needs=PAGE),
)
def test_any_method_is_answered(world: World, method: str) -> None:
    reply = world.wire.http(method, METRICS_PATH)
    assert reply.status == 200
    assert reply.body.startswith(b"# TYPE ")


@pytest.mark.parametrize(
    "query",
    table("1.1", {"a query string gives 400": "?x=y", "a bare question mark gives 400": "?"}, needs=PAGE),
)
def test_a_query_is_refused(world: World, query: str) -> None:
    reply = world.wire.http("GET", METRICS_PATH + query)
    assert reply.status == 400
    assert re.fullmatch(r"Unexpected path: .*\. Should be .*", reply.text, re.DOTALL)


@row("1.1", needs=PAGE)
def test_headers(world: World) -> None:
    """the answer has the headers Content-Type: text/plain, Date and Content-Length and nothing more"""
    reply = world.wire.http("GET", METRICS_PATH)
    assert sorted(name for name in reply.headers if name.lower() != "connection") == [
        "Content-Length", "Content-Type", "Date",
    ]  # fmt: skip
    assert reply.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    "accept",
    table(
        "1.1",
        {
            "OpenMetrics is never sent": "application/openmetrics-text; version=1.0.0",
            "protobuf is never sent": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily",
        },
        needs=PAGE,
    ),
)
def test_accept_is_ignored(world: World, accept: str) -> None:
    reply = world.wire.http("GET", METRICS_PATH, headers={"Accept": accept})
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.body.startswith(b"# TYPE ")


@row("1.1", needs=PAGE, evidence="S")
def test_no_compression(world: World) -> None:
    """the page is never compressed"""
    reply = world.wire.http("GET", METRICS_PATH, headers={"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in reply.headers
    assert reply.body.startswith(b"# TYPE ")


@pytest.fixture
def page(world: World) -> Page:
    """A page with samples of every kind of line."""
    world.wire.predict(world.name("m"))
    world.wire.http("POST", f"/v1/models/{world.name('m')}:predict", '{"instances": [1]}')
    world.wire.http("GET", f"/v1/models/{world.name('m')}")
    refusal(lambda: world.wire.predict(world.name("failing")))
    world.wire.predict(world.name("pair"), inputs={"a": 1.0, "b": 2.0})
    return world.wire.page()


@pytest.mark.parametrize("rule", table("1.2", {name: name for name in RULES}, needs=PAGE))
def test_the_page_keeps_the_rule(page: Page, rule: str) -> None:
    RULES[rule](page)


@pytest.mark.parametrize(
    ("name", "shown"),
    table(
        "1.2",
        {
            "a quote in a label value is escaped": ('we"ird', b'we\\"ird'),
            "a backslash in a label value is escaped": ("we\\ird", b"we\\\\ird"),
            "a newline in a label value is written raw": ("we\nird", b"we\nird"),
            "a carriage return in a label value is written raw": ("we\rird", b"we\rird"),
            "a brace, a comma and an equals sign in a label value are written as they are": ("a}{,=b", b"a}{,=b"),
            "letters beyond ASCII are written in UTF-8": ("mod\u00e8le", "mod\u00e8le".encode()),
        },
        needs=PAGE,
    ),
)
def test_label_values(world: World, name: str, shown: bytes) -> None:
    unique = world.fresh("label")
    world.wire.http("GET", f"/v1/models/{unique}{quote(name, safe='')}")
    sample = f':tensorflow:serving:request_count{{model_name="{unique}'.encode()
    assert sample + shown + b'",status="NOT_FOUND"} 1\n' in world.wire.page().raw


@row("1.2", needs=PAGE)
def test_exclusive_edges(world: World) -> None:
    """upper edges are exclusive: a request with exactly 1 example is counted in le="2", not in le="1\""""
    from tests.conformance.kit.wire import examples, spec

    name = world.fresh("edges")
    saved_models.examples(world.base(name), 1)
    world.load(name)
    world.wire.multi_inference([(spec(name, signature="regress"), "regress")], examples(1.0))
    buckets = {
        one.label["le"]: one.value for one in world.wire.page().of("serving:request_example_counts_bucket", model=name)
    }
    assert (buckets["1"], buckets["2"]) == ("0", "1")


@row("1.2", needs=PAGE)
def test_the_first_event_makes_the_series(world: World) -> None:
    """a series appears with its first event, not before, and with the value 1"""
    name = world.fresh("first")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    assert world.wire.page().of("serving:request_count", model_name=name) == []
    world.wire.predict(name)
    assert [one.value for one in world.wire.page().of("serving:request_count", model_name=name)] == ["1"]


@row("1.2", needs=PAGE)
def test_series_stay(world: World) -> None:
    """no series is removed when a model is unloaded"""
    name = world.fresh("stays")
    path = world.seen(saved_models.add_model(world.base(name), 1))
    world.load(name)
    world.wire.predict(name)
    before = [one for one in world.wire.page().samples if name in str(one.labels)]
    world.apply()
    world.wait_states(name, "1 END")
    after = world.wire.page().samples
    assert before
    assert [one for one in before if one not in after] == []
    assert world.wire.page().value("cc:saved_model:load_attempt_count", model_path=path, status="success") == 1


@row("1.1", needs=PAGE, late=9)
def test_a_bad_byte_poisons_the_page(world: World) -> None:
    """GET /v1/models/%FF writes a byte into the page that is no UTF-8 (0 Fact 10)"""
    host = world.wire.rest
    assert host is not None
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", "/v1/models/%FF")
    assert connection.getresponse().status == 404
    connection.close()
    raw = world.wire.http("GET", METRICS_PATH).body
    assert b'request_count{model_name="\xff",status="NOT_FOUND"} 1\n' in raw
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
