"""How right one model is, and whether its inputs still look like what it was trained on."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask, Column
from grafana.src.page import Built, Page
from grafana.src.panels import graph, number, rows

_OF = variables.ONE
_NOW = f'{_OF},model_version="$model_version"'
_FEATURE = f'{_NOW},feature="$feature"'
_V, _F, _M = "model_version:airbag_quality_", "model_version_feature:airbag_quality_", "model:airbag_quality_"

_BIN = "model_version_bin:airbag_quality_score"
_SCORED = f"sum by (prev) ({_BIN}_rows:increase$long{{{_NOW}}})"
_RIGHT = f'sum by (prev) ({_BIN}_rows:increase$long{{{_NOW},actual="1"}})'
_SUMS = f"{_BIN}_sum_le:increase$long{{{_NOW}}}"
_STATED = (
    f"sum by (prev) ({_SUMS} - on (serving, model_name, model_version, ref, prev) "
    f'label_replace({_SUMS}, "prev", "$1", "bin", "(.*)"))'
)
"""Rows by the bin of their score, those of them that were right, and the sum of their scores; a bin is named by the one before it."""


def _limit(name: str, choose: str = "max") -> Ask:
    return Ask(f"{choose}({name}{{{_OF}}})", "limit")


def page() -> Page:
    made = Page(
        "airbag-quality", "Airbag / Quality", "How right a model is, by labels that came back, and how its inputs and answers moved.",
        [variables.datasource(), variables.serving(), variables.model_name(),
         variables.version("model_version", "Version", "airbag_tfs_default_version"),
         variables.quality_window(), variables.long_window(), variables.drift_window(),
         variables.of_labels("feature", "Feature", f"label_values({_F}reference:rows{{{_NOW}}}, feature)")],
        marks=_OF,
    )  # fmt: skip
    made.add(
        3, house.STRIP,
        _now("Accuracy", "Share of labelled answers that were right. Good: above accuracy_min, and as in the version before.",
             "percentunit", "accuracy:ratio$window"),
        _now("Macro F1", "Mean over the classes of F1. Good: above f1_min; far below accuracy, rare classes suffer.",
             "percentunit", "f1_macro:ratio$window"),
        _now("AUC", "Chance that a positive row is scored above a negative one; for models of two classes. Good: near 1.",
             "percentunit", "auc:ratio$long", empty="two classes only"),
        _now("ECE", "How far stated probabilities are from how often they are right. Good: near 0; compare it with itself.",
             "percentunit", "ece:ratio$long"),
        _now("Log loss", "Mean of -ln of the probability of what was true. Good: low, and no step at a release.", "none", "log_loss:nats$long"),
        _now("Labelled rows", "Rows behind these numbers. Good: at least labels_min in the window that machines act on.", "short",
             "labelled:increase$window"),
        _now("Label delay", "Nine in ten labels came within this time. Good: below label_delay_max.", "s", "label_delay_seconds:p90_$long"),
        number("Drifted features", "Features beyond psi_max by more than chance. Good: 0.", "short",
               Ask(f"count(({_F}psi:nats$drift_window{{{_NOW}}} > on () group_left () max(airbag_quality_psi_max{{{_OF}}})) "
                   f"and {_F}psi:significant$drift_window{{{_NOW}}} == 1) or vector(0)"), house.ZERO_IS_GOOD),
    )  # fmt: skip
    _right(made)
    _compared(made)
    _calibration(made)
    _drift(made)
    _labels(made)
    _other_kinds(made)
    return made


def _now(title: str, description: str, unit: str, record: str, *, empty: str = "no labels") -> Built:
    return number(title, description, unit, Ask(f"max({_V}{record}{{{_NOW}}})"), empty=empty)


def _right(made: Page) -> None:
    made.row("How right")
    made.add(
        8, house.GRAPH,
        graph("Accuracy by version", "Share of labelled answers that were right. Good: above the dashed line.", "percentunit",
              Ask(f"{_V}accuracy:ratio$window{{{_OF}}}", "{{model_version}}"), _limit("airbag_quality_accuracy_min", "min"), high=1),
        graph("Macro F1 by version", "Good: above the dashed line.", "percentunit",
              Ask(f"{_V}f1_macro:ratio$window{{{_OF}}}", "{{model_version}}"), _limit("airbag_quality_f1_min", "min"), high=1),
        graph("AUC by version", "For models of two classes. Good: near 1 and no step at a release.", "percentunit",
              Ask(f"{_V}auc:ratio$long{{{_OF}}}", "{{model_version}}"), high=1),
    )  # fmt: skip
    made.add(
        12, 11,
        rows("Confusion matrix", "Labelled rows of the chosen version by actual class (down) and predicted class (across). Good: "
             "all on the diagonal.",
             [Ask(f"round(sum by (actual, predicted) (increase(airbag_quality_outcomes_total{{{_NOW}}}[$long])))", name="Rows")],
             [], matrix=("predicted", "actual")),
        rows("Classes", "Precision, recall and F1 of each class of the chosen version. Good: no class far below the others.",
             [Ask(f"max by (class) (model_version_class:airbag_quality_{each}$long{{{_NOW}}})", name=name)
              for each, name in (("actual:increase", "Rows"), ("precision:ratio", "Precision"), ("recall:ratio", "Recall"),
                                 ("f1:ratio", "F1"))],
             [Column("Rows", "short", decimals=0), *(_bar(each) for each in ("Precision", "Recall", "F1"))],
             labels=["class"], sort="class", ascending=True),
    )  # fmt: skip


def _bar(name: str, color: str = house.BUSY) -> Column:
    return Column(name, "percentunit", ((None, color),), gauge=True)


def _compared(made: Page) -> None:
    difference = f"{_M}accuracy:difference$window{{{_OF}}}"
    error = f"{_M}accuracy:difference_stderr$window{{{_OF}}}"
    made.row("The version that serves against the one before it")
    made.add(
        8, house.GRAPH,
        graph("Accuracy, difference", "Serving version minus the one before, with the band that chance explains (three standard "
              "errors). Good: 0 lies in the band. Wholly below 0 the new version is worse.", "percentunit",
              Ask(difference, "difference"), Ask(f"{difference} - 3 * {error}", "lowest"), Ask(f"{difference} + 3 * {error}", "highest"),
              low=None, band=("lowest", "highest")),
        graph("Accuracy, in standard errors", "The same difference in standard errors. Good: above -3; below, chance does not "
              "explain it.", "none", Ask(f"{_M}accuracy:zscore$window{{{_OF}}}", "z"),
              levels=((None, house.BAD), (-3, "transparent")), low=None),
        graph("Macro F1, difference", "Serving version minus the one before. Good: near 0.", "percentunit",
              Ask(f"{_M}f1_macro:difference$window{{{_OF}}}", "difference"), low=None),
    )  # fmt: skip


def _calibration(made: Page) -> None:
    made.row("Calibration and certainty")
    made.add(
        8, 9,
        rows("Reliability", "Rows by the probability that the model stated: how sure it was, and how often it was right. Good: both "
             "bars alike in each row.",
             [Ask(_SCORED, name="Rows"), Ask(f"{_STATED} / ({_SCORED} > 0)", name="Stated"), Ask(f"{_RIGHT} / ({_SCORED} > 0)", name="Right")],
             [Column("Rows", "short", decimals=0), _bar("Stated"), _bar("Right", house.GOOD)], labels=["prev"], drop=["prev"],
             sort="Stated", ascending=True),
        graph("Calibration error", "ECE: mean gap between stated probability and share of right answers. Good: low and steady.",
              "percentunit", Ask(f"{_V}ece:ratio$long{{{_OF}}}", "{{model_version}}")),
        graph("Entropy of predictions", "How unsure the model is (mean over its answers), and how mixed the predicted classes are. "
              "Good: no step. The mix falls to 0 when one class is predicted for everything.", "none",
              Ask(f"{_V}prediction_entropy:mean_nats$long{{{_OF}}}", "unsure, {{model_version}}"),
              Ask(f"{_V}prediction_class_entropy:nats$long{{{_OF}}}", "mix, {{model_version}}")),
    )  # fmt: skip


def _drift(made: Page) -> None:
    psi, ks = f"{_F}psi:nats$drift_window{{{_NOW}}}", f"{_F}ks:distance$drift_window{{{_NOW}}}"
    live, reference = (
        "model_version_feature_bin:airbag_quality_feature_share:smoothed$drift_window",
        "model_version_feature_bin:airbag_quality_reference:share",
    )
    made.row("Drift: live inputs against the reference of the version")
    made.add(
        12, 11,
        rows("Features, worst first", "Drift of each feature. PSI counts as drift beyond psi_max and beyond chance (three noise "
             "floors). Good: PSI below 0.1, no feature marked.",
             [Ask(f"max by (feature) ({psi})", name="PSI"),
              Ask(f"max by (feature) ({psi}) / on () group_left () max(airbag_quality_psi_max{{{_OF}}})", name="of limit: PSI"),
              Ask(f"max by (feature) ({_F}psi:significant$drift_window{{{_NOW}}})", name="Beyond chance"),
              Ask(f"max by (feature) ({ks})", name="KS"),
              Ask(f"max by (feature) ({_F}missing:ratio$drift_window{{{_NOW}}})", name="Missing"),
              Ask(f"max by (feature) ({_F}out_of_range:ratio$drift_window{{{_NOW}}})", name="Out of range")],
             [Column("PSI", "none", decimals=3), Column("of limit: PSI", "percentunit", house.OF_LIMIT, gauge=True),
              Column("Beyond chance", mappings=((1, "yes", house.DRIFT), (0, "no", house.NONE))), Column("KS", "none", decimals=3),
              Column("Missing", "percentunit", decimals=1), Column("Out of range", "percentunit", decimals=1)],
             labels=["feature"], sort="of limit: PSI"),
        rows("Reference against live: $feature", "Share of rows in each bin of the chosen feature, in training and now; bins are "
             "quantiles of the reference. Good: both bars alike in each row.",
             [Ask(f'max by (prev) (label_replace(airbag_quality_reference_edge{{{_FEATURE}}}, "prev", "$1", "bin", "(.*)"))', name="From"),
              Ask(f"max by (prev, category) ({reference}{{{_FEATURE}}})", name="Reference"),
              Ask(f"max by (prev, category) ({live}{{{_FEATURE}}})", name="Live")],
             [Column("From", "none", decimals=3), _bar("Reference", house.NONE), _bar("Live", house.DRIFT)],
             labels=["prev", "category"], sort="prev", ascending=True),
    )  # fmt: skip
    made.add(
        8, house.GRAPH,
        graph("PSI of $feature", "Population stability index against the reference, and what chance alone gives. Good: below the dashed "
              "line.", "none", Ask(f"{_F}psi:nats$drift_window{{{_FEATURE}}}", "PSI"),
              Ask(f"{_F}psi:noise_floor$drift_window{{{_FEATURE}}}", "chance"), _limit("airbag_quality_psi_max")),
        graph("KS of $feature", "Kolmogorov-Smirnov distance: the largest gap between the cumulative shares. Good: below the dashed line.",
              "none", Ask(f"{_F}ks:distance$drift_window{{{_FEATURE}}}", "KS"),
              Ask(f"{_F}ks:noise_floor$drift_window{{{_FEATURE}}}", "chance"), _limit("airbag_quality_ks_max")),
        graph("Missing values, worst five", "Share of rows without a value, by feature. Good: as in the reference.", "percentunit",
              Ask(f"topk(5, max by (feature) ({_F}missing:ratio$drift_window{{{_NOW}}}))", "{{feature}}"),
              _limit("airbag_quality_missing_ratio_max")),
    )  # fmt: skip


def _labels(made: Page) -> None:
    made.row("Labels")
    made.add(
        8, house.GRAPH,
        graph("Label delay", "Nine in ten of the labels that came were younger. Good: below the dashed line.", "s",
              Ask(f"{_V}label_delay_seconds:p90_$long{{{_OF}}}", "{{model_version}}"), _limit("airbag_quality_label_delay_max_seconds")),
        graph("Labelled share", "Labels that came, as a share of the predictions made. Good: steady.", "percentunit",
              Ask(f"{_V}labelled_per_prediction:ratio$long{{{_OF}}}", "{{model_version}}")),
        graph("Waiting for labels", "Predictions that wait for their label. Good: steady.", "short",
              Ask("sum(airbag_quality_pending_predictions)", "waiting")),
    )  # fmt: skip


def _other_kinds(made: Page) -> None:
    made.row("Regression and translation")
    made.add(
        8, house.GRAPH,
        graph("Mean absolute error", "For regression, in the unit of the target. Good: low, and no step at a release.", "none",
              Ask(f"{_V}mae:mean$long{{{_OF}}}", "MAE {{model_version}}"), Ask(f"{_V}rmse:root$long{{{_OF}}}", "RMSE {{model_version}}")),
        graph("Bias", "For regression: mean of predicted minus actual. Good: near 0.", "none",
              Ask(f"{_V}bias:mean$long{{{_OF}}}", "{{model_version}}"), low=None),
        graph("BLEU", "For translation: corpus BLEU, 0 to 100. Good: high, and no step at a release.", "none",
              Ask(f"{_V}bleu:score$long{{{_OF}}}", "{{model_version}}"), high=100),
    )  # fmt: skip
