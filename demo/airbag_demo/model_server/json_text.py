"""JSON as REST requests bring it, and as error messages show it: the words and the limits of the real server."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

from airbag_demo.model_server.json_writer import PrettyWriter, string
from airbag_demo.model_server.status import StatusError, invalid

SHOWN_BYTES = 256
"""An error message shows a JSON value up to the token that reaches this size."""

_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or } after an object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid control character at": "Invalid encoding in string.",
}
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
_BLANK = " \t\r\n"


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object at the start of a body; what follows it is not looked at.

    StatusError INVALID_ARGUMENT with the real parser's words if there is none.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    start = len(text) - len(text.lstrip(_BLANK))
    if text[start : start + 1] in ("", ",", ":", "]", "}"):
        raise invalid(f"JSON Parse error: The document is empty. at offset: {start}")
    try:
        document, _ = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _parse_error(error, text) from error
    except ValueError as error:  # thousands of digits
        raise invalid("JSON Parse error: Number too big to be stored in double. at offset: 0") from error
    except RecursionError as error:
        raise invalid("JSON Parse error: Terminate parsing due to Handler error. at offset: 0") from error
    if not isinstance(document, dict):
        raise bad_value(document, "Is not object")
    return document


def bad_value(value: Any, problem: str) -> StatusError:
    return invalid(f"JSON Value: {shown(value)} {problem}")


def type_name(value: Any) -> str:
    """What the real parser calls the type of a value."""
    return str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]


def shown(value: Any) -> str:
    """A value as error messages show it: objects over several lines, arrays on one, and not more than fits."""
    writer = PrettyWriter()
    writer.single_line = True
    _show(writer, value)
    return writer.text()


def _show(writer: PrettyWriter, value: Any) -> bool:
    """False as soon as the limit is reached: nothing more is written then, not even closing brackets."""
    if not _has_room(writer):
        return False
    match value:
        case dict():
            writer.open("{")
            return all(_show_member(writer, key, item) for key, item in value.items()) and _close(writer)
        case list():
            writer.open("[")
            return all(_show(writer, item) for item in value) and _close(writer)
        case float() if not math.isfinite(value):
            return False
        case _:
            writer.value(_token(value))
            return True


def _show_member(writer: PrettyWriter, key: str, item: Any) -> bool:
    if not _has_room(writer):
        return False
    writer.value(string(key))
    return _show(writer, item)


def _close(writer: PrettyWriter) -> bool:
    if not _has_room(writer):
        return False
    writer.close()
    return True


def _has_room(writer: PrettyWriter) -> bool:
    return len(writer.text().encode("utf-8", "surrogateescape")) < SHOWN_BYTES


def _token(value: Any) -> str:
    if isinstance(value, str):
        return string(value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    return _double(float(value))


def _double(value: float) -> str:
    """The shortest digits that read back the same, with an exponent only outside 1e-6 to 1e21."""
    if not value:
        return repr(value)
    sign, found, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, point = "".join(map(str, found)), len(found) + int(exponent)
    if -6 < point <= 0:
        text = "0." + "0" * -point + digits
    elif 0 < point <= 21:
        whole = digits[:point].ljust(point, "0")
        text = f"{whole}.{digits[point:] or '0'}"
    else:
        text = f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1}"
    return "-" * sign + text


def _parse_error(error: json.JSONDecodeError, text: str) -> StatusError:
    """What the real server's parser would have said."""
    what = _PARSE_ERRORS.get(error.msg, "Invalid value.")
    if error.msg == "Expecting ',' delimiter" and _is_in_array(text[: error.pos]):
        what = "Missing a comma or ] after an array element."
    end = len(text) if error.msg.startswith("Unterminated") else error.pos
    offset = len(text[:end].encode("utf-8", "surrogateescape"))
    return invalid(f"JSON Parse error: {what} at offset: {offset}")


def _is_in_array(text: str) -> bool:
    """Whether the innermost bracket left open is a square one."""
    opened: list[str] = []
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[][{}]', text):
        if bracket in "[{":
            opened.append(bracket)
        elif bracket in "]}" and opened:
            opened.pop()
    return opened[-1:] == ["["]
