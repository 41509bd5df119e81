"""The REST front end and the metrics page, on one port."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, predict_pb2, regression_pb2

from airbag_demo.model_server import describe, json_examples, json_predict, json_text, json_writer
from airbag_demo.model_server.classify import classify
from airbag_demo.model_server.core import ServerCore, Wanted
from airbag_demo.model_server.metrics import CONTENT_TYPE
from airbag_demo.model_server.predict import predict
from airbag_demo.model_server.regress import regress
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import DEFAULT_SIGNATURE, Inference, Setting
from airbag_demo.model_server.status import Code, StatusError, invalid

JSON = "application/json"
HTML = "text/html; charset=ISO-8859-1"

_WHICH = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_VERB = re.compile(rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<verb>classify|regress|predict)", re.IGNORECASE)
_LOOK = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?:/(?P<part>metadata))?", re.IGNORECASE)
"""Case matters to none of them; what a verb or a part then means knows only lower case."""
_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)

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
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Call:
    """What a URL asks for."""

    wanted: Wanted
    verb: str = ""
    part: str = ""


class RestApi:
    """Answers one HTTP request at a time per thread. `metrics_path` is None when the page is switched off."""

    def __init__(
        self, core: ServerCore, setting: Setting, timeout_ms: int, metrics_path: str | None, allows_cors: bool = False
    ) -> None:
        self._core = core
        self._setting = setting
        self._metrics = setting.metrics
        self._timeout_ms = max(timeout_ms, 0)
        self._metrics_path = metrics_path
        self._headers = _CORS if allows_cors else ()

    def answer(self, method: str, target: str, origin: str, body: bytes) -> Reply:
        """`target` is the request line's: path and query, as sent. `origin` is the header of that name."""
        path = target.partition("?")[0]
        if path == self._metrics_path:
            return self._page(target)
        if not path.lower().startswith("/v1/"):
            return Reply(404, "text/html", _NOT_FOUND, (("Connection", "close"),))
        started = time.perf_counter()
        if method == "OPTIONS":
            return self._preflight(origin, started)
        return self._api(method, target, body, started)

    def _page(self, target: str) -> Reply:
        if target != self._metrics_path:
            return Reply(400, CONTENT_TYPE, _bytes(f"Unexpected path: {target}. Should be {self._metrics_path}"))
        return Reply(200, CONTENT_TYPE, self._metrics.page())

    def _preflight(self, origin: str, started: float) -> Reply:
        code = Code.OK if re.search("https?://", origin) else Code.FAILED_PRECONDITION
        self._count("", code, "", started)
        return Reply(_HTTP[code], HTML, b"", self._headers)

    def _api(self, method: str, target: str, body: bytes, started: float) -> Reply:
        call = _call(method, target)
        name, verb = (call.wanted.name, call.verb) if call else ("", "")
        if call and (call.wanted.version or 0) >= 2**63:
            self._count(name, Code.INVALID_ARGUMENT, verb, started)
            return Reply(400, JSON, b"", self._headers)
        try:
            text = self._checked_text(call, body) if call else None
            if text is None:
                raise invalid(f"Malformed request: {method} {target}")
        except StatusError as error:
            self._count(name, error.status.code, verb, started)
            return Reply(_HTTP[error.status.code], JSON, _bytes(json_writer.error(error.status.message)), self._headers)
        self._count(name, Code.OK, verb, started)
        return Reply(200, JSON, _bytes(text), self._headers)

    def _checked_text(self, call: _Call, body: bytes) -> str | None:
        try:
            return self._text(call, body)
        except UnicodeEncodeError as error:  # a name in the JSON that no message of ours can hold
            raise invalid("JSON Parse error: Invalid encoding in string. at offset: 0") from error

    def _text(self, call: _Call, body: bytes) -> str | None:
        """The answer; None for a verb that is not in lower case."""
        match call.verb:
            case "predict":
                return self._predict(call.wanted, body)
            case "classify":
                return self._classify(call.wanted, body)
            case "regress":
                return self._regress(call.wanted, body)
            case "":
                return self._look(call)
            case _:
                return None

    def _predict(self, wanted: Wanted, body: bytes) -> str:
        document = json_text.parse(body)
        request = predict_pb2.PredictRequest()
        is_row = json_predict.fill_request(document, request, lambda signature: self._inputs(wanted, signature))
        with self._core.hold(wanted) as route:
            request.model_spec.name = route.name
            response = predict(cast(SavedModel, route.servable), request, self._timeout_ms, self._setting)
        return json_predict.answer(response.outputs, is_row)

    def _inputs(self, wanted: Wanted, signature: str) -> Mapping[str, Any]:
        name = signature or DEFAULT_SIGNATURE
        with self._core.hold(wanted) as route:
            found = cast(SavedModel, route.servable).signatures.get(name)
        if found is None:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return cast(Mapping[str, Any], found.inputs)

    def _classify(self, wanted: Wanted, body: bytes) -> str:
        request = classification_pb2.ClassificationRequest()
        return json_examples.classifications(self._examples(wanted, body, request, classify).result)

    def _regress(self, wanted: Wanted, body: bytes) -> str:
        request = regression_pb2.RegressionRequest()
        return json_examples.regressions(self._examples(wanted, body, request, regress).result)

    def _examples(self, wanted: Wanted, body: bytes, request: Any, inference: Inference) -> Any:
        json_examples.fill_request(json_text.parse(body), request)
        with self._core.hold(wanted) as route:
            request.model_spec.name = route.name
            return inference(cast(SavedModel, route.servable), request, self._timeout_ms, self._setting)

    def _look(self, call: _Call) -> str:
        if not call.wanted.name:
            raise invalid("Missing model name in request.")
        if call.part == "metadata":
            return self._metadata(call.wanted)
        return _shown(describe.model_status(self._core, call.wanted))

    def _metadata(self, wanted: Wanted) -> str:
        response = describe.model_metadata(self._core, wanted)
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
        if code is Code.OK:
            micros = int((time.perf_counter() - started) * 1e6)
            self._metrics.request_latency.observe(micros, name, verb, "REST")
        self._metrics.request_count.add(name, code.name)


def _call(method: str, target: str) -> _Call | None:
    """What the URL asks for; None if it cannot be understood, or not with this method."""
    pattern = {"POST": _VERB, "GET": _LOOK}.get(method)
    match = pattern.fullmatch(target) if pattern else None
    if match is None:
        return None
    found = match.groupdict()
    return _Call(
        Wanted(
            _decoded(found["name"] or ""),
            int(found["version"]) if found["version"] else None,
            _decoded(found["label"]) if found["label"] else None,
        ),
        found.get("verb") or "",
        found.get("part") or "",
    )


def _decoded(text: str) -> str:
    """Percent signs undone; bytes that are no UTF-8 survive as lone surrogates and leave as the same bytes."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _shown(message: Any) -> str:
    """Angle brackets are escaped, as protobuf's own printer does in C++."""
    plain = json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
    text = json.dumps(plain, indent=1, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
    return text + "\n"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
