"""How all dashboards look: data source, colours by meaning, sizes, limits, links. A dashboard says only what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard

GOOD, BAD, WARN, BUSY, NONE, DRIFT = "green", "red", "orange", "blue", "#8e8e8e", "purple"
"""Serving or right; failing or rolled back; degraded; loading or under way; unloaded or unknown; drift."""
TAG = "airbag"
STRIP, GRAPH = 4, 8
"""Heights of a strip of single numbers and of a graph, in grid units of 30 pixels."""
LIMIT = "limit"
"""Legends of what alerts compare with begin with this word; such a line is dashed and red everywhere."""

Levels = Sequence[tuple[float | None, str]]
OF_LIMIT: Levels = ((None, GOOD), (0.8, WARN), (1.0, BAD))
"""For a value divided by its limit in exporters.yml: at 1 the alert's threshold is crossed."""
ZERO_IS_GOOD: Levels = ((None, GOOD), (1, BAD))
NEUTRAL: Levels = ((None, "text"),)


@dataclass(frozen=True)
class Ask:
    """One query. `legend` names the series; `name` is the column of a table."""

    expr: str
    legend: str = ""
    name: str = ""


@dataclass(frozen=True)
class Column:
    """How a column of a table looks. `link` is a dashboard that a click leads to, for the row's model."""

    name: str
    unit: str = ""
    levels: Levels = ()
    mappings: Sequence[tuple[float, str, str]] = ()
    gauge: bool = False
    width: int = 0
    link: str = ""
    decimals: int | None = None


def thresholds(levels: Levels) -> builders.ThresholdsConfig:
    """Absolute steps; the first has no value."""
    steps = [dashboard.Threshold(value=value, color=color) for value, color in levels]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def mapped(values: Sequence[tuple[float, str, str]]) -> list[dashboard.ValueMapping]:
    """(value, text, colour) triples."""
    options = {
        f"{value:g}": dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, text, color) in enumerate(values)
    }
    return [dashboard.ValueMap(options=options)]


def link(uid: str, title: str, *pairs: str) -> builders.DashboardLink:
    """To another of our dashboards, with the time range, the data source and `pairs` such as `var-model_name=…`."""
    given = "&".join(("${__url_time_range}", "var-datasource=${datasource}", *pairs))
    return builders.DashboardLink(title).url(f"/d/{uid}?{given}").type(dashboard.DashboardLinkType.LINK)


def of_series(uid: str, title: str, *labels: str) -> builders.DashboardLink:
    """The same from a series: each of `labels` becomes the variable of its name."""
    return link(uid, title, *(f"var-{each}=${{__field.labels.{each}}}" for each in labels))


def of_row(uid: str, title: str, *columns: str) -> builders.DashboardLink:
    """The same from a row of a table."""
    return link(uid, title, *(f"var-{each}=${{__data.fields.{each}}}" for each in columns))
