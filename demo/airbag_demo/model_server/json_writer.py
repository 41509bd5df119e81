"""Writes JSON with the real server's line breaks: 4 spaces, and lists of a row answer on one line."""

from __future__ import annotations

from typing import Any

import numpy as np


class PrettyWriter:
    """Values in the order they come. `single_line` keeps what follows in an array on one line while it is true."""

    def __init__(self) -> None:
        self.single_line = False
        self._out: list[str] = []
        self._levels: list[tuple[bool, int]] = []

    def text(self) -> str:
        return "".join(self._out)

    def open(self, bracket: str) -> None:
        """Begin an array with `[` or an object with `{`."""
        self.value(bracket)
        self._levels.append((bracket == "[", 0))

    def close(self) -> None:
        is_array, count = self._levels.pop()
        if count and not (is_array and self.single_line):
            self._break()
        self._out.append("]" if is_array else "}")

    def value(self, token: str) -> None:
        """A token as it is to appear; in an object the first, third, ... are the keys."""
        if self._levels:
            is_array, count = self._levels[-1]
            self._levels[-1] = (is_array, count + 1)
            if is_array:
                self._before_element(count)
            else:
                self._before_member(count)
        self._out.append(token)

    def _before_element(self, count: int) -> None:
        if count:
            self._out.append(", " if self.single_line else ",")
        if not self.single_line:
            self._break()

    def _before_member(self, count: int) -> None:
        if count % 2:
            self._out.append(": ")
            return
        if count:
            self._out.append(",")
        self._break()

    def _break(self) -> None:
        self._out.append("\n" + "    " * len(self._levels))


_ESCAPES = {code: f"\\u{code:04X}" for code in range(0x20)} | {
    ord(one): f"\\{letter}" for one, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)
}


def string(value: str) -> str:
    """Quoted; only control characters, quotes and backslashes are escaped."""
    return f'"{value.translate(_ESCAPES)}"'


def error(message: str) -> str:
    """The body of every failed REST call."""
    return f'{{\n    "error": {string(message)}\n}}'


def decimal(value: float, kind: Any) -> str:
    """Six digits if they are enough to read the same number back, else all; NaN and Infinity as bare words."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    text = f"{value:.6g}"
    if kind(float(text)) != kind(value):
        text = f"{value:.{9 if kind is np.float32 else 17}g}"
    return text if "." in text or "e" in text else text + ".0"
