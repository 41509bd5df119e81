"""Files that hold a message in text form."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import text_format

from airbag_demo.model_server.status import Code, StatusError, invalid

log = logging.getLogger("airbag.model_server")

T = TypeVar("T")


def read(path: str, parse: Callable[[str], T]) -> T:
    """Parse a file. StatusError NOT_FOUND if it cannot be read, INVALID_ARGUMENT if it is empty or makes no sense.

    Why it makes no sense is logged: the status says no more than the real server's.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StatusError(Code.NOT_FOUND, f"{path}; {error.strerror}") from error
    except UnicodeDecodeError as error:
        log.error("Error parsing %s: it is no text", path)  # noqa: TRY400 - the real server's one line
        raise _invalid_file(path) from error
    if not text:
        raise invalid(f"{path}; Invalid argument")
    try:
        return parse(text)
    except StatusError as error:
        log.error("Error parsing %s: %s", path, error)  # noqa: TRY400 - the real server's one line
        raise _invalid_file(path) from error


def parse(text: str, message: Any) -> Any:
    """Fill the message. StatusError INVALID_ARGUMENT with the place of the fault."""
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid(str(error)) from error


def _invalid_file(path: str) -> StatusError:
    return invalid(f"Invalid protobuf file: '{path}'")
