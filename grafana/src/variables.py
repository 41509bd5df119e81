"""The choices at the top of a dashboard, each narrowed by those before it, and the selectors that they stand in."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common, dashboard

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

ONE = 'serving="$serving",model_name="$model_name"'
"""Selects the chosen model on the chosen serving."""
MANY = 'serving=~"$serving",model_name=~"$model_name"'
"""The same where several may be chosen."""
GROUP = 'serving=~"$serving"'


def datasource() -> builders.DatasourceVariable:
    """First of all: which Prometheus."""
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus")


def serving(*, several: bool = False) -> builders.QueryVariable:
    """The server group of exporters.yml."""
    return _query("serving", "Serving", "label_values(airbag_tfs_up, serving)", several=several)


def model_name(*, several: bool = False) -> builders.QueryVariable:
    """Needs `serving` before it."""
    return _query(
        "model_name", "Model", f"label_values(airbag_tfs_available_versions{{{GROUP}}}, model_name)", several=several
    )


def version(name: str, label: str, first: str) -> builders.QueryVariable:
    """A version of the chosen model; `first` is the gauge whose value is offered first, the newest of the others follow."""
    query = (
        f'query_result(sort_desc(count_values("model_version", {first}{{{ONE}}}) * 0 + 1'
        f" or count by (model_version) (airbag_tfs_model_version_state{{{ONE}}}) * 0))"
    )
    return _query(name, label, query, regex='/model_version="(\\d+)"/')


def window(name: str, label: str, record: str, *, hidden: bool = False) -> builders.QueryVariable:
    """The windows that `rules` in exporters.yml names, read off the records that end in them."""
    metric = "{__name__=~" + f'"{record}[0-9]+[smhd]"' + "}"
    found = _query(name, label, f"label_values({metric}, __name__)", regex=f"/{record}(.+)/")
    found = found.sort(dashboard.VariableSort.NUMERICAL_DESC if hidden else dashboard.VariableSort.DISABLED)
    return found.hide(dashboard.VariableHide.HIDE_VARIABLE) if hidden else found


def verdict() -> builders.QueryVariable:
    """The window that machines act on: longer than the burst beside it."""
    return window("verdict", "Verdict window", "model_version:airbag_tfs_errors_per_request:ratio", hidden=True)


def latency_window() -> builders.QueryVariable:
    """The window of the latency quantiles that are recorded."""
    return window("latency", "Latency window", "model_version:airbag_tfs_request_duration_seconds:p99_", hidden=True)


def quality_window() -> builders.QueryVariable:
    """The windows of quality; the one that machines act on is among them."""
    return window("window", "Window", "model_version:airbag_quality_accuracy:ratio")


def long_window() -> builders.QueryVariable:
    """The windows of what needs more rows than a verdict does."""
    return window("long", "Long window", "model_version:airbag_quality_ece:ratio")


def drift_window() -> builders.QueryVariable:
    """The windows of drift."""
    return window("drift_window", "Drift window", "model_version_feature:airbag_quality_psi:nats")


def of_labels(name: str, label: str, query: str, *, several: bool = False) -> builders.QueryVariable:
    """Any other one, by `label_values(...)`."""
    return _query(name, label, query, several=several)


def _query(name: str, label: str, query: str, *, regex: str = "", several: bool = False) -> builders.QueryVariable:
    made = builders.QueryVariable(name).label(label).query(query).datasource(SOURCE)
    made = made.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.DISABLED)
    made = made.regex(regex) if regex else made.sort(dashboard.VariableSort.NATURAL_ASC)
    if not several:
        return made
    every = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    return made.multi(True).include_all(True).all_value(".+").current(every)
