"""What the scores say: AUC with its error bound, calibration, log loss and Brier score."""

from __future__ import annotations

from airbag_exporters.rules.promql import VERSION, each_bin, increase, of_kind, root
from airbag_exporters.rules.rule import Record

_REF = f"{VERSION}, ref"


def auc(w: str) -> list[Record]:
    """Trapezoids over the bins, and how far from the exact AUC they can be: half of the pairs that share a bin.

    Rows that were counted in different bins are compared among themselves only. The standard error is Hanley and
    McNeil's (1982).
    """
    cumulative = f"model_version_bin:airbag_quality_score_le:increase{w}"
    own = f"model_version_bin:airbag_quality_score_rows:increase{w}"
    rows = f"model_version_actual:airbag_quality_score_rows:increase{w}"
    ratio = f"model_version:airbag_quality_auc:ratio{w}"
    with_actual = f"{_REF}, actual"
    match = f"on ({_REF}, prev)"
    below = f'(2 * {cumulative}{{actual="0"}} - {match} {own}{{actual="0"}})'
    pairs = f'(sum by ({VERSION}) ({rows}{{actual="1"}} * on ({_REF}) {rows}{{actual="0"}}) > 0)'
    ranked = of_kind("binary|ranking")
    return [
        Record(cumulative, increase(f"{with_actual}, bin, prev", "airbag_quality_score_le_total", w)),
        Record(own, f"clamp_min({each_bin(cumulative, with_actual)}, 0)"),
        Record(rows, f"sum by ({with_actual}) ({own})"),
        Record(ratio, f'0.5 * sum by ({VERSION}) ({own}{{actual="1"}} * {match} {below}) / {pairs} {ranked}'),
        Record(
            f"model_version:airbag_quality_auc:error_bound{w}",
            f'0.5 * sum by ({VERSION}) ({own}{{actual="1"}} * {match} {own}{{actual="0"}}) / {pairs} {ranked}',
        ),
        Record(f"model_version:airbag_quality_auc:stderr{w}", _hanley_mcneil(ratio, rows)),
    ]


def _hanley_mcneil(auc: str, rows: str) -> str:
    positive, negative = (f'sum by ({VERSION}) ({rows}{{actual="{actual}"}})' for actual in "10")
    two_positives = f"{auc} / (2 - {auc})"
    two_negatives = f"2 * {auc} ^ 2 / (1 + {auc})"
    return root(
        f"({auc} * (1 - {auc}) + ({positive} - 1) * ({two_positives} - {auc} ^ 2)"
        f" + ({negative} - 1) * ({two_negatives} - {auc} ^ 2)) / ({positive} * {negative} > 0)"
    )


def probabilities(w: str) -> list[Record]:
    """Of rows that had probabilities. Needs `auc` of the same window before it."""
    own = f"model_version_bin:airbag_quality_score_rows:increase{w}"
    sums = f"model_version_bin:airbag_quality_score_sum_le:increase{w}"
    scored = f"model_version:airbag_quality_scored:increase{w}"
    expected = each_bin(sums, _REF)
    return [
        Record(scored, increase(VERSION, "airbag_quality_scored_total", w)),
        Record(
            f"model_version:airbag_quality_log_loss:nats{w}",
            f"{increase(VERSION, 'airbag_quality_log_loss_nats_total', w)} / ({scored} > 0)",
        ),
        Record(
            f"model_version:airbag_quality_brier:mean{w}",
            f"{increase(VERSION, 'airbag_quality_squared_error_total', w)} / ({scored} > 0)",
        ),
        Record(sums, increase(f"{_REF}, bin, prev", "airbag_quality_score_sum_le_total", w)),
        Record(
            f"model_version:airbag_quality_ece:ratio{w}",
            f'sum by ({VERSION}) (abs({own}{{actual="1"}} - on ({_REF}, prev) ({expected}))) / ({scored} > 0)',
        ),
    ]
