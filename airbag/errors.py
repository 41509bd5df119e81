"""The error tree.

    AirbagError
    ├── ConfigError        a file or flag is wrong; holds every problem found     never worth a retry
    ├── StartError         a process cannot start: port, binary, disk, permission never worth a retry
    └── RemoteError        another server said no, or said nothing
        ├── Unreachable    no answer: refused, reset, timed out                    worth a retry
        ├── Refused        an answer that says no: not found, invalid, denied      not worth a retry
        └── Garbled        an answer that cannot be understood                     not worth a retry

Foreign exceptions are translated into these once, at the edge where they appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class AirbagError(Exception):
    """Base of everything Airbag raises on purpose.

    `reason` comes from a short list and is safe as a metric label; `retryable` says whether the same call may
    succeed later without anybody changing anything.
    """

    reason: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a configuration: where, what, and what would be right."""

    path: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" + (f" ({self.remedy})" if self.remedy else "")


class ConfigError(AirbagError):
    """A configuration that cannot be used. `problems` lists all that is wrong, not only the first."""

    reason = "config"

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in self.problems)]))


class StartError(AirbagError):
    """A process cannot start; the message names the remedy."""

    reason = "start"


class RemoteError(AirbagError):
    """A call to another server failed. `code` is that server's own code (gRPC name or HTTP status), or ""."""

    reason = "remote"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Unreachable(RemoteError):
    """No answer arrived: connection refused or reset, name unknown, deadline passed, server shutting down."""

    reason = "unreachable"
    retryable = True


class Refused(RemoteError):
    """The server answered and said no."""

    reason = "refused"


class Garbled(RemoteError):
    """The server answered something that cannot be understood."""

    reason = "garbled"
