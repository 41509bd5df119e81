"""Whether an answer is what was expected, and what people are told when it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.serving import tensor
from airbag.serving.proto import tfs_pb2
from airbag_exporters.serving.golden.compare import differences, is_close
from airbag_exporters.serving.golden.file import Expected
from airbag_exporters.serving.golden.values import Values

floats = st.floats(allow_nan=False, allow_infinity=False, width=32)


def told(got: Any, dtype: str = "float32", **expect: Any) -> list[str]:
    """What is said about an answer `y` of which that is expected."""
    tensors = {key: Values.of(value) if key in ("values", "argmax") else value for key, value in expect.items()}
    return differences({"y": Expected.model_construct(**tensors)}, {"y": tensor.to_proto(np.array(got, dtype))})


@pytest.mark.parametrize(
    ("got", "dtype", "expect", "text"),
    [
        ([1.0, 2.0], "float32", {"values": [1, 2]}, None),
        ([1.0, 2.001], "float32", {"values": [1, 2]}, None),
        ([1.0, 2.1], "float32", {"values": [1, 2]}, "output 'y'[1] is 2.1, expected 2 within 0.00201"),
        (
            [[1.5, 2.5], [3.5, 4.0]], "float32", {"values": [[1, 2], [3, 4]], "atol": 0.1, "rtol": 0.0},
            "output 'y'[0, 0] is 1.5, expected 1 within 0.1; 3 of 4 elements differ",
        ),
        ([1.0], "float32", {"values": [1, 2]}, "output 'y' has the shape [1], expected [2]"),
        ([[1.0]], "float32", {"values": [1]}, "output 'y' has the shape [1, 1], expected [1]"),
        (5.0, "float64", {"values": 4}, "output 'y' is 5, expected 4 within 0.00401"),
        ([float("nan")], "float32", {"values": [1]}, "output 'y'[0] is nan, expected 1 within 0.00101"),
        ([100000], "int64", {"values": [100001]}, "output 'y'[0] is 100000, expected 100001"),
        ([100000], "int64", {"values": [100001], "atol": 1.0}, None),
        ([True], "bool", {"values": [False]}, "output 'y'[0] is True, expected False"),
        (["cat"], "U", {"values": ["cat"]}, None),
        (["cat"], "U", {"values": ["dog"]}, "output 'y'[0] is 'cat', expected 'dog'"),
        (["cat"], "U", {"values": [1]}, "output 'y'[0] is 'cat', expected 1"),
        ([0.1, 0.9], "float32", {"argmax": 1}, None),
        ([[0.1, 0.9], [0.8, 0.2]], "float32", {"argmax": [1, 0]}, None),
        ([[0.1, 0.9]], "float32", {"argmax": 0}, "output 'y' has its largest value at 1, expected class 0"),
        (
            [[0.1, 0.9], [0.8, 0.2]], "float32", {"argmax": [1, 1]},
            "output 'y' row 1 has its largest value at 0, expected class 1",
        ),
        ([[0.1, float("nan")]], "float32", {"argmax": 0}, "output 'y' holds NaN, expected class 0"),
        (
            [[0.1, 0.9]], "float32", {"argmax": [1, 1]},
            "output 'y' has 1 rows of the shape [1, 2], expected the classes of 2",
        ),
        (["cat"], "U", {"argmax": 0}, "output 'y' holds texts, expected numbers"),
        ([0.0, 1.0], "float32", {"min": 0.0, "max": 1.0}, None),
        ([0.0, 1.5], "float32", {"min": 0.0, "max": 1.0}, "output 'y'[1] is 1.5, expected at most 1"),
        ([-0.5], "float32", {"min": 0.0}, "output 'y'[0] is -0.5, expected at least 0"),
        ([float("nan")], "float32", {"max": 1.0}, "output 'y'[0] is nan, expected at most 1"),
    ],
)  # fmt: skip
def test_an_answer_is_right_or_it_says_which_element_differs_and_how(
    got: Any, dtype: str, expect: dict[str, Any], text: str | None
) -> None:
    assert told(got, dtype, **expect) == ([text] if text else [])


def test_every_wrong_output_is_told_and_a_missing_one_too() -> None:
    right, wrong = (Expected.model_construct(values=Values.of(each)) for each in (1, 2))
    outputs = {"a": tensor.to_proto(np.array(1)), "b": tensor.to_proto(np.array(1))}
    found = differences({"a": right, "b": wrong, "c": right}, outputs)
    assert found == ["output 'b' is 1, expected 2", "output 'c' is missing"]


def test_an_answer_that_claims_to_be_huge_is_not_unpacked() -> None:
    huge = tfs_pb2.TensorProto(dtype=tfs_pb2.DT_FLOAT)
    huge.tensor_shape.dim.add(size=1 << 40)
    [text] = differences({"y": Expected(max=1.0)}, {"y": huge})
    assert text.startswith("output 'y' cannot be compared: a tensor of shape")


@given(floats, floats, st.floats(0, 10), st.floats(0, 1))
def test_two_numbers_are_as_close_as_numpy_says(got: float, expected: float, atol: float, rtol: float) -> None:
    assert is_close(got, expected, atol, rtol) == bool(np.isclose(got, expected, atol=atol, rtol=rtol))
