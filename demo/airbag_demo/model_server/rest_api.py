"""The REST front end and the metrics page, on one port."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2

from airbag_demo.model_server import json_predict, json_text, json_writer
from airbag_demo.model_server.core import ServerCore
from airbag_demo.model_server.grpc_api import model_metadata, model_status
from airbag_demo.model_server.metrics import CONTENT_TYPE, ServerMetrics
from airbag_demo.model_server.predict import DEFAULT_SIGNATURE, predict
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.status import Code, StatusError, invalid

JSON = "application/json"
HTML = "text/html; charset=ISO-8859-1"

_WHICH = r"(?:(?i:/versions/)(?P<version>\d+)|(?i:/labels/)(?P<label>[^/:]+))?"
_VERB = re.compile(rf"(?i:/v1/models/)(?P<name>[^/:]+){_WHICH}:(?P<verb>classify|regress|predict)")
_LOOK = re.compile(rf"(?i:/v1/models)(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>(?i:/metadata))?")

_HTTP = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}

_NOT_FOUND = (
    b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"  # libevent's own
)


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class _Call:
    """What a URL asks for."""

    name: str
    spec: Any
    verb: str = ""
    is_metadata: bool = False


class RestApi:
    """Answers one HTTP request at a time per thread. `metrics_path` is None when the page is switched off."""

    def __init__(self, core: ServerCore, metrics: ServerMetrics, timeout_ms: int, metrics_path: str | None) -> None:
        self._core = core
        self._metrics = metrics
        self._timeout_ms = timeout_ms
        self._metrics_path = metrics_path

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """`target` is the request line's: path and query, as sent."""
        path = target.partition("?")[0]
        if path == self._metrics_path:
            return self._page(target)
        if not path.lower().startswith("/v1/"):
            return Reply(404, "text/html", _NOT_FOUND)
        started = time.perf_counter()
        if method == "OPTIONS":
            return self._preflight(headers.get("Origin", ""), started)
        return self._api(method, target, body, started)

    def _page(self, target: str) -> Reply:
        if target != self._metrics_path:
            return Reply(400, CONTENT_TYPE, f"Unexpected path: {target}. Should be {self._metrics_path}".encode())
        return Reply(200, CONTENT_TYPE, self._metrics.page())

    def _preflight(self, origin: str, started: float) -> Reply:
        code = Code.OK if origin.startswith(("http://", "https://")) else Code.FAILED_PRECONDITION
        self._count("", code, "", started)
        return Reply(_HTTP[code], HTML, b"")

    def _api(self, method: str, target: str, body: bytes, started: float) -> Reply:
        match = _match(method, target)
        name, verb = ("", "") if match is None else (_decoded(match["name"] or ""), match.groupdict().get("verb") or "")
        try:
            if match is None:
                raise invalid(f"Malformed request: {method} {target}")
            if int(match["version"] or 0) >= 2**63:
                self._count(name, Code.INVALID_ARGUMENT, verb, started)
                return Reply(400, JSON, b"")
            text = self._call(_call(match), body)
        except StatusError as error:
            self._count(name, error.status.code, verb, started)
            return Reply(_HTTP[error.status.code], JSON, _bytes(json_writer.error(error.status.message)))
        self._count(name, Code.OK, verb, started)
        return Reply(200, JSON, _bytes(text))

    def _call(self, call: _Call, body: bytes) -> str:
        if call.verb == "predict":
            return self._predict(call, body)
        if call.verb:
            raise StatusError(Code.UNIMPLEMENTED, "The local model server answers predict only")
        if not call.name:
            raise invalid("Missing model name in request.")
        return self._metadata(call) if call.is_metadata else self._status(call)

    def _predict(self, call: _Call, body: bytes) -> str:
        document = json_text.parse(body)
        request = predict_pb2.PredictRequest(model_spec=call.spec)
        is_row = json_predict.fill_request(document, request, lambda signature: self._inputs(call.spec, signature))
        with self._core.hold(call.spec) as route:
            response = predict(cast(SavedModel, route.servable), request, self._timeout_ms, self._metrics)
        return json_predict.answer(response.outputs, is_row)

    def _inputs(self, spec: Any, signature: str) -> Mapping[str, Any]:
        name = signature or DEFAULT_SIGNATURE
        with self._core.hold(spec) as route:
            found = cast(SavedModel, route.servable).signatures.get(name)
        if found is None:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return cast(Mapping[str, Any], found.inputs)

    def _status(self, call: _Call) -> str:
        return _shown(model_status(self._core, get_model_status_pb2.GetModelStatusRequest(model_spec=call.spec)))

    def _metadata(self, call: _Call) -> str:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=call.spec, metadata_field=["signature_def"])
        response = model_metadata(self._core, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        spec = json.dumps(
            {
                "name": response.model_spec.name,
                "signature_name": response.model_spec.signature_name,
                "version": str(response.model_spec.version.value),
            },
            indent=1,
            ensure_ascii=False,
        )
        return f'{{\n"model_spec":{spec}\n,\n"metadata": {{"signature_def": {_shown(signatures)}}}\n}}\n'

    def _count(self, name: str, code: Code, verb: str, started: float) -> None:
        self._metrics.request_count.add(name, code.name)
        if code is Code.OK:
            micros = int((time.perf_counter() - started) * 1e6)
            self._metrics.request_latency.observe(micros, name, verb, "REST")


def _match(method: str, target: str) -> re.Match[str] | None:
    if method == "POST":
        return _VERB.fullmatch(target)
    return _LOOK.fullmatch(target) if method == "GET" else None


def _call(match: re.Match[str]) -> _Call:
    found = match.groupdict()
    name = _decoded(found["name"] or "")
    try:
        spec = model_pb2.ModelSpec(name=name)
        if found["version"]:
            spec.version.value = int(found["version"])
        elif found["label"]:
            spec.version_label = _decoded(found["label"])
    except (UnicodeEncodeError, ValueError) as error:
        raise _unknown(name, bool(found.get("verb"))) from error
    return _Call(name, spec, found.get("verb") or "", bool(found.get("metadata")))


def _unknown(name: str, is_predict: bool) -> StatusError:
    """A name that no message can hold is a name that no model has."""
    if is_predict:
        return StatusError(Code.NOT_FOUND, f"Servable not found for request: Latest({name})")
    return StatusError(Code.NOT_FOUND, f"Could not find any versions of model {name}")


def _decoded(text: str) -> str:
    """Percent signs undone; bytes that are no UTF-8 survive as lone surrogates and leave as the same bytes."""
    return unquote(text, errors="surrogateescape")


def _shown(message: Any) -> str:
    plain = json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
