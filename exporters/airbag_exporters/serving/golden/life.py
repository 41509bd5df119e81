"""What is known of one version while it is AVAILABLE."""

from __future__ import annotations

from collections import Counter as Count
from dataclasses import dataclass, field

from airbag.serving.proto import tfs_pb2
from airbag_exporters.serving.golden.ask import LATE, Outcome, Result
from airbag_exporters.serving.golden.due import Standing
from airbag_exporters.serving.golden.file import Request

LATE_MAX = 3
"""Deadlines in a row after which a request counts as failed: one may be the server's hurry, three are the version."""


@dataclass(frozen=True)
class Verdict:
    """What one golden request last said of a version. `since` is when it began to fail, None while it is right."""

    seconds: float
    at: float
    text: str = ""
    since: float | None = None


@dataclass(eq=False)
class Life:
    """One version from the poll that showed it AVAILABLE to the one that no longer does.

    `requests` and `signatures` are read at the first asking. A verdict stays until another answer comes: what got no
    answer says nothing, except for LATE_MAX deadlines in a row.
    """

    standing: Standing = field(default_factory=Standing)
    requests: tuple[Request, ...] | None = None
    signatures: tfs_pb2.SignatureDefMap | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    _late: Count[str] = field(default_factory=Count)

    @property
    def failing(self) -> dict[str, Verdict]:
        """The verdicts that are bad, by the name of the request."""
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.since is not None}

    def take(self, probe: str, result: Result) -> Verdict | None:
        """Take one result in; the verdict that it gives, None when it gives none."""
        self._late[probe] = self._late[probe] + 1 if result.code == LATE else 0
        if result.outcome is Outcome.UNANSWERED and self._late[probe] < LATE_MAX:
            return None
        before = self.verdicts.get(probe)
        since = None if result.outcome is Outcome.RIGHT else (before and before.since) or result.at
        self.verdicts[probe] = Verdict(result.seconds, result.at, result.text, since)
        return self.verdicts[probe]
