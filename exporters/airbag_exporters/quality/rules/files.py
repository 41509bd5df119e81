"""Which numbers stand in which file, for which window. A new family is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from airbag_exporters.quality.rules import classification, comparison, drift, scores
from airbag_exporters.quality.rules.pipelines import pipelines
from airbag_exporters.quality.rules.predictions import predictions
from airbag_exporters.quality.rules.reference import reference
from airbag_exporters.quality.rules.regression import regression
from airbag_exporters.quality.rules.rule import Group, Record
from airbag_exporters.quality.rules.translation import translation
from airbag_exporters.quality.rules.windows import RuleWindows, interval

Family = Callable[[str], list[Record]]

VERDICT: tuple[Family, ...] = (
    comparison.roles,
    classification.verdict,
    comparison.ACCURACY.records,
    comparison.F1.records,
)
QUALITY: tuple[Family, ...] = (
    classification.verdict,
    classification.classes,
    scores.auc,
    scores.probabilities,
    regression,
    translation,
    predictions,
    comparison.ACCURACY.records,
    comparison.F1.records,
    comparison.AUC.records,
    comparison.MAE.records,
    comparison.ENTROPY.records,
    comparison.CLASS_ENTROPY.records,
)
DRIFT: tuple[Family, ...] = (
    drift.rows,
    drift.distances,
    drift.holes,
    drift.canary,
)


def groups(windows: RuleWindows, alerts: Mapping[str, str]) -> dict[str, list[Group]]:
    """The groups of every rule file, by its name. `alerts` are hand-written alerts, by the file that they go to.

    The roles of versions are recorded beside the verdict, the fastest group; the others use them.
    """
    drifts = [Group(f"airbag-drift-{window}", "60s", _records(DRIFT, window)) for window in windows.drift]
    return {
        "quality": [Group("airbag-quality", "1s", _records(VERDICT, windows.verdict), alerts.get("quality", ""))],
        "quality_windows": [
            Group(f"airbag-quality-{window}", interval(window), _records(QUALITY, window)) for window in windows.quality
        ],
        "drift": [Group("airbag-reference", "60s", tuple(reference()), alerts.get("drift", "")), *drifts],
        "pipelines": [Group("airbag-pipelines", "15s", tuple(pipelines()), alerts.get("pipelines", ""))],
    }


def _records(families: Iterable[Family], window: str) -> tuple[Record, ...]:
    return tuple(chain.from_iterable(family(window) for family in families))
