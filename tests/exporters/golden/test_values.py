"""Tensors as JSON writes them, and as TensorFlow does, without numpy in between."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from airbag.errors import Garbled
from airbag.serving import tensor
from airbag.serving.proto import tfs_pb2
from airbag_exporters.serving.golden.tensors import MAX_ELEMENTS, decode, encode
from airbag_exporters.serving.golden.values import Values

DTYPES = {
    "float32": tfs_pb2.DT_FLOAT, "float64": tfs_pb2.DT_DOUBLE, "float16": tfs_pb2.DT_HALF, "int8": tfs_pb2.DT_INT8,
    "int16": tfs_pb2.DT_INT16, "int32": tfs_pb2.DT_INT32, "int64": tfs_pb2.DT_INT64, "uint8": tfs_pb2.DT_UINT8,
    "uint16": tfs_pb2.DT_UINT16, "uint32": tfs_pb2.DT_UINT32, "uint64": tfs_pb2.DT_UINT64, "bool": tfs_pb2.DT_BOOL,
}  # fmt: skip
arrays = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
)


@pytest.mark.parametrize(
    ("nested", "shape", "flat"),
    [
        (7, (), (7,)),
        ([[1, 2.5], [3, 4]], (2, 2), (1, 2.5, 3, 4)),
        ([True, False], (2,), (True, False)),
        (["grün", {"b64": "/wA="}], (2,), ("grün".encode(), b"\xff\x00")),
        ([], (0,), ()),
        ([[], []], (2, 0), ()),
    ],
)
def test_nested_lists_become_a_shape_and_its_elements_and_back(nested: Any, shape: Any, flat: Any) -> None:
    values = Values.of(nested)
    assert (values.shape, values.flat) == (shape, flat)
    assert values.nested() == nested


@pytest.mark.parametrize(
    ("nested", "problem"),
    [
        ([[1, 2], [3]], "[1] has the length 1 where the first of its kind has 2"),
        ([[1], 2], "[1] has no length where the first of its kind has 1"),
        ([1, [2]], "[1] is a list where others are none"),
        ([1, None], "[1] is no element of a tensor"),
        ({"b64": "?"}, "the text is not base64"),
        ({"x": 1}, "the value is no element of a tensor"),
        ([1, "a"], "mixes numbers, booleans and texts"),
        ([1, True], "mixes numbers, booleans and texts"),
    ],
)
def test_what_is_no_tensor_is_refused_with_its_place(nested: object, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        Values.of(nested)


def test_an_element_is_named_as_it_would_be_indexed() -> None:
    values = Values((2, 3), tuple(range(6)))
    assert [values.place(0), values.place(5), Values((), (1,)).place(0)] == ["[0, 0]", "[1, 2]", ""]


@given(arrays)
def test_numbers_travel_byte_for_byte_as_numpy_sends_them(array: Any) -> None:
    dtype = DTYPES[str(array.dtype)]
    values = Values(array.shape, tuple(array.ravel().tolist()))
    assert (
        encode(values, dtype).SerializeToString() == tensor.to_proto(array).SerializeToString() or np.isnan(array).any()
    )
    back = decode(tensor.to_proto(array))
    assert back.shape == array.shape
    assert np.array_equal(np.array(back.flat, array.dtype), array.ravel(), equal_nan=array.dtype.kind == "f")


def test_texts_travel_as_numpy_sends_them() -> None:
    array = np.array([["a", "ü"]])
    sent = encode(Values.of([["a", "ü"]]), tfs_pb2.DT_STRING)
    assert sent == tensor.to_proto(array)
    assert decode(sent) == Values((1, 2), (b"a", "ü".encode()))


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_an_answer_may_hold_single_values_of_which_the_last_stands_for_the_rest(name: str) -> None:
    import tensorflow as tf

    official = tf.make_tensor_proto(np.array([1, 0, 0], name)).SerializeToString()
    single = tf.make_tensor_proto([True] if name == "bool" else [1], name, shape=[3]).SerializeToString()
    assert decode(tfs_pb2.TensorProto.FromString(official)).flat == (1, 0, 0)
    assert decode(tfs_pb2.TensorProto.FromString(single)).flat == (1, 1, 1)
    assert decode(tfs_pb2.TensorProto(dtype=DTYPES[name], tensor_shape=_shape(2))).flat == (0, 0)


def _shape(*sizes: int) -> tfs_pb2.TensorShapeProto:
    return tfs_pb2.TensorShapeProto(dim=[tfs_pb2.TensorShapeProto.Dim(size=size) for size in sizes])


@pytest.mark.parametrize(
    ("nested", "dtype", "problem"),
    [
        (1.5, tfs_pb2.DT_INT32, "it takes int32, which cannot hold the values"),
        (300, tfs_pb2.DT_UINT8, "it takes uint8, which cannot hold the values"),
        (-1, tfs_pb2.DT_UINT64, "it takes uint64, which cannot hold the values"),
        (1e300, tfs_pb2.DT_FLOAT, "it takes float, which cannot hold the values"),
        ("a", tfs_pb2.DT_FLOAT, "it takes float, not texts"),
        (1, tfs_pb2.DT_STRING, "it takes texts, not numbers"),
        (1, tfs_pb2.DT_BOOL, "it takes true and false, not numbers"),
        (1, tfs_pb2.DT_COMPLEX64, "it is of type complex64, which golden requests cannot have"),
    ],
)
def test_values_that_the_version_does_not_take_are_refused(nested: object, dtype: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        encode(Values.of(nested), dtype)


@pytest.mark.parametrize(
    "message",
    [
        tfs_pb2.TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(2), tensor_content=b"abc"),
        tfs_pb2.TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(1), float_val=[1, 2]),
        tfs_pb2.TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(MAX_ELEMENTS, 2)),
        tfs_pb2.TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(-1)),
        tfs_pb2.TensorProto(dtype=tfs_pb2.DT_COMPLEX64, tensor_shape=_shape(1)),
        tfs_pb2.TensorProto(dtype=99, tensor_shape=_shape(1)),  # type: ignore[arg-type] # a type of tomorrow
    ],
)
def test_a_message_that_contradicts_itself_is_garbled(message: tfs_pb2.TensorProto) -> None:
    with pytest.raises(Garbled):
        decode(message)


def test_asking_needs_no_numpy() -> None:
    code = "import airbag_exporters.serving.golden.probing, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "requests", "tensorflow"} & set(loaded)
    assert json.dumps(Values.of([1]).nested()) == "[1]"
