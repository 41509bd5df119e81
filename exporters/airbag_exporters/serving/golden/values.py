"""Tensors as JSON writes them: nested lists of numbers, booleans, texts or `{"b64": ...}`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator

Element = int | float | bool | bytes
"""Texts are bytes, as in TensorFlow."""

_FORMS = 'write numbers, true or false, texts, or {"b64": "..."}'


@dataclass(frozen=True)
class Values:
    """A tensor of one kind of element, row by row. A scalar has the shape ()."""

    shape: tuple[int, ...]
    flat: tuple[Element, ...]

    @classmethod
    def of(cls, nested: object) -> Values:
        """From what JSON reads; ValueError says at which place it is no tensor."""
        shape = _shape(nested)
        flat = tuple(_elements(nested, shape, ""))
        if len({bool if isinstance(x, bool) else bytes if isinstance(x, bytes) else float for x in flat}) > 1:
            raise ValueError("mixes numbers, booleans and texts, which no tensor does")
        return cls(shape, flat)

    def nested(self) -> object:
        """As JSON writes it; bytes that are no UTF-8 become base64."""
        return _nested(iter(self.flat), self.shape)

    def place(self, index: int) -> str:
        """Where the element with that number stands, as it would be indexed: `[0, 7]`; "" for a scalar."""
        found: list[int] = []
        for size in reversed(self.shape):
            index, rest = divmod(index, size)
            found.append(rest)
        return str(found[::-1]) if found else ""


Tensor = Annotated[Values, PlainValidator(Values.of)]
"""A field of a configuration section."""


def _shape(nested: object) -> tuple[int, ...]:
    sizes = []
    while isinstance(nested, list):
        sizes.append(len(nested))
        if not nested:
            break
        nested = nested[0]
    return tuple(sizes)


def _elements(nested: object, shape: tuple[int, ...], where: str) -> Iterator[Element]:
    if not shape:
        yield _element(nested, where)
    elif isinstance(nested, list) and len(nested) == shape[0]:
        for index, inner in enumerate(nested):
            yield from _elements(inner, shape[1:], f"{where}[{index}]")
    else:
        found = f"the length {len(nested)}" if isinstance(nested, list) else "no length"
        raise ValueError(f"{where} has {found} where the first of its kind has {shape[0]}")


def _element(found: object, where: str) -> Element:
    match found:
        case bool() | int() | float():
            return found
        case str():
            return found.encode()
        case {"b64": str(text), **rest} if not rest:
            return _decoded(text, where)
        case list():
            raise ValueError(f"{where} is a list where others are none")
    raise ValueError(f"{where or 'the value'} is no element of a tensor; {_FORMS}")


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{where or 'the text'} is not base64: {error}") from error


def _nested(flat: Iterator[Element], shape: tuple[int, ...]) -> object:
    return [_nested(flat, shape[1:]) for _ in range(shape[0])] if shape else _json(next(flat))


def _json(element: Element) -> object:
    if not isinstance(element, bytes):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(element).decode()}
