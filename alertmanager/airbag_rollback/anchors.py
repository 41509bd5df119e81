"""Heads of the audit that Prometheus scraped: what somebody who rewrites the journal cannot rewrite."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import requests

from airbag.errors import Garbled, Refused, Unreachable
from airbag.http_config import HttpConfig
from airbag.http_session import new_session, why

_RECENT = 3600.0
_POINTS = 10_000
"""Fewer than Prometheus answers at once (11000)."""


def scraped_anchors(
    url: str, start: float, end: float, matchers: str = "", timeout: float = 30.0, http: HttpConfig | None = None
) -> dict[int, set[str]]:
    """Per record number the beginnings of MACs that were scraped, in hex: closely in the last hour, else in steps.

    `matchers` is what stands between the braces, to choose a receiver. Unreachable, Refused or Garbled.
    """
    found: dict[int, set[str]] = defaultdict(set)
    recent = max(start, end - _RECENT)
    session = new_session(http)
    for begins, ends, step in ((start, recent, max(15.0, (recent - start) / _POINTS)), (recent, end, 1.0)):
        if ends <= begins:
            continue
        series = [
            _range(session, url, f"{name}{{{matchers}}}", begins, ends, step, timeout)
            for name in ("airbag_rollback_audit_records_total", "airbag_rollback_audit_head")
        ]
        for place in series[0].keys() & series[1].keys():
            seq, head = int(series[0][place]), int(series[1][place])
            if seq:
                found[seq].add(f"{head:012x}")
    return dict(found)


def _range(
    session: requests.Session, url: str, query: str, start: float, end: float, step: float, timeout: float
) -> dict[tuple[Any, ...], float]:
    """Values by series and time. Both families stem from the same scrapes, so their places are the same."""
    form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
    try:
        answer = session.post(
            f"{url.rstrip('/')}/api/v1/query_range", data=form, timeout=timeout, allow_redirects=False
        )
    except requests.RequestException as error:
        raise Unreachable(f"Prometheus at {url} gave no answer: {why(error, session)}") from error
    if answer.status_code != requests.codes.ok:
        raise Refused(f"Prometheus at {url} refused {query}: {answer.text[:200]}", str(answer.status_code))
    try:
        return {
            (tuple(sorted((name, value) for name, value in row["metric"].items() if name != "__name__")), at): float(
                value
            )
            for row in answer.json()["data"]["result"]
            for at, value in row["values"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise Garbled(f"Prometheus at {url} answered {query} with something that is no range") from error
