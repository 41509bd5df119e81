"""How all dashboards look: data source, colours by meaning, grid, ids, links. A dashboard says only what it shows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

from grafana.src import variables

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
ONE_IS_GOOD: Levels = ((None, BAD), (1, GOOD))
NEUTRAL: Levels = ((None, "text"),)


class Built(Protocol):
    """Any panel builder of the SDK."""

    def id(self, id_val: int) -> Self: ...
    def title(self, title: str) -> Self: ...
    def grid_pos(self, grid_pos: dashboard.GridPos) -> Self: ...
    def build(self) -> dashboard.Panel: ...


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


def fixed(color: str) -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(color)


def _by_name() -> builders.FieldColor:
    """The same series has the same colour in every panel."""
    return builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)


def _value(of: str, value: Any) -> dashboard.DynamicConfigValue:  # Any: whatever the option takes
    return dashboard.DynamicConfigValue(id_val=of, value=value)


def _queries(asks: Sequence[Ask], form: str) -> list[prometheus.Dataquery]:
    found = []
    for ask, ref in zip(asks, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strict=False):
        query = prometheus.Dataquery().expr(ask.expr).ref_id(ask.name or ref).datasource(variables.SOURCE)
        query = query.legend_format(ask.legend or "__auto")
        found.append(query.range() if form == "range" else query.instant().format(prometheus_format(form)))
    return found


def prometheus_format(form: str) -> Any:  # Any: an enum of the SDK's models, which its builder takes
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

    return PromQueryFormat.TABLE if form == "table" else PromQueryFormat.TIME_SERIES


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


def graph(
    title: str, description: str, unit: str, *asks: Ask, stacked: bool = False, bars: bool = False,
    levels: Levels = (), low: float | None = 0, high: float | None = None, band: tuple[str, str] | None = None,
    links: Sequence[builders.DashboardLink] = (), faint: str = "", calc: str = "lastNotNull",
) -> timeseries.Panel:  # fmt: skip
    """Lines over time. Series whose legend begins with `limit` are dashed red; those that match `faint` are grey.

    `band` names the legends of a lower and an upper bound, between which is filled.
    """
    legend = common_builders.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.TABLE)
    legend = legend.placement(common.LegendPlacement.BOTTOM).calcs([calc, "max"])
    panel = timeseries.Panel().title(title).description(description).unit(unit).datasource(variables.SOURCE)
    panel = panel.targets(list(_queries(asks, "range"))).legend(legend).color_scheme(_by_name())
    panel = panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    panel = panel.line_width(2).fill_opacity(60 if bars else 8).show_points(common.VisibilityMode.NEVER)
    panel = panel.span_nulls(False).data_links(list(links))
    panel = panel.min(low) if low is not None else panel
    panel = panel.max(high) if high is not None else panel
    if bars:
        panel = panel.draw_style(common.GraphDrawStyle.BARS)
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if levels:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(thresholds(levels)).thresholds_style(style)
    dashed = {"fill": "dash", "dash": [8, 6]}
    panel = panel.override_by_regexp(
        f"/^{LIMIT}/",
        [_value("color", {"mode": "fixed", "fixedColor": BAD}), _value("custom.lineStyle", dashed),
         _value("custom.fillOpacity", 0), _value("custom.lineWidth", 1)],
    )  # fmt: skip
    if faint:
        grey = [_value("color", {"mode": "fixed", "fixedColor": NONE}), _value("custom.lineWidth", 1)]
        panel = panel.override_by_regexp(faint, [*grey, _value("custom.fillOpacity", 0)])
    if band:
        low_name, high_name = band
        quiet = [_value("custom.lineWidth", 0), _value("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})]
        panel = panel.override_by_name(low_name, quiet)
        panel = panel.override_by_name(
            high_name, [*quiet, _value("custom.fillBelowTo", low_name), _value("custom.fillOpacity", 20)]
        )
    return panel


def number(
    title: str, description: str, unit: str, ask: Ask, levels: Levels = NEUTRAL, *,
    mappings: Sequence[tuple[float, str, str]] = (), empty: str = "", names: bool = False,
    links: Sequence[builders.DashboardLink] = (), decimals: int | None = None, sparkline: bool = False,
) -> stat.Panel:  # fmt: skip
    """One number, its background coloured by `levels` or `mappings`. `empty` stands where there is no data."""
    reduce = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = stat.Panel().title(title).description(description).unit(unit).datasource(variables.SOURCE)
    panel = panel.targets(list(_queries([ask], "range" if sparkline else "instant"))).reduce_options(reduce)
    panel = panel.color_mode(common.BigValueColorMode.VALUE if levels is NEUTRAL and not mappings else common.BigValueColorMode.BACKGROUND)
    panel = panel.graph_mode(common.BigValueGraphMode.AREA if sparkline else common.BigValueGraphMode.NONE)
    panel = panel.thresholds(thresholds(levels)).data_links(list(links))
    panel = panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    panel = panel.text_mode(common.BigValueTextMode.NAME if names else common.BigValueTextMode.AUTO)
    panel = panel.no_value(empty) if empty else panel
    panel = panel.decimals(decimals) if decimals is not None else panel
    return panel.mappings(mapped(mappings)) if mappings else panel


def states(title: str, description: str, *asks: Ask, mappings: Sequence[tuple[float, str, str]],
           links: Sequence[builders.DashboardLink] = ()) -> statetimeline.Panel:  # fmt: skip
    """What was when, as coloured stretches; one row a series."""
    panel = statetimeline.Panel().title(title).description(description).datasource(variables.SOURCE)
    panel = panel.targets(list(_queries(asks, "range"))).mappings(mapped(mappings)).merge_values(True)
    panel = panel.show_value(common.VisibilityMode.AUTO).row_height(0.8).fill_opacity(80).data_links(list(links))
    panel = panel.legend(common_builders.VizLegendOptions().show_legend(False).display_mode(common.LegendDisplayMode.LIST)
                         .placement(common.LegendPlacement.BOTTOM))  # fmt: skip
    return panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))


def heat(title: str, description: str, unit: str, expr: str) -> heatmap.Panel:
    """A histogram's buckets over time: darker is more."""
    query = prometheus.Dataquery().expr(expr).ref_id("A").datasource(variables.SOURCE).legend_format("{{le}}")
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

    panel = heatmap.Panel().title(title).description(description).datasource(variables.SOURCE)
    panel = panel.targets([query.range().format(PromQueryFormat.HEATMAP)]).calculate(False)
    panel = panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
    color = heatmap.HeatmapColorOptions().mode("scheme").scheme("Blues").exponent(0.5).steps(32).reverse(False).fill("blue")
    tooltip = heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True)
    return panel.color(color).cell_gap(1).show_legend().tooltip(tooltip).filter_values(heatmap.FilterValueRange().le(1e-9))


def rows(
    title: str, description: str, asks: Sequence[Ask], columns: Sequence[Column], *, sort: str = "", ascending: bool = False,
    empty: str = "", matrix: tuple[str, str] | None = None, labels: Sequence[str] = (), drop: Sequence[str] = (),
) -> table.Panel:  # fmt: skip
    """One row a set of labels, one column a query; `Ask.name` is the column's title. `labels` come first, in this order.

    With `matrix`, (column label, row label), a single query is spread over both instead.
    """
    panel = table.Panel().title(title).description(description).datasource(variables.SOURCE)
    panel = panel.targets(list(_queries(asks, "table"))).cell_height(common.TableCellHeight.SM)
    panel = panel.no_value(empty) if empty else panel
    for each in columns:
        panel = panel.override_by_name(each.name, _looks(each))
    if matrix:
        across, down = matrix
        options: dict[str, object] = {"columnField": across, "rowField": down, "valueField": "Value", "emptyValue": "zero"}
        return panel.with_transformation(_transformation("groupingToMatrix", options))
    panel = panel.with_transformation(_transformation("merge", {}))
    values = {f"Value #{ask.name}": ask.name for ask in asks} | ({"Value": asks[0].name} if len(asks) == 1 else {})
    order = {name: index for index, name in enumerate([*labels, *values])}
    options = {"excludeByName": dict.fromkeys(("Time", "__name__", *drop), True), "renameByName": values, "indexByName": order}
    panel = panel.with_transformation(_transformation("organize", options))
    if sort:
        panel = panel.sort_by([common_builders.TableSortByFieldState().display_name(sort).desc(not ascending)])
    return panel


def _transformation(of: str, options: dict[str, object]) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(id_val=of, options=options)


def _looks(column: Column) -> list[dashboard.DynamicConfigValue]:
    found = [_value("unit", column.unit)] if column.unit else []
    if column.levels:
        steps = [{"value": value, "color": color} for value, color in column.levels]
        found.append(_value("thresholds", {"mode": "absolute", "steps": steps}))
        found.append(_value("color", {"mode": "thresholds"}))
    if column.gauge:
        found += [_value("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
                  _value("min", 0), _value("max", 1)]  # fmt: skip
    elif column.levels or column.mappings:
        found.append(_value("custom.cellOptions", {"type": "color-text"}))
    if column.mappings:
        options = {f"{value:g}": {"text": text, "color": color, "index": index}
                   for index, (value, text, color) in enumerate(column.mappings)}  # fmt: skip
        found.append(_value("mappings", [{"type": "value", "options": options}]))
    if column.width:
        found.append(_value("custom.width", column.width))
    if column.decimals is not None:
        found.append(_value("decimals", column.decimals))
    if column.link:
        leads = of_row(column.link, "Open", "serving", "model_name").build()
        found.append(_value("links", [{"title": leads.title, "url": leads.url}]))
    return found


@dataclass
class Page:
    """A dashboard that is filled from left to right, top to bottom. `uid` is its file's name too."""

    uid: str
    title: str
    description: str
    variables: Sequence[Any]  # Any: the SDK's variable builders share no type
    refresh: str = "10s"
    span: str = "now-1h"
    _panels: list[Any] = field(default_factory=list)  # Any: panels and rows
    _x: int = 0
    _y: int = 0
    _deep: int = 0

    def row(self, title: str) -> Page:
        """A heading; what follows belongs to it."""
        self._wrap()
        self._panels.append(builders.Row(title).id(self._id(f"row {title}")).grid_pos(dashboard.GridPos(h=1, w=24, x=0, y=self._y)))
        self._y += 1
        return self

    def add(self, width: int, height: int, *panels: Built) -> Page:
        """Panels of one size, beside each other as far as there is room."""
        for panel in panels:
            if self._x + width > 24:
                self._wrap()
            title = panel.build().title or ""
            self._panels.append(
                panel.id(self._id(title)).grid_pos(dashboard.GridPos(h=height, w=width, x=self._x, y=self._y))
            )
            self._x += width
            self._deep = max(self._deep, height)
        return self

    def build(self) -> dashboard.Dashboard:
        """The SDK's model of it."""
        made = builders.Dashboard(self.title).uid(self.uid).description(self.description).tags([TAG]).readonly()
        made = made.timezone("browser").time(self.span, "now").refresh(self.refresh).variables(list(self.variables))
        made = made.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).link(_siblings())
        for each in annotations():
            made = made.annotation(each)
        for panel in self._panels:
            made = made.with_row(panel) if isinstance(panel, builders.Row) else made.with_panel(panel)
        return made.build()

    def _wrap(self) -> None:
        self._y += self._deep
        self._x = self._deep = 0

    def _id(self, title: str) -> int:
        """From the words, so that links to a panel outlive the panels around it."""
        return zlib.crc32(title.encode()) % 1_000_000 + 1


def _siblings() -> builders.DashboardLink:
    of = builders.DashboardLink("Airbag").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    return of.as_dropdown(True).include_vars(True).keep_time(True)


def annotations() -> list[builders.AnnotationQuery]:
    """Releases and what Airbag did, from series: no token is needed, and nothing has to be posted."""
    of = f'{{serving=~"$serving",model_name=~"{variables.EVERY_MODEL}"}}'
    return []


def json_of(page: Page) -> str:
    """As the file is written: sorted, so that a change shows as one."""
    return JSONEncoder(sort_keys=True, indent=2).encode(page.build()) + "\n"
