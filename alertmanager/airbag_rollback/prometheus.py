"""Instant queries against Prometheus, each with its own time limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from airbag.errors import Garbled, Refused, Unreachable
from airbag.http_config import HttpConfig
from airbag.http_session import new_session, why
from airbag_rollback import failpoints

_NO_ANSWER = (502, 503, 504)


@dataclass(frozen=True)
class Row:
    """One series of an answer: its labels and its number, which may be NaN."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """One Prometheus server, for one thread. `tell` hears 1 after every answer and 0 when none came."""

    def __init__(
        self, url: str, tell: Callable[[float], None] = lambda _up: None, timeout: float = 2.0,
        http: HttpConfig | None = None,
    ) -> None:  # fmt: skip
        self._tell = tell
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._timeout = timeout
        self._http = new_session(http)

    def instant(self, query: str, at: float | None = None) -> float | None:
        """The one number that answers `query` (at `at`, seconds since the epoch); None when nothing matches.

        The number may be NaN. Unreachable without an answer in time, Refused when Prometheus says no, Garbled when the
        answer is no vector of at most one element.
        """
        return _number(self._ask(query, at), query)

    def vector(self, query: str, at: float | None = None) -> tuple[Row, ...]:
        """Every series that answers `query`, with its labels. Raises as `instant` does."""
        data = self._ask(query, at)
        try:
            return tuple(Row(dict(row["metric"]), float(row["value"][1])) for row in data["result"])
        except (ValueError, KeyError, TypeError) as error:
            raise Garbled(f"Prometheus answered {query} with something that is no vector") from error

    def _ask(self, query: str, at: float | None) -> Any:  # JSON
        form = {"query": query, "timeout": f"{self._timeout:g}s"} | ({"time": f"{at:.3f}"} if at is not None else {})
        failpoints.reached("before a query")
        try:
            answer = self._http.post(self._url, data=form, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            self._tell(0)
            raise Unreachable(f"Prometheus at {self._url} gave no answer: {why(error, self._http)}") from error
        failpoints.reached("after a query")
        self._tell(answer.status_code not in _NO_ANSWER)
        if answer.status_code in _NO_ANSWER:
            raise Unreachable(f"Prometheus at {self._url} answered {answer.status_code}", str(answer.status_code))
        if answer.status_code != requests.codes.ok:
            raise Refused(f"Prometheus refused {query}: {answer.text[:200]}", str(answer.status_code))
        try:
            return answer.json()["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise Garbled(f"Prometheus answered {query} with something that is no vector") from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _number(data: Any, query: str) -> float | None:  # Any: JSON
    try:
        rows = [data["result"]] if data["resultType"] == "scalar" else [row["value"] for row in data["result"]]
        numbers = [float(text) for _, text in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise Garbled(f"Prometheus answered {query} with something that is no vector") from error
    if len(numbers) > 1:
        raise Garbled(f"Prometheus answered {query} with {len(numbers)} series where one belongs")
    return numbers[0] if numbers else None
