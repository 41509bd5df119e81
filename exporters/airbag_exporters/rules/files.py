"""Which numbers stand in which file, for which window. A new family is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from airbag.rules import RuleSettings, interval
from airbag_exporters.rules import classification, comparison, drift, scores, serving, slo
from airbag_exporters.rules.labels import labels
from airbag_exporters.rules.pipelines import pipelines
from airbag_exporters.rules.predictions import predictions
from airbag_exporters.rules.reference import reference
from airbag_exporters.rules.regression import regression
from airbag_exporters.rules.rule import Group, Record
from airbag_exporters.rules.translation import translation

Family = Callable[[str], list[Record]]

VERDICT: tuple[Family, ...] = (
    comparison.roles,
    classification.verdict,
    comparison.ACCURACY.records,
    comparison.F1.records,
    comparison.release,
)
QUALITY: tuple[Family, ...] = (
    classification.verdict,
    classification.classes,
    scores.auc,
    scores.probabilities,
    regression,
    translation,
    predictions,
    labels,
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


def groups(settings: RuleSettings, written: Mapping[str, str]) -> dict[str, list[Group]]:
    """The groups of every rule file, by its name. `written` are rules that people wrote, by the file that they go to.

    What a machine acts on is evaluated at the profile's pace, in one group with its records; the roles of versions are
    recorded beside the verdict on quality, the others use them.
    """
    pace = settings.pace.interval
    windows = [Group(f"airbag-quality-{each}", interval(each), _records(QUALITY, each)) for each in settings.quality]
    drifts = [Group(f"airbag-drift-{each}", "60s", _records(DRIFT, each)) for each in settings.drift]
    answers = (*serving.answers(settings.verdict), *serving.answers(settings.pace.burst))
    return {
        "serving": [Group("airbag-serving", pace, answers, written.get("serving", ""))],
        "serving_windows": [Group("airbag-serving-windows", "60s", rules=written.get("serving_windows", ""))],
        "slo": [
            Group("airbag-slo-rates", slo.RATES_EVERY, tuple(slo.rates())),
            Group("airbag-slo", slo.JUDGED_EVERY, (*slo.budgets(), *slo.ratios()), written.get("slo", "")),
        ],
        "quality": [Group("airbag-quality", pace, _records(VERDICT, settings.verdict), written.get("quality", ""))],
        "quality_windows": [
            *windows,
            Group("airbag-quality-alerts", "60s", rules=written.get("quality_windows", "")),
        ],
        "drift": [
            Group("airbag-reference", "60s", tuple(reference())),
            *drifts,
            Group("airbag-drift-alerts", "60s", rules=written.get("drift", "")),
        ],
        "pipelines": [Group("airbag-pipelines", "15s", tuple(pipelines()), written.get("pipelines", ""))],
        "host": [Group("airbag-host", "15s", rules=written.get("host", ""))],
        "airbag": [Group("airbag-meta", pace, rules=written.get("airbag", ""))],
    }


def _records(families: Iterable[Family], window: str) -> tuple[Record, ...]:
    return tuple(chain.from_iterable(family(window) for family in families))
