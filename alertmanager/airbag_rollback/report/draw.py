"""The charts, by matplotlib: each as SVG for the page, and all in one PNG."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airbag.errors import AirbagError
from airbag_rollback.engine.verdict import Bad
from airbag_rollback.pages.words import moment
from airbag_rollback.report import axis
from airbag_rollback.report.colours import COLOURS, of_versions
from airbag_rollback.report.incident import Incident, Mark
from airbag_rollback.report.past import Chart
from airbag_rollback.report.svg import for_page
from airbag_rollback.report.units import Unit, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches, which matplotlib counts in.
_WIDTH, _LEFT, _RIGHT, _BELOW = 9.6, 0.85, 1.35, 0.5
_HEIGHT, _BAND = 1.75, 0.3
_MARK, _APART = 0.17, 0.3
_WEIGHT = {"bad": 0, "good": 1}
_DASHES = ("-", "--", "-.", (0, (1, 1)))


class NoLibrary(AirbagError):
    """matplotlib is not installed."""

    reason = "no_library"


def check() -> None:
    """NoLibrary without matplotlib, before anything is asked."""
    try:
        found = importlib.util.find_spec("matplotlib")
    except ValueError:
        found = None
    if found is None:
        raise NoLibrary("the charts of a report need matplotlib, an optional part: pip install 'tfs-airbag[report]'")


@dataclass(frozen=True)
class Pen:
    """How things are drawn. `colours` by name; `dashes` and `names` of the colours by version."""

    colours: Mapping[str, str]
    names: Mapping[str, str]
    dashes: Mapping[str, object] = field(default_factory=dict)

    def version(self, version: str) -> str:
        """Its colour."""
        return self.colours[self.names[version]]


def charts(incident: Incident) -> dict[str, str]:
    """SVG elements for the page by the key of their panel; "served" is which version answered."""
    stand_ins = {name: f"#fe01{number:02x}" for number, name in enumerate(COLOURS)}
    places = {colour: f"var(--chart-{name})" for name, colour in stand_ins.items()}
    pen = _pen(incident, stand_ins)
    marks = axis.placed(incident.marks(), incident.start, incident.end)
    found = {}
    for key, label, rows, chart in _parts(incident):
        height = _BAND * rows if chart is None else _HEIGHT
        above = 0.12 + _MARK * _rows(marks)
        with _settings():
            figure = _figure(height + _BELOW + above)
            _axes(figure, incident, pen, chart, below=_BELOW, height=height, marks=marks)
            found[key] = for_page(_saved(figure, "svg").decode(), key, label, places)
    return found


def picture(incident: Incident, title: str, text: str) -> bytes:
    """All charts that have something to show, one above the other, as PNG on light paper."""
    pen = _pen(incident, {name: colour.light for name, colour in COLOURS.items()})
    marks = axis.placed(incident.marks(), incident.start, incident.end)
    parts = list(_parts(incident))
    heights = [_BAND * rows if chart is None else _HEIGHT for *_, rows, chart in parts]
    above = 1.0 + _MARK * _rows(marks)
    with _settings():
        figure = _figure(sum(heights) + above + (len(parts) - 1) * _APART + _BELOW)
        figure.set_facecolor(pen.colours["paper"])
        whole = figure.get_figheight()
        figure.text(_LEFT / _WIDTH, 1 - 0.3 / whole, title, fontsize=13, weight="bold", color=pen.colours["ink"])
        figure.text(_LEFT / _WIDTH, 1 - 0.55 / whole, text, fontsize=9, color=pen.colours["soft"])
        at = whole - above
        for number, ((_, label, _, chart), height) in enumerate(zip(parts, heights, strict=True)):
            at -= height
            last = number == len(parts) - 1
            axes = _axes(
                figure, incident, pen, chart, below=at, height=height, marks=marks, tops=not number, ticks=last
            )
            pad = 6 if number else 6 + 72 * _MARK * _rows(marks)
            axes.set_title(label, loc="left", fontsize=10, color=pen.colours["ink"], pad=pad)
            at -= _APART
        return _saved(figure, "png")


def _parts(incident: Incident) -> Iterator[tuple[str, str, int, Chart | None]]:
    """Key, title and rows of what can be drawn, and its chart, None for what served."""
    targets = {each.target for each in incident.seen.served}
    if targets:
        yield "served", "Which version answered", len(targets), None
    for chart in incident.seen.charts:
        if chart.lines:
            yield chart.panel.key, chart.panel.title, 0, chart


def _rows(marks: list[tuple[Mark, int]]) -> int:
    return 1 + max((row for _, row in marks), default=-1)


def _pen(incident: Incident, colours: Mapping[str, str]) -> Pen:
    versions = {version for chart in incident.seen.charts for version in chart.lines}
    versions |= {str(each.version) for each in incident.seen.served}
    ordered = sorted(versions, key=lambda each: (not each.isdecimal(), int(each) if each.isdecimal() else 0, each))
    good = [str(each.action.target_version) for each in incident.told if each.action.acted_at is not None]
    names = of_versions(ordered, incident.bad_versions(), good)
    by_weight = sorted(ordered, key=lambda each: _WEIGHT.get(names[each], len(_WEIGHT)))
    return Pen(colours, names, {each: _DASHES[number % len(_DASHES)] for number, each in enumerate(by_weight)})


@contextmanager
def _settings() -> Iterator[None]:
    from matplotlib import rc_context

    fixed = {
        "svg.fonttype": "none", "svg.hashsalt": "airbag", "text.parse_math": False, "font.size": 10,
        "font.family": ["DejaVu Sans"], "axes.spines.top": False, "axes.spines.right": False, "path.simplify": True,
    }  # fmt: skip
    with rc_context(fixed):  # type: ignore[arg-type] # its stub knows names of settings only as literals
        yield


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, height), facecolor="none")


def _saved(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(out, format=kind, dpi=150, metadata=metadata)  # no time: the same numbers are the same bytes
    return out.getvalue()


def _axes(
    figure: Figure, incident: Incident, pen: Pen, chart: Chart | None, *, below: float, height: float,
    marks: list[tuple[Mark, int]], tops: bool = True, ticks: bool = True,
) -> Axes:  # fmt: skip
    whole, ink = figure.get_figheight(), pen.colours
    axes = figure.add_axes(
        (_LEFT / _WIDTH, below / whole, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, height / whole), facecolor="none"
    )
    axes.tick_params(colors=ink["soft"], labelsize=9, length=3)
    for spine in axes.spines.values():
        spine.set_color(ink["grid"])
    axes.set_xlim(incident.start, incident.end)
    positions, labels = axis.ticks(incident.start, incident.end, incident.sign.at)
    axes.set_xticks(positions, labels if ticks else [""] * len(labels))
    if chart is None:
        _bands(axes, incident, pen)
    else:
        _lines(axes, chart, pen, incident.seen.step)
    for mark, row in marks:
        axes.axvline(mark.at, color=ink[mark.kind], linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        if tops and row >= 0:
            points = 4 + 72 * _MARK * row
            axes.annotate(
                mark.text, (mark.at, 1), (2, points), xycoords=("data", "axes fraction"), textcoords="offset points",
                fontsize=9, color=ink[mark.kind], annotation_clip=False,
                ha="left" if axis.leans(mark, incident.start, incident.end) == "left" else "right",
            )  # fmt: skip
    return axes


def _bands(axes: Axes, incident: Incident, pen: Pen) -> None:
    targets = sorted({each.target for each in incident.seen.served})
    for each in incident.seen.served:
        row, wide = targets.index(each.target), max(each.end - each.start, incident.seen.fine)
        colour = pen.version(str(each.version))
        axes.broken_barh([(each.start, wide)], (row - 0.4, 0.8), facecolors=colour, alpha=0.35, edgecolor="none")
        if wide > 0.04 * (incident.end - incident.start):
            axes.text(each.start + wide / 2, row, str(each.version), ha="center", va="center", fontsize=10,
                      color=pen.colours["ink"], clip_on=True)  # fmt: skip
    axes.set_yticks(range(len(targets)), targets)
    axes.set_ylim(-0.5, len(targets) - 0.5)
    axes.tick_params(axis="y", length=0)


def _lines(axes: Axes, chart: Chart, pen: Pen, step: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ink, unit = pen.colours, chart.panel.unit
    axes.grid(axis="y", color=ink["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    for version, points in sorted(chart.lines.items()):
        at, values = axis.with_gaps(points, step)
        name = f"version {version}" if version.isdecimal() else version
        axes.plot(
            at, values, color=pen.version(version), linewidth=1.6, linestyle=pen.dashes[version], label=name
        )  # fmt: skip
    if chart.limit:
        at, values = axis.with_gaps(chart.limit, step)
        label = f"limit {shown(chart.limit[-1][1], unit)}"
        axes.plot(at, values, color=ink["limit"], linewidth=1.2, linestyle=":", label=label)
    axes.set_ylim(*_heights(chart))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=unit is Unit.COUNT))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05), frameon=False, fontsize=9, labelcolor=ink["ink"],
                handlelength=1.8)  # fmt: skip


def _heights(chart: Chart) -> tuple[float, float]:
    """From 0, but where low is bad from what was measured: there the difference counts. Lines on the edge are seen."""
    values = [value for points in (*chart.lines.values(), chart.limit) for _, value in points]
    low, high = min(values), max(values)
    low = low if chart.panel.bad is Bad.BELOW else min(0.0, low)
    room = (high - low) or 0.1
    return low - 0.04 * room, high + 0.1 * room


def told_of(incident: Incident) -> str:
    """The span, in a line under the title of the picture."""
    return f"{moment(incident.start)} to {moment(incident.end)}; seconds count from the first bad sign"
