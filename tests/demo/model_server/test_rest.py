"""REST and the metrics page on the HTTP port: bodies, codes and what is counted."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.demo.model_server.client import Client


def error(response: object) -> str:
    body = response.text  # type: ignore[attr-defined]
    assert body.startswith('{\n    "error": "')
    assert body.endswith('"\n}')
    return str(json.loads(body)["error"])


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("m:predict", '{"instances": [1.0]}', '{\n    "predictions": [4.0\n    ]\n}'),
        ("m:predict", '\ufeff {"instances": [1.0]} and more', '{\n    "predictions": [4.0\n    ]\n}'),
        ("m:predict", '{"inputs": [1.0, 2.5]}', '{\n    "outputs": [\n        4.0,\n        8.5\n    ]\n}'),
        ("m/versions/1:predict", '{"instances": [[1, 2], [3, 4]]}',
         '{\n    "predictions": [[2.0, 4.0], [6.0, 8.0]\n    ]\n}'),
        ("m/labels/stable:predict", '{"instances": [0.1, 1e20]}', '{\n    "predictions": [0.2, 2e+20\n    ]\n}'),
        ("m:predict", '{"instances": [NaN, -Infinity]}', '{\n    "predictions": [NaN, -Infinity\n    ]\n}'),
        ("pair:predict", '{"instances": [{"a": 1, "b": 2}]}',
         '{\n    "predictions": [\n        {\n            "product": 2.0,\n            "sum": 3.0\n        }\n'
         '    ]\n}'),
        ("pair:predict", '{"inputs": {"a": 3, "b": 2}}',
         '{\n    "outputs": {\n        "product": 6.0,\n        "sum": 5.0\n    }\n}'),
        ("echo:predict", '{"instances": [{"b64": "/w=="}]}',
         b'{\n    "predictions": [\n        {\n            "raw_bytes": {\n                "b64": "/w=="\n'
         b'            },\n'
         b'            "text": "\xff"\n        }\n    ]\n}'),
    ],
)  # fmt: skip
def test_predict_answers_byte_for_byte(client: Client, path: str, body: str, expected: str | bytes) -> None:
    response = client.http("POST", f"/v1/models/{path}", body)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.content == (expected if isinstance(expected, bytes) else expected.encode())


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("nope:predict", '{"instances": [1]}', 404, "Servable not found for request: Latest(nope)"),
        ("m/versions/9:predict", '{"instances": [1]}', 404, "Servable not found for request: Specific(m, 9)"),
        ("m/labels/L:predict", '{"instances": [1]}', 400, "Unrecognized servable version label: L"),
        ("nope:predict", '{"inst', 400, "JSON Parse error: Missing a closing quotation mark in string. at offset: 6"),
        ("m:predict", '{"instances": [1', 400,
         "JSON Parse error: Missing a comma or ] after an array element. at offset: 16"),
        ("m:predict", "  ", 400, "JSON Parse error: The document is empty. at offset: 2"),
        ("m:predict", " ]", 400, "JSON Parse error: The document is empty. at offset: 1"),
        ("m:predict", "", 400, "JSON Parse error: The document is empty"),
        ("m:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("m:predict", "[1]", 400, "JSON Value: [1] Is not object"),
        ("m:predict", '{"instances": 1}', 400,
         'JSON Value: {\n    "instances": 1\n} Expecting \'instances\' to be an list/array'),
        ("m:predict", '{"instances": []}', 400,
         'JSON Value: {\n    "instances": []\n} No values in \'instances\' array'),
        ("m:predict", '{"instances": [1, 2], "inputs": [0.5]}', 400,
         'JSON Value: {\n    "instances": [1, 2],\n    "inputs": [0.5]\n} '
         "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "),
        ("m:predict", '{"instances": [[1], [1, 2]]}', 400,
         "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
         "Expecting tensor size: 1 but got: 2"),
        ("m:predict", '{"inputs": "abc"}', 400, 'JSON Value: "abc" Type: String is not of expected type: float'),
        ("m:predict", '{"instances": ["abc"]}', 400,
         "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
         'JSON Value: "abc" Type: String is not of expected type: float'),
        ("pair:predict", '{"instances": [{"a": 1}]}', 400,
         "Failed to process element: 0 of 'instances' list. "
         'JSON object: {\n    "a": 1\n} keys must be equal to: a,b'),
        ("pair:predict", '{"instances": [{"a": 1, "b": 2, "c": 3}]}', 400,
         "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: "
         "JSON object: does not have named input: c"),
        ("pair:predict", '{"inputs": {"a": 1}}', 400, "Missing named input: b in 'inputs' object."),
        ("m:predict", '{"signature_name": "S", "instances": [1]}', 400,
         'Serving signature name: "S" not found in signature def'),
        ("slow:predict", '{"instances": [1]}', 504, "Timed out waiting for notification"),
    ],
)  # fmt: skip
def test_predict_is_refused_in_the_real_servers_words(
    client: Client, path: str, body: str, status: int, expected: str
) -> None:
    response = client.http("POST", f"/v1/models/{path}", body)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/json")
    assert error(response) == expected


def test_one_nesting_level_too_many_is_for_the_graph_to_judge(client: Client) -> None:
    assert client.http("POST", "/v1/models/m:predict", '{"instances": [[[1]]]}').status_code == 200


def test_an_error_inside_the_graph_is_shown(client: Client) -> None:
    response = client.http("POST", "/v1/models/failing:predict", '{"instances": [1]}')
    assert response.status_code == 400
    assert error(response).startswith("assertion failed: [this model is broken]\n")


def test_status_byte_for_byte(client: Client) -> None:
    body = client.http("GET", "/v1/models/m/versions/2").text
    assert body.rstrip("\n") == (
        '{\n "model_version_status": [\n  {\n   "version": "2",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}'
    )


@pytest.mark.parametrize("path", ["m", "m/labels/nonsense"])
def test_status_lists_all_versions_and_ignores_a_label(client: Client, path: str) -> None:
    found = client.http("GET", f"/v1/models/{path}").json()["model_version_status"]
    assert [one["version"] for one in found] == ["2", "1"]


@pytest.mark.parametrize(
    ("path", "version"), [("m", "2"), ("m/versions/1", "1"), ("m/labels/stable", "1"), ("%6D", "2")]
)
def test_metadata_says_which_version_answers(client: Client, path: str, version: str) -> None:
    found = client.http("GET", f"/v1/models/{path}/metadata").json()
    assert found["model_spec"] == {"name": "m", "signature_name": "", "version": version}
    assert found["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/v1/models/zz", 404, "Could not find any versions of model zz"),
        ("GET", "/v1/models/m?x=1", 404, "Could not find any versions of model m?x=1"),
        ("GET", "/v1/models/m/versions/7", 404, "Could not find version 7 of model m"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/m:predict", 400, "Malformed request: GET /v1/models/m:predict"),
        ("POST", "/v1/models/m", 400, "Malformed request: POST /v1/models/m"),
        ("POST", "/v1/models/m:PREDICT", 400, "Malformed request: POST /v1/models/m:PREDICT"),
        ("PUT", "/v1/models/m", 400, "Malformed request: PUT /v1/models/m"),
        ("DELETE", "/v1/models/m", 400, "Malformed request: DELETE /v1/models/m"),
    ],
)
def test_other_requests_under_v1_are_refused(
    client: Client, method: str, path: str, status: int, expected: str
) -> None:
    response = client.http(method, path)
    assert response.status_code == status
    assert error(response) == expected


def test_the_base_path_is_matched_without_regard_to_case(client: Client) -> None:
    assert client.http("POST", "/V1/Models/m:predict", '{"instances": [1]}').status_code == 200


def test_a_version_beyond_64_bits_and_head_get_an_empty_400(client: Client) -> None:
    for method, path in (("GET", "/v1/models/m/versions/9223372036854775808"), ("HEAD", "/v1/models/m")):
        response = client.http(method, path)
        assert (response.status_code, response.content) == (400, b"")


def test_options_needs_an_origin_and_answers_with_an_empty_page(client: Client) -> None:
    asked = client.http("OPTIONS", "/v1/models/m", Origin="http://example.org")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Type"] == "text/html; charset=ISO-8859-1"
    assert client.http("OPTIONS", "/v1/models/m").status_code == 400


def test_paths_outside_v1_get_an_html_404_that_is_not_counted(client: Client) -> None:
    response = client.http("GET", "/metrics")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html")
    assert "<H1>Not Found</H1>" in response.text


def test_the_metrics_page_is_plain_text_without_version_and_takes_any_method(client: Client) -> None:
    path = "/monitoring/prometheus/metrics"
    response = client.http("GET", path)
    assert sorted(response.headers) == ["Content-Length", "Content-Type", "Date"]
    assert response.headers["Content-Type"] == "text/plain"
    assert client.http("POST", path).status_code == 200


@pytest.mark.parametrize("query", ["?", "?x=y"])
def test_the_metrics_page_refuses_a_query(client: Client, query: str) -> None:
    path = "/monitoring/prometheus/metrics"
    connection = http.client.HTTPConnection("127.0.0.1", client.server.rest_port, timeout=10)
    connection.request("GET", path + query)
    response = connection.getresponse()
    assert response.status == 400
    assert response.read().decode() == f"Unexpected path: {path}{query}. Should be {path}"
    connection.close()


def test_rest_requests_are_counted_with_the_verb_as_typed_and_looks_without_one(client: Client) -> None:
    typed, looked = (f'model_name="pair",API="{api}",entrypoint="REST"' for api in ("predict", ""))
    before = (
        client.sample("serving:request_latency_count", typed),
        client.sample("serving:request_latency_count", looked),
    )
    counted = client.sample("serving:request_count", 'model_name="pair",status="OK"')
    client.http("POST", "/v1/models/pair:predict", '{"inputs": {"a": 3, "b": 2}}')
    client.http("GET", "/v1/models/pair")
    client.http("GET", "/v1/models/pair/metadata")
    assert client.sample("serving:request_latency_count", typed) == before[0] + 1
    assert client.sample("serving:request_latency_count", looked) == before[1] + 2
    assert client.sample("serving:request_count", 'model_name="pair",status="OK"') == counted + 3


def test_a_name_that_does_not_exist_makes_a_series_and_one_bad_byte_poisons_the_page(client: Client) -> None:
    client.http("GET", "/v1/models/we%22ird%0A")
    assert client.http("GET", "/v1/models/%FF").status_code == 404
    page = client.http("GET", "/monitoring/prometheus/metrics").content
    assert b'request_count{model_name="we\\"ird\n",status="NOT_FOUND"} 1' in page
    assert b'request_count{model_name="\xff",status="NOT_FOUND"} 1' in page
    with pytest.raises(UnicodeDecodeError):
        page.decode("utf-8")


def test_a_connection_is_kept_for_the_next_request(client: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.server.rest_port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/v1/models/m")
        connection.getresponse().read()
        assert connection.sock is not None
    connection.close()
