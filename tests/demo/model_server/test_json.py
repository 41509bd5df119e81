"""JSON as error messages show it, and single values on their way into a tensor."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tensorflow.core.framework import types_pb2

from airbag_demo.model_server.json_text import parse, shown
from airbag_demo.model_server.json_values import read
from airbag_demo.model_server.json_writer import string
from airbag_demo.model_server.status import StatusError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, {"b": None}], "c": True}, '{\n    "a": [1, {\n            "b": null\n        }],\n    "c": true\n}'),
        ([], "[]"), ({}, "{}"), ("x\n", '"x\\n"'), (0.0, "0.0"), (-0.0, "-0.0"), (1.5, "1.5"), (100.0, "100.0"),
        (1e20, "100000000000000000000.0"), (1e21, "1e21"), (1.25e22, "1.25e22"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (2**64 - 1, "18446744073709551615"), (2**64, "18446744073709552000.0"), (-(2**63), "-9223372036854775808"),
        (math.nan, ""), ([1, math.inf, 2], "[1"),
    ],
)  # fmt: skip
def test_a_value_is_shown_over_several_lines_with_the_real_writers_numbers(value: Any, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut_after_the_token_that_reaches_the_limit() -> None:
    text = shown(list(range(1000)))
    assert text.startswith("[0, 1, 2, ")
    assert 256 <= len(text) <= 260
    assert not text.endswith("]")
    assert shown({"k" * 300: 1}) == '{\n    "' + "k" * 300 + '"'


def test_control_characters_are_escaped_in_upper_case() -> None:
    assert string('a"\\\b\x1f/é\x7f') == '"a\\"\\\\\\b\\u001F/é\x7f"'


@pytest.mark.parametrize(
    ("value", "dtype", "read_as"),
    [
        (1, types_pb2.DT_FLOAT, 1.0), (2**40 + 1, types_pb2.DT_FLOAT, 2.0**40 + 1),
        (10**400, types_pb2.DT_FLOAT, math.inf), (-(10**400), types_pb2.DT_DOUBLE, -math.inf),
        (-(2**31), types_pb2.DT_INT8, -(2**31)), (2**64 - 1, types_pb2.DT_UINT64, 2**64 - 1),
        (True, types_pb2.DT_BOOL, True), ("é", types_pb2.DT_STRING, "é".encode()),
        ({"b64": "/w =="}, types_pb2.DT_STRING, b"\xff"), ({"b64": "/w"}, types_pb2.DT_STRING, b"\xff"),
    ],
)  # fmt: skip
def test_a_value_is_read_by_the_type_of_its_tensor(value: Any, dtype: int, read_as: Any) -> None:
    assert read(value, dtype) == read_as


@pytest.mark.parametrize(
    ("value", "dtype", "refusal"),
    [
        (True, types_pb2.DT_FLOAT, "JSON Value: true Type: True is not of expected type: float"),
        (None, types_pb2.DT_FLOAT, "JSON Value: null Type: Null is not of expected type: float"),
        (1.0, types_pb2.DT_INT32, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        (2**31, types_pb2.DT_INT32, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        (-1, types_pb2.DT_UINT32, "JSON Value: -1 Type: Number is not of expected type: uint32"),
        (1, types_pb2.DT_BOOL, "JSON Value: 1 Type: Number is not of expected type: bool"),
        (1, types_pb2.DT_STRING, "JSON Value: 1 Type: Number is not of expected type: string"),
        ({"b64": "/w"}, types_pb2.DT_INT32,
         'JSON Value: {\n    "b64": "/w"\n} Type: Object is not of expected type: int32'),
        ({"b": "/w"}, types_pb2.DT_STRING, 'JSON Value: {\n    "b": "/w"\n} not formatted correctly for base64 data'),
        ({"b64": "?"}, types_pb2.DT_STRING, "Unable to base64 decode"),
        (1, types_pb2.DT_HALF, "Conversion of JSON Value: 1 to type: half"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(value: Any, dtype: int, refusal: str) -> None:
    with pytest.raises(StatusError) as caught:
        read(value, dtype)
    assert caught.value.status.message == refusal


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b'{"a": [1}', "Missing a comma or ] after an array element. at offset: 8"),
        (b'{"a": 1]', "Missing a comma or } after an object member. at offset: 7"),
        (b'{"a": ["]", 1}', "Missing a comma or ] after an array element. at offset: 13"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b"{1: 2}", "Missing a name for object member. at offset: 1"),
        (b'{"\xc3\xa9": x}', "Invalid value. at offset: 7"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Number too big to be stored in double. at offset: 0"),
        (b'{"a": ' + b"[" * 100_000, "Terminate parsing due to Handler error. at offset: 0"),
    ],
    ids=["array", "object", "bracket in a string", "colon", "name", "bytes", "digits", "depth"],
)
def test_broken_json_is_refused_with_the_bytes_before_the_fault(body: bytes, refusal: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse(body)
    assert caught.value.status.message == f"JSON Parse error: {refusal}"
