"""REST classify and regress: the JSON of examples as an `Input`, and results as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from airbag_demo.model_server.json_predict import fill_signature
from airbag_demo.model_server.json_text import bad_value, type_name
from airbag_demo.model_server.json_values import decode_base64, is_base64, real
from airbag_demo.model_server.json_writer import PrettyWriter, decimal, string
from airbag_demo.model_server.status import invalid

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def fill_request(document: Mapping[str, Any], request: Any) -> None:
    """Fill a ClassificationRequest or a RegressionRequest. StatusError INVALID_ARGUMENT with the real server's words,
    which speak of classify in both cases."""
    fill_signature(document, request)
    listed = request.input.example_list
    if "context" in document:
        listed = request.input.example_list_with_context
        _fill_example(document["context"], listed.context)
    if "examples" not in document:
        raise bad_value(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise bad_value(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise bad_value(document, "'examples' value is an empty array")
    for example in examples:
        _fill_example(example, listed.examples.add())


def classifications(result: Any) -> str:
    """The body of a successful classify: a list of [label, score] for each example."""
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    writer = _results()
    for one in result.classifications:
        writer.single_line = True
        writer.open("[")
        for found in one.classes:
            writer.open("[")
            writer.value(string(found.label))
            writer.value(decimal(found.score, np.float32))
            writer.close()
        writer.close()
        writer.single_line = False
    writer.close()
    writer.close()
    return writer.text()


def regressions(result: Any) -> str:
    """The body of a successful regress: a number for each example."""
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    writer = _results()
    writer.single_line = True
    for one in result.regressions:
        writer.value(decimal(one.value, np.float32))
    writer.close()
    writer.close()
    return writer.text()


def _results() -> PrettyWriter:
    writer = PrettyWriter()
    writer.open("{")
    writer.value('"results"')
    writer.open("[")
    return writer


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add(item, name, feature)


def _add(item: Any, name: str, feature: Any) -> None:
    kind, value = _element(item, name)
    before = feature.WhichOneof("kind")
    if before not in (None, kind):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[before]}")
    if kind == "int64_list" and value >= 2**63:
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    getattr(feature, kind).value.append(value)


def _element(item: Any, name: str) -> tuple[str, Any]:
    """The list of a Feature that takes this JSON value, and the value for it."""
    match item:
        case bool():
            return "int64_list", int(item)
        case str():
            return "bytes_list", item.encode("utf-8", "surrogateescape")
        case dict() if is_base64(item):
            return "bytes_list", decode_base64(item)
        case int() if -(2**63) <= item < 2**64:
            return "int64_list", item
        case int() | float():
            return "float_list", real(item)
        case _:
            raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(item)}")
