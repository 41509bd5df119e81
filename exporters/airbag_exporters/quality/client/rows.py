"""One event as a line of NDJSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def line(row: Mapping[str, object]) -> bytes | None:
    """The line, without fields that are None; None for what no JSON can be made of. Never raises.

    It is made when the event comes, for whoever gave it may change it afterwards.
    """
    given = {name: value for name, value in row.items() if value is not None}
    try:
        try:
            text = _STRICT.encode(given)
        except ValueError:  # NaN, most likely
            text = _STRICT.encode({name: _finite(value) for name, value in given.items()})
        return text.encode() + b"\n"
    except Exception:  # noqa: BLE001 - whatever a value is or does, the code that predicts goes on
        return None


def _plain(value: object) -> object:
    """numpy's numbers and arrays as Python's, without importing numpy."""
    to_list = getattr(value, "tolist", None)
    if to_list is None:
        raise TypeError(f"no JSON can be made of {type(value).__name__}")
    return to_list()


def _finite(value: object) -> object:
    """The value with null for numbers that JSON does not have."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value


_STRICT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
