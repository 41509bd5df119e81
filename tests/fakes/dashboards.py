"""The shipped dashboards as Grafana sees them: panels, variables with their values, queries filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from airbag.config import parse_duration

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<of>.+), *)?(?P<label>\w+)\)")
_QUERY_RESULT = re.compile(r"query_result\((?P<expr>.+)\)")
_NAME = re.compile(r"\$(?:([A-Za-z_]\w*)|\{(\w+)[^}]*\})")


EMPTY = {
    r"airbag-servers: GPU": "a machine without a GPU",
    r"airbag-quality: AUC by version": "AUC is for two classes, the digits have ten",
    r"airbag-quality: AUC: ": "the same",
    r"airbag-quality: (Mean absolute error|Bias|BLEU)": "classes are no regression and no translation",
    r"airbag-pipelines: .* against usual: B": "usual is what was a day ago",
    r"airbag-fleet: Open incidents": "nothing may be wrong in the end",
    r"airbag-.*: annotation Calls for a person": "Airbag helped itself",
}
"""What may stay empty in a stack that has lived through a release, a drill, a bad release and its rollback; and why."""


def is_excused(where: str, *more: str) -> bool:
    """Whether there is a reason for that query or panel to have no data."""
    return any(re.match(pattern, f"{where}: ") for pattern in (*EMPTY, *more))


@dataclass(frozen=True)
class Query:
    """One query of one panel or annotation."""

    where: str
    expr: str
    legend: str = ""
    instant: bool = False
    interval: str = "1s"

    @property
    def step(self) -> float:
        """Seconds between two points, at the least."""
        return parse_duration(self.interval)


@dataclass
class Dashboard:
    """One file."""

    path: Path
    text: str = ""
    body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.text = self.path.read_text()
        self.body = json.loads(self.text)

    @property
    def uid(self) -> str:
        return str(self.body["uid"])

    @property
    def panels(self) -> list[dict[str, Any]]:
        """All but the headings."""
        return [each for each in self.everything if each["type"] != "row"]

    @property
    def everything(self) -> list[dict[str, Any]]:
        """Headings too, and what collapsed ones hide."""
        found = []
        for each in self.body["panels"]:
            found += [each, *each.get("panels", [])]
        return found

    @property
    def variables(self) -> list[dict[str, Any]]:
        return list(self.body["templating"]["list"])

    def queries(self) -> Iterator[Query]:
        """Of panels and annotations."""
        for panel in self.panels:
            for target in panel.get("targets", []):
                where = f"{self.uid}: {panel['title']}: {target['refId']}"
                legend, interval = target.get("legendFormat", ""), panel.get("interval") or "1s"
                yield Query(where, target["expr"], legend, bool(target.get("instant")), interval)
        for mark in self.body["annotations"]["list"]:
            text = f"{mark['titleFormat']} {mark['textFormat']}"
            yield Query(f"{self.uid}: annotation {mark['name']}", mark["expr"], text, interval=mark["step"])


def dashboards() -> list[Dashboard]:
    return [Dashboard(path) for path in FILES]


def asked(query: Query, values: dict[str, str]) -> str:
    """What the panel asks Prometheus."""
    return filled(query.expr, values | {"__interval": query.interval})


def filled(text: str, values: dict[str, str]) -> str:
    """With the variables replaced as Grafana does, by name; KeyError for one that nobody has."""
    return _NAME.sub(lambda found: values[found[1] or found[2]], text)


BUILT_IN = {"__rate_interval": "4s", "__range": "300s"}
"""What Grafana fills in itself: with scrapes every second, and the last five minutes shown."""


class Source:
    """A Prometheus that answers as Grafana's data source asks."""

    def __init__(self, url: str, span: float = 300.0) -> None:
        self._url, self._span = url, span

    def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """An instant query's rows; AssertionError with Prometheus' words when it is refused."""
        given: dict[str, str | float] = {"query": expr} | ({} if at is None else {"time": at})
        answer = requests.post(f"{self._url}/api/v1/query", data=given, timeout=30).json()
        assert answer["status"] == "success", (expr, answer)
        return list(answer["data"]["result"])

    def seconds(self, expr: str, end: float | None = None, step: float = 1.0) -> float:
        """How long Prometheus itself needed, all phases; with an `end` for the span shown."""
        over = {} if end is None else {"start": end - self._span, "end": end, "step": step}
        given: dict[str, str | float] = {"query": expr, "stats": "all"} | over
        answer = requests.post(f"{self._url}/api/v1/query{'_range' if over else ''}", data=given, timeout=60).json()
        assert answer["status"] == "success", (expr, answer)
        return float(answer["data"]["stats"]["timings"]["execTotalTime"])

    def over_time(self, expr: str, end: float, step: float = 1.0) -> list[dict[str, Any]]:
        """A range query's rows over the span shown."""
        given = {"query": expr, "start": end - self._span, "end": end, "step": step}
        answer = requests.post(f"{self._url}/api/v1/query_range", data=given, timeout=60).json()
        assert answer["status"] == "success", (expr, answer)
        return list(answer["data"]["result"])

    def options(self, variable: dict[str, Any], values: dict[str, str]) -> list[str]:
        """What a variable offers, in the order that Grafana shows."""
        query = filled(variable["query"], values)
        if found := _QUERY_RESULT.fullmatch(query):
            rows = self.query(found["expr"])
            offered = [_as_text(each["metric"], each["value"][1]) for each in rows]
        else:
            found = _LABEL_VALUES.fullmatch(query)
            assert found, query
            given = {"match[]": found["of"]} if found["of"] else {}
            answer = requests.get(f"{self._url}/api/v1/label/{found['label']}/values", params=given, timeout=30).json()
            assert answer["status"] == "success", (query, answer)
            offered = list(answer["data"])
        if regex := variable.get("regex"):
            matches = [re.search(regex.strip("/"), each) for each in offered]
            offered = [each[1] for each in matches if each]
        if variable.get("sort") == 4:
            offered.sort(key=lambda each: -float(re.sub(r"\D", "", each) or 0))
        return list(dict.fromkeys(offered))

    def values(self, dashboard: Dashboard) -> dict[str, str]:
        """Every variable as it stands when one opens the dashboard: the first option, or everything."""
        values = dict(BUILT_IN)
        for variable in dashboard.variables:
            if variable["type"] == "datasource":
                values[variable["name"]] = "airbag-prometheus"
            elif variable.get("includeAll"):
                assert self.options(variable, values), f"{dashboard.uid}: {variable['name']} offers nothing"
                values[variable["name"]] = variable["allValue"]
            else:
                offered = self.options(variable, values)
                assert offered, f"{dashboard.uid}: {variable['name']} offers nothing"
                values[variable["name"]] = offered[0]
        return values


def _as_text(labels: dict[str, str], value: str) -> str:
    return "{" + ",".join(f'{name}="{each}"' for name, each in labels.items()) + "} " + value
