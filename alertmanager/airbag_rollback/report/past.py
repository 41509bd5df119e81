"""What Prometheus tells of a model in a span: the charts' lines, which version served, which alerts fired."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from airbag.config import parse_duration
from airbag.errors import RemoteError, Unreachable
from airbag.rules import RuleSettings
from airbag_rollback.replay.past import Key, PastPrometheus, Run, Span, runs
from airbag_rollback.replay.serving import DEFAULT
from airbag_rollback.report.panels import PANELS, Panel, filled

POINTS = 600
"""Points that a line of a chart has at most."""

_FINE = 20_000
"""Steps in which alerts and versions are looked for at most."""

Points = tuple[tuple[float, float], ...]
Place = tuple[str, str]


@dataclass(frozen=True)
class Chart:
    """The lines of a panel by version, at `step`; without lines `missing` says why."""

    panel: Panel
    query: str
    limit_query: str
    lines: Mapping[str, Points]
    limit: Points
    missing: str = ""


@dataclass(frozen=True)
class Served:
    """A version that answered on one server for a while."""

    target: str
    version: int
    start: float
    end: float


@dataclass(frozen=True)
class Fired:
    """An alert from its first sign to its end. `firing` is None when it came to nothing."""

    alertname: str
    version: str
    severity: str
    pending: float
    firing: float | None
    end: float


@dataclass(frozen=True)
class Seen:
    """All of it. `problem` says why Prometheus could not be asked; then there is nothing else."""

    charts: tuple[Chart, ...] = ()
    served: tuple[Served, ...] = ()
    fired: tuple[Fired, ...] = ()
    step: float = 1.0
    fine: float = 1.0
    asked: tuple[str, ...] = ()
    problem: str = ""

    @property
    def nothing(self) -> bool:
        """Whether Prometheus has nothing of that model and time."""
        return not (self.served or self.fired or any(each.lines for each in self.charts))


@dataclass
class _Look:
    prometheus: PastPrometheus
    place: Place
    span: Span
    rules: RuleSettings
    asked: list[str] = field(default_factory=list)

    def chart(self, panel: Panel, step: float) -> Chart:
        """One panel. A question that Prometheus refuses is missing with its reason; Unreachable goes up."""
        ask = filled(panel, *self.place, self.rules)
        try:
            lines = {dict(key).get("model_version", ""): points for key, points in self._lines(ask.query, step)}
            limits = [points for _, points in self._lines(ask.limit, step)] if ask.limit and lines else []
        except Unreachable:
            raise
        except RemoteError as error:
            return Chart(panel, ask.query, ask.limit, {}, (), str(error))
        missing = "" if lines else "nothing was measured"
        return Chart(panel, ask.query, ask.limit, lines, limits[0] if limits else (), missing)

    def _lines(self, query: str, step: float) -> Iterable[tuple[Key, Points]]:
        self.asked.append(query)
        found = self.prometheus.series(query, self.span.start, self.span.end, step)
        finite = ((key, tuple(p for p in points if math.isfinite(p[1]))) for key, points in sorted(found.items()))
        return [(key, points) for key, points in finite if points]

    def runs(self, series: str, what: str) -> list[Run]:
        """When it had which value, as finely as the span allows."""
        serving, model = self.place
        query = f'{series}{{serving="{serving}",model_name="{model}"}}'
        self.asked.append(query)
        return runs(self.prometheus, query, self.span, what)


def look(
    prometheus: PastPrometheus, place: Place, start: float, end: float, rules: RuleSettings,
    told: Callable[[str, float], None] = lambda _what, _share: None,
) -> Seen:  # fmt: skip
    """Ask for everything. What nobody can answer is a `problem`, not an error."""
    interval = parse_duration(rules.pace.interval)
    step = max(interval, math.ceil((end - start) / POINTS))
    fine = max(interval, math.ceil((end - start) / _FINE))
    at = _Look(prometheus, place, Span(start, end, fine, told), rules)
    try:
        charts = []
        for number, panel in enumerate(PANELS, 1):
            charts.append(at.chart(panel, step))
            told("charts", number / len(PANELS))
        served = tuple(
            Served(run.labels.get("target", ""), int(run.value), run.start, run.end)
            for run in at.runs(DEFAULT, "what served")
        )
        found = tuple(alerts(at.runs("ALERTS", "alerts"), fine))
    except RemoteError as error:
        return Seen(step=step, fine=fine, asked=tuple(at.asked), problem=str(error))
    return Seen(tuple(charts), served, found, step, fine, tuple(at.asked))


def alerts(found: Iterable[Run], step: float) -> list[Fired]:
    """Pending and firing put together; a gap of more than two steps begins a new one."""
    latest: dict[Key, Fired] = {}
    done: list[Fired] = []
    for run in sorted(found, key=lambda run: run.start):
        labels = {name: text for name, text in run.labels.items() if name not in ("__name__", "alertstate")}
        key, firing = tuple(sorted(labels.items())), run.labels.get("alertstate") == "firing"
        before = latest.get(key)
        if before is not None and run.start - before.end <= 2.5 * step:
            since = before.firing if before.firing is not None else run.start if firing else None
            latest[key] = replace(before, firing=since, end=max(before.end, run.end))
            continue
        done += [before] if before is not None else []
        get = labels.get
        latest[key] = Fired(
            get("alertname", ""), get("model_version", ""), get("severity", ""), run.start,
            run.start if firing else None, run.end,
        )  # fmt: skip
    return sorted([*done, *latest.values()], key=lambda each: (each.pending, each.alertname, each.version))


def places(prometheus: PastPrometheus, start: float, end: float) -> set[Place]:
    """Serving and model of everything that Prometheus saw serve in that time. RemoteError as usual."""
    query = f"count by (serving, model_name) (present_over_time({DEFAULT}[{math.ceil(end - start)}s]))"
    rows = prometheus.vector(query, end)
    return {(row.labels.get("serving", ""), row.labels.get("model_name", "")) for row in rows}
