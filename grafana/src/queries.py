"""Queries that several dashboards share."""

from __future__ import annotations

from grafana.src.house import BAD, BUSY, GOOD, NONE, WARN

BY_MODEL = "max by (serving, model_name)"

HEALTH = (
    f"{BY_MODEL} ("
    '3 * (ALERTS{alertstate="firing",airbag_action="rollback",%(of)s} > 0)'
    " or 3 * (airbag_rollback_needs_human{%(of)s} == 1)"
    ' or 2 * (ALERTS{alertstate="firing",severity="critical",%(of)s} > 0)'
    ' or 1 * (ALERTS{alertstate="firing",severity="warning",%(of)s} > 0)'
    " or 0 * airbag_tfs_default_version{%(of)s})"
)
"""How a model is: the worst of what fires for it. `% {"of": selector}`."""
HEALTH_STATES = ((0, "good", GOOD), (1, "warning", WARN), (2, "critical", BAD), (3, "bad release", BAD))

_STATES = (("START", 1), ("LOADING", 2), ("AVAILABLE", 3), ("UNLOADING", 4), ("END", 5))
VERSIONS = (
    "max by (model_version) ("
    + " or ".join(
        f'{value} * (airbag_tfs_model_version_state{{state="{state}",%(of)s}} == 1)' for state, value in _STATES
    )
    + " or 6 * (airbag_tfs_model_version_error{%(of)s} == 1)"
    + ' or 7 * (count by (model_version) (count_values("model_version", airbag_tfs_default_version{%(of)s})) > 0))'
)
"""What each version of a model does; 7 where clients who name none are answered by it."""
VERSION_STATES = (
    (1, "start", BUSY), (2, "loading", BUSY), (3, "loaded", "light-green"), (4, "unloading", NONE), (5, "gone", NONE),
    (6, "load failed", BAD), (7, "serves", GOOD),
)  # fmt: skip


def of_limit(value: str, limit: str) -> str:
    """How much of its limit each model's worst value takes; of several limits the most patient counts, as in the alerts."""
    return f"{BY_MODEL} ({value}) / ({BY_MODEL} ({limit}) > 0)"
