"""A reference from what Prometheus counted of a version: the same bins, the counts of a window."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import requests

from airbag.errors import ConfigError, Garbled, Problem, Refused, Unreachable
from airbag.http_config import HttpConfig
from airbag.http_session import new_session, why
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference

_TIMEOUT = 60.0

Counts = Mapping[tuple[str, str], int]
"""By feature, and by bin or category or ""."""


@dataclass(frozen=True)
class Version:
    """Whose counters they are."""

    serving: str
    model: str
    version: str

    def selector(self, ref: str = "") -> str:
        """The labels of a PromQL selector."""
        labels = {"serving": self.serving, "model_name": self.model, "model_version": self.version}
        return ", ".join(
            f"{name}={_quoted(value)}" for name, value in {**labels, **({"ref": ref} if ref else {})}.items()
        )


@dataclass(frozen=True)
class Prometheus:
    """The instant query API."""

    url: str
    http: HttpConfig | None = None

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series now; RemoteError when there is no answer, or one that says no."""
        try:
            with new_session(self.http) as session:
                answer = session.post(
                    f"{self.url.rstrip('/')}/api/v1/query", data={"query": query}, timeout=_TIMEOUT,
                    allow_redirects=False,
                )  # fmt: skip
        except requests.RequestException as error:
            raise Unreachable(f"no answer from Prometheus at {self.url}: {why(error, session)}") from error
        try:
            document: Any = answer.json()  # Any: JSON, checked by the next lines
            if document["status"] != "success":
                raise Refused(f"Prometheus at {self.url} refused {query!r}: {document.get('error')}")
            return [(each["metric"], float(each["value"][1])) for each in document["data"]["result"]]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            what = f"Prometheus at {self.url} answered {answer.status_code} and no result: {answer.text[:200]!r}"
            raise Garbled(what, str(answer.status_code)) from error


def live(prometheus: Prometheus, old: Reference, version: Version, window: str, built_at: str) -> Reference:
    """Count anew in the bins of `old`. ConfigError lists every feature that has no counters, or none of some bin.

    Minimum, maximum and the mean of the target stay those of `old`: counters do not know them.
    """
    numeric = _counts(prometheus, "feature_le", "bin", version.selector(old.ref), window)
    categorical = _counts(prometheus, "feature_category", "category", version.selector(old.ref), window)
    missing = _counts(prometheus, "feature_missing", "", version.selector(), window)
    found: dict[str, Numeric | Categorical] = {}
    problems: list[Problem] = []
    for name, profile in {**old.features, **({"score": old.score} if old.score else {})}.items():
        gone = missing.get((name, ""), 0)
        try:
            found[name] = (
                _numeric(name, profile, numeric, gone)
                if isinstance(profile, Numeric)
                else _categorical(name, profile, categorical, gone)
            )
        except ValueError as error:
            problems.append(Problem(f"feature `{name}`", str(error)))
    if problems:
        raise ConfigError(f"{version.model} {version.version} on {version.serving}, ref {old.ref}", problems)
    rows = max(each.rows + each.missing for each in found.values())
    score = found.pop("score", None)
    who = f"version {version.version} of {version.model} on {version.serving}"
    told = {**old.model_dump(), "features": {}, "score": None}
    return Reference.model_validate(
        {
            **told, "rows": rows, "features": found, "score": score, "built_at": built_at,
            "source": f"live counters of {who} over {window} until {built_at}",
        }
    )  # fmt: skip


def _counts(prometheus: Prometheus, name: str, label: str, selector: str, window: str) -> Counts:
    by = ", ".join(filter(None, ("feature", label)))
    query = f"sum by ({by}) (increase(airbag_quality_{name}_total{{{selector}}}[{window}]))"
    answer = prometheus.ask(query)
    return {(labels.get("feature", ""), labels.get(label, "") if label else ""): round(n) for labels, n in answer}


def _numeric(name: str, old: Numeric, counts: Counts, missing: int) -> Numeric:
    found = {int(bin_): count for (feature, bin_), count in counts.items() if feature == name and bin_.isdecimal()}
    if not found:
        raise ValueError("has no counters in that window")
    lacking = len(old.le) - len(found.keys() & range(len(old.le)))
    if lacking or len(found) > len(old.le):
        raise ValueError(f"has {len(found)} bins in Prometheus and {len(old.le)} in the reference")
    if not any(found.values()):
        raise ValueError("counted no value in that window")
    # Extrapolated and rounded apart, so that a bin may come out below the one before it.
    le = tuple(accumulate((found[bin_] for bin_ in range(len(old.le))), max))
    return Numeric(edges=old.edges, le=le, missing=missing, minimum=old.minimum, maximum=old.maximum)


def _categorical(name: str, old: Categorical, counts: Counts, missing: int) -> Categorical:
    found = {category: count for (feature, category), count in counts.items() if feature == name}
    if not found:
        raise ValueError("has no counters in that window")
    if not any(found.values()):
        raise ValueError("counted no value in that window")
    lacking = sorted(old.counts.keys() - found.keys())
    if lacking:
        raise ValueError(f"has no counter of {', '.join(map(repr, lacking))}")
    return Categorical(
        counts={category: found[category] for category in old.counts}, other=found.get("other", 0), missing=missing
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
