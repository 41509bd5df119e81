"""The canonical status of a call or a load: a code and a message, as TensorFlow and gRPC know it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airbag.errors import AirbagError


class Code(enum.IntEnum):
    """The numbers are those of gRPC and of `tensorflow.error.Code`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True)
class Status:
    """`str()` gives the words of the real server's logs: `OK`, or `NOT_FOUND: message`."""

    code: Code = Code.OK
    message: str = ""

    @property
    def is_ok(self) -> bool:
        return self.code is Code.OK

    def __str__(self) -> str:
        return "OK" if self.is_ok else f"{self.code.name}: {self.message}"


OK = Status()


class StatusError(AirbagError):
    """A call or a load that ends with a status other than OK."""

    reason = "status"

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.status = Status(code, message)


def invalid(message: str) -> StatusError:
    """The commonest answer: the caller sent something wrong."""
    return StatusError(Code.INVALID_ARGUMENT, message)
