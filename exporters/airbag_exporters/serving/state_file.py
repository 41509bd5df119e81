"""Counters that outlive the exporter: written before they are shown, so that none ever goes down.

Without fsync: what a crash of the whole machine loses is an ordinary counter reset.
"""

from __future__ import annotations

import json
import logging
from collections import Counter as Count
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airbag_exporters.serving.native import Bucket, Counter, Requests
from airbag_exporters.serving.totals import Owned, Totals

log = logging.getLogger("airbag.exporter.serving")
_FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """What is kept of one target. `last` are the native counters of the server at `address` as they were last seen."""

    address: tuple[str, str | None]
    last: Mapping[Counter, int] | None
    totals: Totals
    switches: Mapping[str, int] = field(default_factory=dict)
    last_defaults: Mapping[str, int] = field(default_factory=dict)
    previous_defaults: Mapping[str, int] = field(default_factory=dict)


class StateFile:
    """The file of one target. A file that cannot be read or written is said once, and the counting goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_failing = False

    def load(self) -> Saved | None:
        """What was saved; None when there is nothing, or nothing that makes sense."""
        try:
            return _decoded(json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            detail = {"file": str(self.path), "reason": repr(error)}
            log.warning("the saved counters cannot be read; they start at 0", extra=detail)
            return None

    def save(self, saved: Saved) -> None:
        """Replace the file as a whole."""
        arriving = self.path.with_suffix(".new")
        try:
            arriving.write_bytes(json.dumps(_encoded(saved), separators=(",", ":")).encode())
            arriving.replace(self.path)
        except OSError as error:
            if not self._is_failing:
                detail = {"file": str(self.path), "reason": error.strerror, "remedy": "make state_folder writable"}
                log.error("the counters cannot be saved; a restart now would reset them", extra=detail)  # noqa: TRY400
            self._is_failing = True
        else:
            self._is_failing = False


def _encoded(saved: Saved) -> dict[str, Any]:  # Any: JSON
    totals = saved.totals
    return {
        "format": _FORMAT,
        "address": saved.address,
        "last": None if saved.last is None else [[*counter, value] for counter, value in saved.last.items()],
        "requests": [[*owned, counts] for owned, counts in totals.requests.items()],
        "latency": [
            [*owned, *route, counts] for owned, routes in totals.latency.items() for route, counts in routes.items()
        ],
        "answers": [[*owned, count] for owned, count in totals.answers.items()],
        "slow": [[*owned, count] for owned, count in totals.slow.items()],
        "switches": dict(saved.switches),
        "last_defaults": dict(saved.last_defaults),
        "previous_defaults": dict(saved.previous_defaults),
    }


def _decoded(data: Any) -> Saved:  # Any: JSON
    if data["format"] != _FORMAT:
        raise ValueError(f"format {data['format']} is not {_FORMAT}")
    grpc, rest = data["address"]
    totals = Totals(
        requests={Owned(model, version): Count(counts) for model, version, counts in data["requests"]},
        answers=Count({Owned(model, version): count for model, version, count in data["answers"]}),
        slow=Count({Owned(model, version): count for model, version, count in data["slow"]}),
    )
    for model, version, api, entrypoint, counts in data["latency"]:
        totals.latency.setdefault(Owned(model, version), {})[api, entrypoint] = Count(counts)
    last = data["last"] if data["last"] is None else {_counter(*each): each[-1] for each in data["last"]}
    previous = data.get("previous_defaults", {})  # files of earlier releases lack it
    return Saved((grpc, rest), last, totals, data["switches"], data["last_defaults"], previous)


def _counter(*fields: Any) -> Counter:  # Any: JSON
    return Bucket(*fields[:-1]) if len(fields) == 5 else Requests(*fields[:-1])
