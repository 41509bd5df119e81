"""The report as one HTML file: nothing is loaded from anywhere, nothing runs, and all that people wrote is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from airbag import __version__
from airbag_rollback.engine.verdict import Bad
from airbag_rollback.pages import timeline, words
from airbag_rollback.report import colours, sentences, units
from airbag_rollback.report.incident import Incident
from airbag_rollback.report.past import Chart
from airbag_rollback.report.people import deeds


@dataclass(frozen=True)
class Source:
    """How the report was made: when, and from which Prometheus and receiver."""

    made_at: float
    prometheus: str
    receiver: str


@dataclass(frozen=True)
class Extreme:
    """A line of a chart in numbers."""

    version: str
    lowest: float
    highest: float
    worst_at: float
    last: float
    last_at: float


def title(incident: Incident) -> str:
    """What it is about, in a few words."""
    main = incident.main
    way = ""
    if main is not None and main.acted_at is not None:
        way = f": from {main.bad_version} back to {main.target_version}"
    return f"{incident.model} on {incident.serving}{way}"


def html(incident: Incident, charts: Mapping[str, str], source: Source) -> str:
    """The file. `charts` are SVG elements of ours by the key of their panel."""
    templates = Environment(
        loader=ChoiceLoader([PackageLoader("airbag_rollback.report"), PackageLoader("airbag_rollback.pages")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.filters |= {**words.FILTERS, "since": units.since, "shown": units.shown}
    templates.globals |= {
        "graph": lambda _query, _at: "", "measurement": sentences.measurement, "stages": timeline.stages,
        "spoken": timeline.spoken, "measured": timeline.measured, "refused": timeline.refused,
        "also_asked": timeline.also_asked, "extremes": extremes, "Unit": units.Unit,
    }  # fmt: skip
    return templates.get_template("report.html").render(
        incident=incident, title=title(incident), summary=sentences.summary(incident), people=deeds(incident),
        sign=incident.sign, charts={key: Markup(text) for key, text in charts.items()},  # noqa: S704 - drawn by us
        missing=[each for each in incident.seen.charts if each.missing], source=source, airbag_version=__version__,
        style=Markup(_style()),  # noqa: S704 - our own files
    )  # fmt: skip


def extremes(chart: Chart) -> list[Extreme]:
    """A row for each version, with the time of its worst value."""
    found = []
    for version, points in sorted(chart.lines.items()):
        worst = (min if chart.panel.bad is Bad.BELOW else max)(points, key=lambda point: point[1])
        values = [value for _, value in points]
        found.append(Extreme(version, min(values), max(values), worst[0], points[-1][1], points[-1][0]))
    return found


def _style() -> str:
    pages = (files("airbag_rollback.pages") / "static" / "page.css").read_text(encoding="utf-8")
    own = (files("airbag_rollback.report") / "templates" / "report.css").read_text(encoding="utf-8")
    light, dark = (f":root {{ {colours.css(scheme)} }}" for scheme in ("light", "dark"))
    return "\n".join((pages, light, f"@media (prefers-color-scheme: dark) {{ {dark} }}", own))
