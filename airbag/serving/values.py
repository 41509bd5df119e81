"""What TensorFlow Serving says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy costs 11 MiB, which a process that only looks does not need
    from airbag.http_config import TlsConfig
    from airbag.serving.tensor import Array

CODES: Mapping[int, str] = {
    0: "OK",
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
"""The canonical codes: those of gRPC, of `StatusProto`, and of the `status` label on the native metrics page."""


def code_name(number: int) -> str:
    """The canonical name; "UNKNOWN" for a number that no table lists, so that it stays a bounded label."""
    return CODES.get(number, "UNKNOWN")


class State(Enum):
    """Where a version is in its life. A number that this table lacks becomes UNKNOWN."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50

    @classmethod
    def _missing_(cls, _number: object) -> State:
        return cls.UNKNOWN


@dataclass(frozen=True)
class VersionStatus:
    """One version of one model, as `GetModelStatus` tells it.

    END with "OK" is a normal unload, END with another code a load that failed. Both stay in the list until the
    server restarts, also long after another version serves well.
    """

    version: int
    state: State
    error_code: str = "OK"
    error_message: str = ""


@dataclass(frozen=True)
class Endpoint:
    """One server process: `host:port` of its gRPC port, and of its REST port where it has one.

    `tls` is for the gRPC port; None is plain text. The REST port never speaks TLS.
    """

    grpc: str
    rest: str | None = None
    tls: TlsConfig | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """An answer, with the version that gave it. Strings come as arrays of `bytes` objects."""

    version: int
    outputs: Mapping[str, Array]
