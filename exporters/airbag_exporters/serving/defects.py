"""What can be wrong with a native metrics page, said to operators: the effect, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_EXAMPLE = 120
_LOOK = "fetch the page with curl: if a proxy stands before the server, ask there; else report the line to Airbag"


class Kind(Enum):
    """The kinds of defects. The value is the text of the reason and the remedy."""

    FOREIGN = (
        "the page is none of TF Serving's: it does not know :tensorflow:serving:request_count, so nothing is counted",
        "check `rest` and `native_metrics_path` of this target",
    )
    REFUSED = (
        "Prometheus refuses this page (Airbag reads on): a model name in a request put bytes into it that are no UTF-8",
        "only a restart of the server clears it; a proxy before its ports that refuses such names prevents it",
    )
    UNREADABLE = ("lines of request_count or request_latency make no sense and are not counted", _LOOK)
    BROKEN = ("latency histograms lack a bucket or do not add up, and are left out whole", _LOOK)
    REPEATED = ("series stand there more than once; the first line counts", _LOOK)
    TORN = ("the page ends in the middle of a line, so series may be missing", _LOOK)


@dataclass(frozen=True)
class Defect:
    """One kind of defect of one page: how many lines or histograms have it, and one of them, safe to log."""

    kind: Kind
    count: int = 1
    example: str = ""

    @property
    def reason(self) -> str:
        """What is wrong and what that does."""
        count = f"{self.count} " if self.kind in (Kind.UNREADABLE, Kind.BROKEN, Kind.REPEATED) else ""
        return f"{count}{self.kind.value[0]}" + (f", such as {self.example}" if self.example else "")

    @property
    def remedy(self) -> str:
        """What an operator can do."""
        return self.kind.value[1]

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def shown(line: bytes) -> str:
    """A line as it may stand in a log: bounded, printable ASCII."""
    return repr(line[:_EXAMPLE])[1:] + ("..." if len(line) > _EXAMPLE else "")
