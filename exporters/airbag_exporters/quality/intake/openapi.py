"""The OpenAPI document of the intake, made from the structs that batches are decoded with."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from airbag import __version__
from airbag_exporters.config import Limits
from airbag_exporters.quality.decode.events import Label, LabelColumns, Prediction, PredictionColumns
from airbag_exporters.quality.intake.formats import content_types
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.media import ARROW, JSON, NDJSON
from airbag_exporters.quality.pipelines.runs import Run

Json = dict[str, Any]  # a document of plain JSON values

_EVENTS: dict[Kind, type[msgspec.Struct]] = {
    Kind.PREDICTIONS: Prediction, Kind.LABELS: Label, Kind.PIPELINE_RUNS: Run,
}  # fmt: skip
_COLUMNS: dict[Kind, type[msgspec.Struct]] = {Kind.PREDICTIONS: PredictionColumns, Kind.LABELS: LabelColumns}
_EXAMPLES: dict[Kind, Json] = {
    Kind.PREDICTIONS: {"id": "a1", "model_name": "digits", "model_version": 3, "predicted": "7", "score": 0.93,
                       "features": {"ink": 0.4}},
    Kind.LABELS: {"id": "a1", "actual": "7"},
    Kind.PIPELINE_RUNS: {"pipeline": "features", "run_id": "2025-01-01T02", "status": "success",
                         "started_at": 1735689600.0, "finished_at": 1735689660.5, "rows": 120000},
}  # fmt: skip
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before this batch is sent again.", "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}  # fmt: skip
_CHALLENGE = {"WWW-Authenticate": {"description": "The scheme.", "required": True, "schema": {"type": "string"}}}
_ENCODING = {
    "name": "Content-Encoding", "in": "header", "required": False,
    "description": "How the body is compressed.", "schema": {"type": "string", "enum": ["identity", "gzip"]},
}  # fmt: skip


def document(limits: Limits, *, needs_token: bool) -> Json:
    """OpenAPI 3.1, for these limits."""
    security: list[Json] = [{"bearer": []}] if needs_token else [{}]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Airbag quality exporter", "version": __version__,
                 "description": "Takes what models answered, and later what was true. A batch is taken whole or not at "
                 "all, and a batch that is sent twice counts once where its events have ids.",
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": {f"/v1/{kind}": {"post": _operation(kind, limits) | {"security": security}} for kind in Kind},
        "components": {
            "schemas": _schemas(),
            "responses": {"Unauthorized": _refusal("The bearer token is missing or wrong.", _CHALLENGE),
                          "Busy": _refusal("Nothing was taken; the same batch may be sent again.", _RETRY_AFTER)},
            "parameters": {"ContentEncoding": _ENCODING},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _operation(kind: Kind, limits: Limits) -> Json:
    busy = {"$ref": "#/components/responses/Busy"}
    return {
        "operationId": f"take_{kind.replace('-', '_')}",
        "summary": f"Take a batch of {kind.replace('-', ' ')}.",
        "parameters": [{"$ref": "#/components/parameters/ContentEncoding"}],
        "requestBody": {
            "required": True,
            "description": f"At most {limits.body_bytes} bytes, and {limits.decompressed_bytes} when decompressed.",
            "content": {content_type: _body(kind, content_type) for content_type in content_types(kind)},
        },
        "responses": {
            "202": {"description": "Counted, and kept safe.", "content": {JSON: {"schema": _ref("Accepted")}}},
            "400": _refusal("Nothing was taken: something in the batch is wrong."),
            "401": {"$ref": "#/components/responses/Unauthorized"},
            "411": _refusal("There is no body."),
            "413": _refusal("The body is too large."),
            "415": _refusal("The content type or the content encoding is not taken."),
            "429": busy,
            "500": _refusal("A defect of the exporter; nothing was taken."),
            "503": busy,
        },
    }  # fmt: skip


def _body(kind: Kind, content_type: str) -> Json:
    name, example = _EVENTS[kind].__name__, _EXAMPLES[kind]
    if content_type == NDJSON:
        return {
            "schema": {"type": "string", "description": f"One {name} a line.", "contentMediaType": NDJSON},
            "example": msgspec.json.encode(example).decode() + "\n",
        }
    if content_type == ARROW:
        what = "An Arrow IPC stream with the fields as columns; features as a struct, or flat as `features.NAME`."
        return {"schema": {"description": what, "contentMediaType": ARROW}}
    events: Json = {"type": "array", "items": _ref(name)}
    columns = _COLUMNS.get(kind)
    return {"schema": {"oneOf": [events, _ref(columns.__name__)]} if columns else events, "example": [example]}


def _schemas() -> Json:
    given = [*_EVENTS.values(), *_COLUMNS.values()]
    _, schemas = msgspec.json.schema_components(given, ref_template="#/components/schemas/{name}")
    for each in given:
        schemas[each.__name__]["description"] = inspect.cleandoc(each.__doc__ or "")
    accepted = {"type": "integer", "minimum": 0, "description": "Events of the batch."}
    problems = {"type": "array", "items": {"type": "string"}, "description": "What is wrong, where known."}
    return schemas | {
        "Accepted": _object({"accepted": accepted}, ["accepted"]),
        "Refusal": _object({"error": {"type": "string"}, "problems": problems}, ["error"]),
    }


def _refusal(description: str, headers: Json | None = None) -> Json:
    return {"description": description, "content": {JSON: {"schema": _ref("Refusal")}}} | (
        {"headers": headers} if headers else {}
    )


def _object(properties: Json, required: list[str]) -> Json:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
