"""§3: REST, every row of its tables that a request alone can show."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.wire import Reply
from tests.conformance.kit.world import World, labels
from tests.fakes import saved_models

REST = ("rest",)
JSON = "application/json"
ONE = '{"instances": [1]}'


def ask(world: World, method: str, path: str, body: str | None = None, **headers: str) -> Reply:
    """`$m` and the like stand for the full names of shared models."""
    return world.wire.http(method, world.fill(path), body, headers)


def check_error(reply: Reply, status: int, text: str) -> None:
    """The body is the message alone, pretty-printed with 4 spaces."""
    assert reply.status == status, reply.text
    assert reply.headers["Content-Type"] == JSON
    assert reply.error == text
    assert reply.text == f'{{\n    "error": {json.dumps(text, ensure_ascii=False)}\n}}'


STATUS_BODY = """{
 "model_version_status": [
  {
   "version": "2",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}"""


@row("3", needs=REST)
def test_status_body(world: World) -> None:
    """the status body: 1-space indent, versions as strings, enum names, all fields present"""
    reply = ask(world, "GET", "/v1/models/$m/versions/2")
    assert (reply.status, reply.headers["Content-Type"]) == (200, JSON)
    assert reply.text.rstrip("\n") == STATUS_BODY


VERSIONS = {
    "GET of a model: all versions, newest first": ("/v1/models/$m", ["2", "1"]),
    "GET of a version: that one": ("/v1/models/$m/versions/1", ["1"]),
    "GET of a label: the label is ignored, all versions": ("/v1/models/$m/labels/stable", ["2", "1"]),
    "GET of a label that does not exist: all versions": ("/v1/models/$m/labels/nonsense", ["2", "1"]),
    "the base path is matched without regard to case": ("/V1/Models/$m", ["2", "1"]),
}


@pytest.mark.parametrize(("path", "versions"), table("3", VERSIONS, needs=REST))
def test_status(world: World, path: str, versions: list[str]) -> None:
    reply = ask(world, "GET", path)
    assert reply.status == 200
    assert [one["version"] for one in reply.json()["model_version_status"]] == versions


@row("2.3", needs=REST)
def test_status_is_200_whatever_the_state(world: World) -> None:
    """REST status gives 200 even when nothing is AVAILABLE"""
    name = world.fresh("over")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    world.apply()
    world.wait_states(name, "1 END")
    reply = ask(world, "GET", f"/v1/models/{name}")
    assert reply.status == 200
    assert reply.json()["model_version_status"][0]["state"] == "END"


METADATA = {
    "metadata of a model: the version that answers": ("/v1/models/$m/metadata", "2"),
    "metadata of a version": ("/v1/models/$m/versions/1/metadata", "1"),
    "metadata of a label: the label is honoured": ("/v1/models/$m/labels/stable/metadata", "1"),
}


@pytest.mark.parametrize(("path", "version"), table("3", METADATA, needs=REST))
def test_metadata(world: World, path: str, version: str) -> None:
    reply = ask(world, "GET", path)
    assert (reply.status, reply.headers["Content-Type"]) == (200, JSON)
    found = reply.json()
    assert found["model_spec"] == {"name": world.name("m"), "signature_name": "", "version": version}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["method_name"] == "tensorflow/serving/predict"


BYTES = {
    "row form: predictions, 4-space indent, no final newline": (
        "$m/versions/1", '{"instances": [1.0]}', '{\n    "predictions": [2.0\n    ]\n}',
    ),
    "column form: outputs, 4-space indent, no final newline": (
        "$m/versions/1", '{"inputs": [1.0, 2.0]}', '{\n    "outputs": [\n        2.0,\n        4.0\n    ]\n}',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "expected"), table("3", BYTES, needs=REST))
def test_predict_bytes(world: World, path: str, body: str, expected: str) -> None:
    reply = ask(world, "POST", f"/v1/models/{path}:predict", body)
    assert (reply.status, reply.headers["Content-Type"]) == (200, JSON)
    assert reply.text == expected


VALUES: dict[str, tuple[str, str, Any]] = {
    "predict without a version: the highest answers": ("$m:predict", ONE, {"predictions": [4.0]}),
    "predict of a version": ("$m/versions/1:predict", ONE, {"predictions": [2.0]}),
    "predict of a label": ("$m/labels/stable:predict", ONE, {"predictions": [2.0]}),
    "predict on the base path in other letters": ("/V1/MODELS/$m:predict", ONE, {"predictions": [4.0]}),
    "a signature may be named": (
        "$m:predict", '{"signature_name": "serving_default", "instances": [1]}', {"predictions": [4.0]},
    ),
    "row form with several inputs and outputs": (
        "$pair:predict", '{"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}',
        {"predictions": [{"product": 2.0, "sum": 3.0}, {"product": 12.0, "sum": 7.0}]},
    ),
    "column form with several inputs and outputs": (
        "$pair:predict", '{"inputs": {"a": [1, 3], "b": [2, 4]}}',
        {"outputs": {"product": [2.0, 12.0], "sum": [3.0, 7.0]}},
    ),
    "binary strings are {b64}": (
        "$echo:predict", '{"instances": [{"b64": "YWI="}]}',
        {"predictions": [{"raw_bytes": {"b64": "YWI="}, "text": "ab"}]},
    ),
    "one nesting level too deep is for the graph to judge": (
        "$m:predict", '{"instances": [[[1]]]}', {"predictions": [[[4.0]]]},
    ),
    "classify answers results": (
        "$examples:classify", '{"signature_name": "classify", "examples": [{"x": 1.0}]}',
        {"results": [[["up", 2.0], ["down", -2.0]]]},
    ),
    "regress answers results": (
        "$examples:regress", '{"signature_name": "regress", "examples": [{"x": 1.0}, {"x": 3.0}]}',
        {"results": [2.0, 6.0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "expected"), table("3", VALUES, needs=REST))
def test_predict(world: World, path: str, body: str, expected: Any) -> None:
    reply = ask(world, "POST", path if path.startswith("/") else f"/v1/models/{path}", body)
    assert reply.status == 200, reply.text
    assert reply.json() == expected


@row("3", needs=REST)
def test_bare_tokens(world: World) -> None:
    """NaN and Infinity are written as bare tokens"""
    reply = ask(world, "POST", "/v1/models/$m/versions/1:predict", '{"instances": [NaN, Infinity, -Infinity]}')
    assert reply.status == 200, reply.text
    assert '"' not in reply.text.replace('"predictions"', "")
    found = reply.json()["predictions"]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


@row("3", needs=REST)
def test_the_version_is_not_in_predict(world: World) -> None:
    """REST predict does not say which version answered"""
    assert sorted(ask(world, "POST", "/v1/models/$m:predict", ONE).json()) == ["predictions"]


ERRORS = {
    "unknown model, predict": ("nope:predict", ONE, 404, "Servable not found for request: Latest(nope)"),
    "unknown version, predict": (
        "$m/versions/77:predict", ONE, 404, "Servable not found for request: Specific($m, 77)",
    ),
    "unknown label, predict": ("$m/labels/L:predict", ONE, 400, "Unrecognized servable version label: L"),
    "empty body": ("$m:predict", "", 400, "JSON Parse error: The document is empty"),
    "neither key": ("$m:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
    "both keys": (
        "$m:predict", '{"instances": [1], "inputs": [1]}', 400,
        "JSON Value: {...} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
    ),
    "body not an object": ("$m:predict", "[1]", 400, "JSON Value: [1] Is not object"),
    "instances not a list": (
        "$m:predict", '{"instances": 1}', 400, "JSON Value: {...} Expecting 'instances' to be an list/array",
    ),
    "instances empty": (
        "$m:predict", '{"instances": []}', 400, "JSON Value: {...} No values in 'instances' array",
    ),
    "ragged list": (
        "$m:predict", '{"instances": [[1], [1, 2]]}', 400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 1 but got: 2",
    ),
    "wrong type, column form": (
        "$m:predict", '{"inputs": "abc"}', 400, 'JSON Value: "abc" Type: String is not of expected type: float',
    ),
    "wrong type, row form": (
        "$m:predict", '{"instances": ["abc"]}', 400,
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
        'JSON Value: "abc" Type: String is not of expected type: float',
    ),
    "instance with a missing key": (
        "$pair:predict", '{"instances": [{"a": 1}]}', 400,
        "Failed to process element: 0 of 'instances' list. JSON object: {...} keys must be equal to: a,b",
    ),
    "instance with an unknown key": (
        "$pair:predict", '{"instances": [{"a": 1, "b": 2, "c": 3}]}', 400,
        "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: "
        "JSON object: does not have named input: c",
    ),
    "column form with a missing key": (
        "$pair:predict", '{"inputs": {"a": 1}}', 400, "Missing named input: b in 'inputs' object.",
    ),
    "unknown signature": (
        "$m:predict", '{"signature_name": "S", "instances": [1]}', 400,
        'Serving signature name: "S" not found in signature def',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "expected"), table("3", ERRORS, needs=REST))
def test_predict_is_refused(world: World, path: str, body: str, status: int, expected: str) -> None:
    """`{...}` stands for the request's own JSON, in whatever layout."""
    reply = ask(world, "POST", f"/v1/models/{path}", body)
    check_error(reply, status, reply.error)
    pattern = re.escape(world.fill(expected)).replace(re.escape("{...}"), r"\{.*\}")
    assert re.fullmatch(pattern, reply.error, re.DOTALL), reply.error


OFFSETS = {
    "bad JSON: JSON Parse error: ... at offset: K": ("$m:predict", '{"instances": [1'),
    "bad JSON is seen before the model is looked up": ("nope:predict", '{"inst'),
}


@pytest.mark.parametrize(("path", "body"), table("3", OFFSETS, needs=REST))
def test_bad_json(world: World, path: str, body: str) -> None:
    reply = ask(world, "POST", f"/v1/models/{path}", body)
    assert re.fullmatch(r"JSON Parse error: .* at offset: [0-9]+", reply.error)
    check_error(reply, 400, reply.error)


CODES = {
    "ALREADY_EXISTS": 409, "CANCELLED": 499, "DATA_LOSS": 500, "NOT_FOUND": 404, "OUT_OF_RANGE": 400,
    "RESOURCE_EXHAUSTED": 429, "UNIMPLEMENTED": 501,
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status"),
    table("3", {f"{code} is HTTP {status}": (code, status) for code, status in CODES.items()}, needs=REST),
)
def test_codes(world: World, code: str, status: int) -> None:
    reply = ask(world, "POST", "/v1/models/$erring:predict", f'{{"signature_name": "{code}", "instances": [1]}}')
    check_error(reply, status, reply.error)


MODELS = {
    "INVALID_ARGUMENT of the graph is HTTP 400, with TensorFlow's message": ("$failing", 400, "assertion failed: "),
    "FAILED_PRECONDITION is HTTP 400": ("$hollow", 400, ""),
}


@pytest.mark.parametrize(("name", "status", "start"), table("3", MODELS, needs=REST))
def test_failing_models(world: World, name: str, status: int, start: str) -> None:
    reply = ask(world, "POST", f"/v1/models/{name}:predict", ONE)
    check_error(reply, status, reply.error)
    assert reply.error.startswith(start)
    assert reply.error


@row("3", needs=REST, late=1)
def test_the_timeout(world: World) -> None:
    """a run longer than --rest_api_timeout_in_ms (30 s by default) is 504 Timed out waiting for notification"""
    check_error(ask(world, "POST", "/v1/models/$hang:predict", ONE), 504, "Timed out waiting for notification")


URLS = {
    "unknown model, status": ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
    "unknown version, status": ("GET", "/v1/models/$m/versions/77", 404, "Could not find version 77 of model $m"),
    "unknown model, metadata": (
        "GET", "/v1/models/nope/metadata", 404, "Servable not found for request: Latest(nope)",
    ),
    "GET /v1/models": ("GET", "/v1/models", 400, "Missing model name in request."),
    "a query string becomes part of the model name": (
        "GET", "/v1/models/$m?x=1", 404, "Could not find any versions of model $m?x=1",
    ),
    "POST without a verb": ("POST", "/v1/models/$m", 400, "Malformed request: POST /v1/models/$m"),
    "GET with a verb": ("GET", "/v1/models/$m:predict", 400, "Malformed request: GET /v1/models/$m:predict"),
    "PUT": ("PUT", "/v1/models/$m", 400, "Malformed request: PUT /v1/models/$m"),
    "DELETE": ("DELETE", "/v1/models/$m", 400, "Malformed request: DELETE /v1/models/$m"),
    "the verb is case-sensitive": (
        "POST", "/v1/models/$m:PREDICT", 400, "Malformed request: POST /v1/models/$m:PREDICT",
    ),
    "a path under /v1/ that is none": ("GET", "/v1/nonsense", 400, "Malformed request: GET /v1/nonsense"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status", "expected"), table("3", URLS, needs=REST))
def test_urls(world: World, method: str, path: str, status: int, expected: str) -> None:
    check_error(ask(world, method, path), status, world.fill(expected))


@row("3", needs=REST)
def test_names_are_decoded(world: World) -> None:
    """model names are percent-decoded"""
    first, rest = world.name("m")[0], world.name("m")[1:]
    assert ask(world, "GET", f"/v1/models/%{ord(first):02X}{rest}").status == 200


LABELS = {
    "a blank": ("be st", "be%20st"),
    "a dot and a dash": ("be.s-t", "be.s-t"),
    "letters beyond ASCII": ("b\u00eate", "b%C3%AAte"),
}


@pytest.mark.parametrize(
    ("label", "typed"), table("2.4", {f"a label may contain {what}": case for what, case in LABELS.items()}, needs=REST)
)
def test_labels_are_decoded(world: World, label: str, typed: str) -> None:
    world.apply({world.name("m"): "model_version_policy { all {} } " + labels({label: 1})})
    try:
        reply = ask(world, "POST", f"/v1/models/$m/labels/{typed}:predict", ONE)
        assert reply.json() == {"predictions": [2.0]}
    finally:
        world.apply()


EMPTY = {
    "HEAD is 400": ("HEAD", "/v1/models/$m"),
    "a version beyond int64 is 400 with an empty body, GET": ("GET", "/v1/models/$m/versions/9223372036854775808"),
    "a version beyond int64 is 400 with an empty body, POST":
        ("POST", "/v1/models/$m/versions/9223372036854775808:predict"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), table("3", EMPTY, needs=REST))
def test_empty_answers(world: World, method: str, path: str) -> None:
    reply = ask(world, method, path, ONE if method == "POST" else None)
    assert (reply.status, reply.body) == (400, b"")


ORIGINS = {
    "OPTIONS with an http Origin is 200, empty": ("http://example.org", 200),
    "OPTIONS with an https Origin is 200, empty": ("https://example.org", 200),
    "OPTIONS without Origin is 400, empty": ("", 400),
    "OPTIONS with another Origin is 400, empty": ("ftp://example.org", 400),
}


@pytest.mark.parametrize(("origin", "status"), table("3", ORIGINS, needs=REST))
def test_options(world: World, origin: str, status: int) -> None:
    reply = ask(world, "OPTIONS", "/v1/models/$m", **({"Origin": origin} if origin else {}))
    assert (reply.status, reply.body) == (status, b"")
    assert reply.headers["Content-Type"] == "text/html; charset=ISO-8859-1"


@pytest.mark.parametrize(
    "path",
    table(
        "3",
        {f"{path} is outside /v1/: 404 in HTML": path for path in ("/", "/metrics", "/v2/models/x", "/v1")},
        needs=REST,
    ),
)
def test_outside(world: World, path: str) -> None:
    reply = ask(world, "GET", path)
    assert reply.status == 404
    assert reply.headers["Content-Type"].startswith("text/html")
    assert b"<html>" in reply.body.lower()
