"""Whether an answer is what was expected, and if not, where it differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from airbag.errors import Garbled
from airbag.serving.proto.tfs_pb2 import TensorProto
from airbag_exporters.serving.golden.file import Expected
from airbag_exporters.serving.golden.tensors import decode, is_float, shape_of
from airbag_exporters.serving.golden.values import Element, Values

ATOL, RTOL = 1e-5, 1e-3
"""Tolerance of floating-point outputs that name none: float32 differs by 1e-6 between machines, 1e-4 on some GPUs."""


def differences(expect: Mapping[str, Expected], outputs: Mapping[str, TensorProto]) -> list[str]:
    """What is wrong with the answer, one sentence a wrong output; empty when all is as expected."""
    return [f"output {name!r}{what}" for name, each in expect.items() for what in _output(each, outputs.get(name))]


def _output(expect: Expected, tensor: TensorProto | None) -> Iterator[str]:
    if tensor is None:
        yield " is missing"
        return
    try:
        if expect.values is not None and shape_of(tensor) != expect.values.shape:  # before it is unpacked
            yield f" has the shape {_text(shape_of(tensor))}, expected {_text(expect.values.shape)}"
            return
        got = decode(tensor)
    except Garbled as error:
        yield f" cannot be compared: {error}"
        return
    if expect.values is not None:
        atol, rtol = tolerance(expect, tensor)
        yield from _values(got, expect.values, atol, rtol)
    if any(isinstance(element, bytes) for element in got.flat):
        if expect.argmax is not None or expect.min is not None or expect.max is not None:
            yield " holds texts, expected numbers"
        return
    if expect.argmax is not None:
        yield from _argmax(got, expect.argmax)
    yield from _bounds(got, expect.min, expect.max)


def tolerance(expect: Expected, tensor: TensorProto) -> tuple[float, float]:
    """The absolute and the relative tolerance in force."""
    atol, rtol = (ATOL, RTOL) if is_float(tensor.dtype) else (0.0, 0.0)
    return atol if expect.atol is None else expect.atol, rtol if expect.rtol is None else expect.rtol


def is_close(got: Element, expected: Element, atol: float, rtol: float) -> bool:
    """|got - expected| <= atol + rtol * |expected|, as numpy.isclose has it; texts only when they are equal."""
    if isinstance(got, bytes) or isinstance(expected, bytes):
        return got == expected
    return got == expected or abs(got - expected) <= atol + rtol * abs(expected)


def _values(got: Values, expected: Values, atol: float, rtol: float) -> Iterator[str]:
    pairs = enumerate(zip(got.flat, expected.flat, strict=True))
    wrong = [(at, g, e) for at, (g, e) in pairs if not is_close(g, e, atol, rtol)]
    if not wrong:
        return
    at, is_value, should = wrong[0]
    allowed = f" within {atol + rtol * abs(should):.3g}" if not isinstance(should, bytes) and (atol or rtol) else ""
    others = f"; {len(wrong)} of {len(got.flat)} elements differ" if len(wrong) > 1 else ""
    yield f"{got.place(at)} is {_shown(is_value)}, expected {_shown(should)}{allowed}{others}"


def _argmax(got: Values, expected: Values) -> Iterator[str]:
    size = got.shape[-1] if got.shape else 0
    rows = [got.flat[start : start + size] for start in range(0, len(got.flat), size)] if size else []
    if len(rows) != len(expected.flat):
        yield f" has {len(rows)} rows of the shape {_text(got.shape)}, expected the classes of {len(expected.flat)}"
        return
    for number, (row, should) in enumerate(zip(rows, expected.flat, strict=True)):
        found = _largest(row)
        if found != should:
            where = f" row {number}" if len(rows) > 1 else ""
            largest = "holds NaN" if found is None else f"has its largest value at {found}"
            yield f"{where} {largest}, expected class {_shown(should)}"
            return


def _largest(row: Sequence[Element]) -> int | None:
    numbers = [float(element) for element in row]
    return None if any(map(math.isnan, numbers)) else numbers.index(max(numbers))


def _bounds(got: Values, low: float | None, high: float | None) -> Iterator[str]:
    for sign, word, bound in ((1, "at least", low), (-1, "at most", high)):
        if bound is None:
            continue
        wrong = next((at for at, each in enumerate(got.flat) if not sign * float(each) >= sign * bound), None)
        if wrong is not None:
            yield f"{got.place(wrong)} is {_shown(got.flat[wrong])}, expected {word} {bound:g}"


def _text(shape: tuple[int, ...]) -> str:
    return str(list(shape))


def _shown(element: Element) -> str:
    if isinstance(element, bytes):
        text = repr(element.decode(errors="backslashreplace"))
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"{element:.6g}" if isinstance(element, float) else str(element)
