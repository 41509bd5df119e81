"""numpy arrays travel to TensorFlow and back unchanged, in both forms that TensorFlow uses."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2

from airbag.errors import Garbled
from airbag.serving import tensor
from airbag.serving.proto import tfs_pb2
from airbag.serving.proto.tfs_pb2 import TensorProto, TensorShapeProto
from airbag.serving.tensor import Array

NUMBERS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ARRAYS = st.sampled_from(NUMBERS).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))


def _official(message: TensorProto) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto.FromString(message.SerializeToString())


def _ours(official: tensor_pb2.TensorProto) -> TensorProto:
    return TensorProto.FromString(official.SerializeToString())


def _shape(*sizes: int) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


@settings(max_examples=200, deadline=None)
@given(ARRAYS)
def test_tensorflow_reads_the_array_that_we_send(array: Array) -> None:
    seen = tf.make_ndarray(_official(tensor.to_proto(array)))
    assert seen.dtype == array.dtype
    np.testing.assert_array_equal(seen, array)


@settings(max_examples=200, deadline=None)
@given(ARRAYS)
def test_we_read_the_array_that_tensorflow_sends(array: Array) -> None:
    seen = tensor.from_proto(_ours(tf.make_tensor_proto(array)))
    assert seen.dtype == array.dtype
    np.testing.assert_array_equal(seen, array)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=5), max_size=4))
def test_strings_travel_as_bytes_objects(values: list[bytes]) -> None:
    array = np.array(values, dtype=object)
    assert list(tf.make_ndarray(_official(tensor.to_proto(array)))) == values
    assert list(tensor.from_proto(tensor.to_proto(array))) == values


def test_text_is_sent_as_utf_8() -> None:
    assert list(tensor.to_proto(np.array(["é", "b"])).string_val) == ["é".encode(), b"b"]


def test_big_endian_numbers_arrive_as_the_same_numbers() -> None:
    np.testing.assert_array_equal(tensor.from_proto(tensor.to_proto(np.array([1, 2], ">i4"))), [1, 2])


def test_a_last_value_stands_for_all_that_follow() -> None:
    message = TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(2, 2), float_val=[1.0, 7.0])
    np.testing.assert_array_equal(tensor.from_proto(message), [[1.0, 7.0], [7.0, 7.0]])


def test_an_answer_may_be_changed_by_its_reader() -> None:
    array = tensor.from_proto(tensor.to_proto(np.array([1.0, 2.0])))
    array[0] = 5.0
    assert array[0] == 5.0


@pytest.mark.parametrize(
    "message",
    [
        TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(1), float_val=[1.0, 2.0]),
        TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(3), tensor_content=b"12345678"),
        TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=TensorShapeProto(unknown_rank=True)),
        TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(-1)),
        TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=_shape(1 << 40), float_val=[0.0]),
        TensorProto(dtype=tfs_pb2.DT_INT8, tensor_shape=_shape(1), int_val=[1000]),
        TensorProto(dtype=tfs_pb2.DT_BFLOAT16, tensor_shape=_shape(1), half_val=[1]),
        TensorProto(tensor_shape=_shape(1)),
    ],
    ids=["too many", "wrong bytes", "no rank", "negative", "huge", "overflow", "unread type", "no type"],
)
def test_a_tensor_that_contradicts_itself_is_garbled(message: TensorProto) -> None:
    with pytest.raises(Garbled):
        tensor.from_proto(message)


@pytest.mark.parametrize("array", [np.array([1j]), np.array([object()]), np.array(["2020-01-01"], "M8[D]")])
def test_an_array_without_a_tensorflow_type_is_refused_before_it_is_sent(array: Array) -> None:
    with pytest.raises(ValueError, match="takes no array"):
        tensor.to_proto(array)
