"""How far what comes in is from the reference, and the candidate's from the stable version's.

Numeric features have bins, categorical ones categories; PSI and Jensen-Shannon see both alike. Beside each distance
stands how large it is by chance alone.
"""

from __future__ import annotations

from airbag_exporters.quality.noise import FLOORS, KS_CRITICAL, ROWS_MIN, STANDARD_ERRORS
from airbag_exporters.rules import reference
from airbag_exporters.rules.promql import CANDIDATE, FEATURE, MODEL, STABLE, VERSION, each_bin, increase, root
from airbag_exporters.rules.rule import Record

_SHARED = f"{MODEL}, feature, ref"


def rows(w: str) -> list[Record]:
    """What was counted. Everything else here rests on it."""
    le, category, share = _le(w), _category(w), _share(w)
    counts = f"clamp_min({each_bin(le, FEATURE)}, 0) or {category}"
    return [
        Record(le, increase(f"{FEATURE}, bin, prev", "airbag_quality_feature_le_total", w)),
        Record(category, increase(f"{FEATURE}, category", "airbag_quality_feature_category_total", w)),
        Record(_rows(w), f"max by ({FEATURE}) ({le}) or sum by ({FEATURE}) ({category})"),
        Record(share, reference.smoothed(counts, f"({_rows(w)} > 0)")),
    ]


def distances(w: str) -> list[Record]:
    """PSI, KS and Jensen-Shannon. PSI without drift is about (bins - 1)(1/n + 1/m) (Yurdakul 2018)."""
    psi, psi_floor = (f"model_version_feature:airbag_quality_psi:{part}{w}" for part in ("nats", "noise_floor"))
    ks, ks_floor = (f"model_version_feature:airbag_quality_ks:{part}{w}" for part in ("distance", "noise_floor"))
    seldom = f"(1 / ({_rows(w)} > 0) + 1 / {reference.ROWS})"
    live = f"{_le(w)} / on ({FEATURE}) group_left () ({_rows(w)} > 0)"
    then = f"{reference.LE} / on ({FEATURE}) group_left () {reference.ROWS}"
    return [
        Record(psi, _psi(_share(w), reference.SHARE, FEATURE)),
        Record(psi_floor, f"({reference.BINS} - 1) * {seldom}"),
        Record(_significant("psi", w), f"({psi} > bool {FLOORS} * {psi_floor}) * ({_rows(w)} > bool {ROWS_MIN})"),
        Record(ks, f"max by ({FEATURE}) (abs({live} - {then}))"),
        Record(ks_floor, f"{KS_CRITICAL} * sqrt{seldom} and {ks}"),
        Record(_significant("ks", w), f"({ks} > bool {ks_floor}) * ({_rows(w)} > bool {ROWS_MIN})"),
        Record(f"model_version_feature:airbag_quality_js:nats{w}", _jensen_shannon(_share(w))),
    ]


def holes(w: str) -> list[Record]:
    """Values that are missing, or beyond what the reference has seen. Neither is in any bin's distance."""
    match = f"on ({VERSION}, feature)"
    missing = increase(f"{VERSION}, feature", "airbag_quality_feature_missing_total", w)
    ratio, more = (f"model_version_feature:airbag_quality_missing:{part}{w}" for part in ("ratio", "difference"))
    seen = f"({_rows(w)} + {match} group_left () {missing})"
    then = f"max by ({FEATURE}) (airbag_quality_reference_missing_ratio)"
    doubt = root(f"{ratio} * (1 - {ratio}) / {seen} + {then} * (1 - {then}) / {reference.ROWS}")
    beyond = increase(f"{VERSION}, feature", "airbag_quality_feature_out_of_range_total", w)
    return [
        Record(ratio, f"{missing} / {match} group_right () ({seen} > 0)"),
        Record(more, f"{ratio} - {then}"),
        Record(_significant("missing", w), f"({more} > bool {STANDARD_ERRORS} * {doubt}) * ({seen} > bool {ROWS_MIN})"),
        Record(
            f"model_version_feature:airbag_quality_out_of_range:ratio{w}",
            f"{beyond} / {match} group_right () ({_rows(w)} > 0)",
        ),
    ]


def canary(w: str) -> list[Record]:
    """PSI between two versions whose references share their bins."""
    candidate, stable = (
        f"model_feature_bin:airbag_quality_{role}_share:smoothed{w}" for role in ("candidate", "stable")
    )
    key = f"{_SHARED}, prev, category"
    few = " + ".join(
        f"1 / (sum by ({_SHARED}) ({_rows(w)} and on ({VERSION}) {role}) > 0)" for role in (CANDIDATE, STABLE)
    )
    return [
        Record(candidate, f"sum by ({key}) ({_share(w)} and on ({VERSION}) {CANDIDATE})"),
        Record(stable, f"sum by ({key}) ({_share(w)} and on ({VERSION}) {STABLE})"),
        Record(f"model_feature:airbag_quality_canary_psi:nats{w}", _psi(candidate, stable, _SHARED)),
        Record(
            f"model_feature:airbag_quality_canary_psi:noise_floor{w}",
            f"(max by ({_SHARED}) ({reference.BINS}) - 1) * ({few})",
        ),
    ]


def _psi(one: str, other: str, by: str) -> str:
    return f"sum by ({by}) (({one} - {other}) * ln({one} / {other}))"


def _jensen_shannon(share: str) -> str:
    """By entropies, of which the reference's is already known: that of the mean less the mean of both."""
    mean = f"(0.5 * ({share} + {reference.SHARE}))"
    own = f"sum by ({FEATURE}) ({share} * ln({share}))"
    return f"clamp_min(0.5 * ({own} + {reference.NEGENTROPY}) - sum by ({FEATURE}) ({mean} * ln{mean}), 0)"


def _le(w: str) -> str:
    return f"model_version_feature_bin:airbag_quality_feature_le:increase{w}"


def _category(w: str) -> str:
    return f"model_version_feature_category:airbag_quality_feature_category:increase{w}"


def _rows(w: str) -> str:
    return f"model_version_feature:airbag_quality_feature_rows:increase{w}"


def _share(w: str) -> str:
    return f"model_version_feature_bin:airbag_quality_feature_share:smoothed{w}"


def _significant(metric: str, w: str) -> str:
    return f"model_version_feature:airbag_quality_{metric}:significant{w}"
