"""The kinds of panels, each with the house style and nothing that a dashboard could forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.src import variables
from grafana.src.house import BAD, LIMIT, NEUTRAL, NONE, Ask, Column, Levels, mapped, of_row, thresholds


def graph(
    title: str, description: str, unit: str, *asks: Ask, stacked: bool = False, bars: bool = False,
    levels: Levels = (), low: float | None = 0, high: float | None = None, band: tuple[str, str] | None = None,
    links: Sequence[builders.DashboardLink] = (), faint: str = "", calc: str = "lastNotNull",
    span: str = "", interval: str = "",
) -> timeseries.Panel:  # fmt: skip
    """Lines over time. Series whose legend begins with `limit` are dashed red; those that match `faint` are grey.

    `band` names the legends of a lower and an upper bound, between which is filled. `span` shows another time than the
    rest of the page does, `interval` is the least time between two points.
    """
    legend = common_builders.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.TABLE)
    legend = legend.placement(common.LegendPlacement.BOTTOM).calcs([calc, "max"])
    panel = timeseries.Panel().title(title).description(description).unit(unit).datasource(variables.SOURCE)
    panel = (
        panel.targets(list(_queries(asks)))
        .legend(legend)
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    panel = panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    panel = panel.line_width(2).fill_opacity(60 if bars else 8).show_points(common.VisibilityMode.NEVER)
    panel = panel.span_nulls(False).data_links(list(links))
    panel = panel.time_from(span) if span else panel
    panel = panel.interval(interval) if interval else panel
    panel = panel.min(low) if low is not None else panel
    panel = panel.max(high) if high is not None else panel
    if bars:
        panel = panel.draw_style(common.GraphDrawStyle.BARS).interval("1m")  # a bar counts what came in its width
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
        quiet = [
            _value("custom.lineWidth", 0),
            _value("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
        ]
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
    panel = panel.targets(list(_queries([ask], None if sparkline else PromQueryFormat.TIME_SERIES))).reduce_options(
        reduce
    )
    panel = panel.color_mode(
        common.BigValueColorMode.VALUE if levels is NEUTRAL and not mappings else common.BigValueColorMode.BACKGROUND
    )
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
    panel = panel.targets(list(_queries(asks))).merge_values(True).interval("5s")  # a strip of all models is dear
    if mappings:
        panel = panel.mappings(mapped(mappings))
    else:
        panel = panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.CONTINUOUS_BL_PU))
    panel = panel.show_value(common.VisibilityMode.AUTO).row_height(0.8).fill_opacity(80).data_links(list(links))
    panel = panel.legend(common_builders.VizLegendOptions().show_legend(False).display_mode(common.LegendDisplayMode.LIST)
                         .placement(common.LegendPlacement.BOTTOM))  # fmt: skip
    return panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))


def heat(title: str, description: str, unit: str, expr: str) -> heatmap.Panel:
    """A histogram's buckets over time: darker is more."""
    query = prometheus.Dataquery().expr(expr).ref_id("A").datasource(variables.SOURCE).legend_format("{{le}}")
    panel = heatmap.Panel().title(title).description(description).datasource(variables.SOURCE)
    panel = panel.targets([query.range().format(PromQueryFormat.HEATMAP)]).calculate(False)
    panel = panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
    color = (
        heatmap.HeatmapColorOptions()
        .mode(HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .exponent(0.5)
        .steps(32)
        .reverse(False)
        .fill("blue")
    )
    tooltip = heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True)
    return (
        panel.color(color).cell_gap(1).show_legend().tooltip(tooltip).filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def rows(
    title: str, description: str, asks: Sequence[Ask], columns: Sequence[Column], *, sort: str = "", ascending: bool = False,
    empty: str = "", matrix: tuple[str, str] | None = None, labels: Sequence[str] = (), drop: Sequence[str] = (),
) -> table.Panel:  # fmt: skip
    """One row a set of labels, one column a query; `Ask.name` is the column's title. `labels` come first, in this order.

    With `matrix`, (column label, row label), a single query is spread over both instead.
    """
    panel = table.Panel().title(title).description(description).datasource(variables.SOURCE)
    panel = panel.targets(list(_queries(asks, PromQueryFormat.TABLE))).cell_height(common.TableCellHeight.SM)
    panel = panel.no_value(empty) if empty else panel
    for each in columns:
        panel = panel.override_by_name(each.name, _looks(each))
    if matrix:
        across, down = matrix
        options: dict[str, object] = {
            "columnField": across,
            "rowField": down,
            "valueField": "Value",
            "emptyValue": "zero",
        }
        return panel.with_transformation(_transformation("groupingToMatrix", options))
    panel = panel.with_transformation(_transformation("merge", {}))
    values = {f"Value #{ask.name}": ask.name for ask in asks} | ({"Value": asks[0].name} if len(asks) == 1 else {})
    order = {name: index for index, name in enumerate([*labels, *values])}
    options = {
        "excludeByName": dict.fromkeys(("Time", "__name__", *drop), True),
        "renameByName": values,
        "indexByName": order,
    }
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


def _queries(asks: Sequence[Ask], form: PromQueryFormat | None = None) -> list[prometheus.Dataquery]:
    """Over the time shown, or with a `form` of this moment."""
    found = []
    for ask, ref in zip(asks, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strict=False):
        query = prometheus.Dataquery().expr(ask.expr).ref_id(ask.name or ref).datasource(variables.SOURCE)
        query = query.legend_format(ask.legend or "__auto")
        found.append(query.range() if form is None else query.instant().format(form))
    return found


def _value(of: str, value: Any) -> dashboard.DynamicConfigValue:  # Any: whatever the option takes
    return dashboard.DynamicConfigValue(id_val=of, value=value)
