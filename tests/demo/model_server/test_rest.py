"""REST and the metrics page on the HTTP port: bodies, codes and what is counted."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time

import pytest

from airbag_demo.model_server import http_server
from airbag_demo.model_server.core import Wanted
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.rest_api import Reply, RestApi
from airbag_demo.model_server.setting import Setting
from airbag_demo.model_server.states import Event, State
from airbag_demo.model_server.status import Code, Status
from tests.demo.model_server.client import Client
from tests.fakes.ports import free_port
from tests.fakes.wait import until


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


def test_a_verb_in_upper_case_is_refused_but_counted_for_its_model(client: Client) -> None:
    labels = 'model_name="m",status="INVALID_ARGUMENT"'
    unnamed = 'model_name="",status="INVALID_ARGUMENT"'
    before = client.sample("serving:request_count", labels), client.sample("serving:request_count", unnamed)
    client.http("POST", "/v1/models/m:PREDICT", '{"instances": [1]}')
    client.http("POST", "/v1/models/m:guess", '{"instances": [1]}')
    assert client.sample("serving:request_count", labels) == before[0] + 1
    assert client.sample("serving:request_count", unnamed) == before[1] + 1


def test_metadata_in_upper_case_asks_for_the_status(client: Client) -> None:
    assert "model_version_status" in client.http("GET", "/v1/models/m/METADATA").json()


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (b"/v1/models/%C3%A9", 404, b"Could not find any versions of model \xc3\xa9"),
        (b"/v1/models/\xe9", 404, b"Could not find any versions of model \xe9"),
        (b"/v1/models/%FF/versions/3", 404, b"Could not find version 3 of model \xff"),
        (b"/v1/models/%FF/metadata", 404, b"Servable not found for request: Latest(\xff)"),
        (b"/v1/models/a%2Fb+%zz", 404, b"Could not find any versions of model a/b+%zz"),
        (b"/v1/models/%FF:what", 400, b"Malformed request: GET /v1/models/%FF:what"),
        (b"/v1/models/", 400, b"Malformed request: GET /v1/models/"),
        (b"/v1/models/versions/3", 400, b"Missing model name in request."),
    ],
)
def test_names_are_decoded_to_bytes_that_need_be_no_text(client: Client, path: bytes, status: int, said: bytes) -> None:
    head, body = _raw(client, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert body == b'{\n    "error": "' + said + b'"\n}'


def test_a_pinned_predict_for_a_name_that_is_no_text_is_not_found(client: Client) -> None:
    response = client.http("POST", "/v1/models/%FF/versions/3:predict", '{"instances": [1]}')
    assert response.content == b'{\n    "error": "Servable not found for request: Specific(\xff, 3)"\n}'
    response = client.http("POST", "/v1/models/m/labels/%FF:predict", '{"instances": [1]}')
    assert response.content == b'{\n    "error": "Unrecognized servable version label: \xff"\n}'


def test_a_signature_name_that_is_no_text_is_refused(client: Client) -> None:
    response = client.http("POST", "/v1/models/m:predict", b'{"signature_name": "\xff", "instances": [1]}')
    assert response.status_code == 400


def test_a_body_may_come_in_chunks(client: Client) -> None:
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = b'9\r\n{"instanc\r\nc;x=y\r\nes": [1.0]}\n\r\n0\r\nTrailer: t\r\n\r\n'
    assert _raw(client, head + chunks)[1] == b'{\n    "predictions": [4.0\n    ]\n}'


@pytest.mark.parametrize("header", [b"Content-Length: many", b"Transfer-Encoding: chunked"])
def test_a_body_of_unclear_length_is_refused(client: Client, header: bytes) -> None:
    head, _ = _raw(client, b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\nxx\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")


def test_a_path_outside_v1_closes_the_connection(client: Client) -> None:
    head, body = _raw(client, b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in head + b"\r\n"
    assert body.startswith(b"<HTML>")


def test_an_origin_needs_only_contain_a_scheme(client: Client) -> None:
    for headers, status in (({"origin": "x https://e.org"}, 200), ({"Origin": "ftp://e.org"}, 400)):
        assert client.http("OPTIONS", "/v1/models/m", **headers).status_code == status
    assert "Access-Control-Allow-Origin" not in client.http("OPTIONS", "/v1/x", Origin="http://e.org").headers


def test_with_the_flag_every_answer_under_v1_allows_other_origins() -> None:
    api = RestApi(_NoCore(), Setting(ServerMetrics()), 1000, "/metrics", allows_cors=True)
    allowed = (
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "POST, GET"),
        ("Access-Control-Allow-Headers", "Content-Type"),
    )
    asked = [("OPTIONS", "/v1/x", "http://e.org"), ("OPTIONS", "/v1/x", ""), ("PUT", "/v1/x", ""),
             ("GET", f"/v1/models/m/versions/{2**63}", ""), ("GET", "/v1/models/m", "")]  # fmt: skip
    assert {api.answer(method, path, origin, b"").headers for method, path, origin in asked} == {allowed}
    assert api.answer("GET", "/metrics", "", b"").headers == ()


def test_an_error_message_in_a_status_has_its_angle_brackets_escaped() -> None:
    body = RestApi(_NoCore(), Setting(ServerMetrics()), 1000, None).answer("GET", "/v1/models/m", "", b"").body
    assert b'"error_message": "a \\u003cb\\u003e \xc3\xa9"' in body


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


def test_a_rest_request_that_fails_is_counted_and_not_timed(client: Client) -> None:
    timed = [f'model_name="failing",API="{api}",entrypoint="REST"' for api in ("predict", "")]
    refused = 'model_name="failing",status="INVALID_ARGUMENT"'
    before = client.sample("serving:request_count", refused)
    client.http("POST", "/v1/models/failing:predict", '{"instances": [1]}')
    client.http("GET", "/v1/models/failing/versions/9")
    assert client.sample("serving:request_count", refused) == before + 1
    assert [client.sample("serving:request_latency_count", labels) for labels in timed] == [0, 0]


def test_a_name_that_does_not_exist_makes_a_series_and_one_bad_byte_poisons_the_page(client: Client) -> None:
    client.http("GET", "/v1/models/we%22ird%0A")
    assert client.http("GET", "/v1/models/%FF").status_code == 404
    page = client.http("GET", "/monitoring/prometheus/metrics").content
    assert b'request_count{model_name="we\\"ird\n",status="NOT_FOUND"} 1' in page
    assert b'request_count{model_name="\xff",status="NOT_FOUND"} ' in page
    with pytest.raises(UnicodeDecodeError):
        page.decode("utf-8")


def test_a_connection_is_kept_for_the_next_request(client: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.server.rest_port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/v1/models/m")
        connection.getresponse().read()
        assert connection.sock is not None
    connection.close()


@pytest.mark.parametrize(("threads", "at_work"), [(1, 0), (2, 1), (3, 2)])
def test_one_of_the_threads_only_accepts_so_that_with_one_nothing_is_answered(threads: int, at_work: int) -> None:
    api, port = _SlowApi(), free_port()
    server = http_server.serve(api, "127.0.0.1", port, threads)
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
    try:
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        until(lambda: api.calls == at_work, what="the requests at work")
        time.sleep(0.3)  # in which no more may be taken up
        assert api.calls == at_work
    finally:
        api.gate.set()
        for connection in connections:
            connection.close()
        server.shutdown()
        server.server_close()


class _SlowApi:
    """Answers when its gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.calls = 0

    def answer(self, *_: object) -> Reply:
        self.calls += 1
        self.gate.wait(20)
        return Reply(200, "text/plain", b"")


class _NoCore:
    """Knows one version, which failed."""

    def status(self, _: Wanted) -> list[Event]:
        return [Event("m", 1, State.END, Status(Code.INTERNAL, "a <b> é"))]


def _raw(client: Client, request: bytes) -> tuple[bytes, bytes]:
    """Send bytes as they are; the head and the body of what comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", client.server.rest_port), timeout=20) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body
