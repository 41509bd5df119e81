"""The references that the replicas show, as one, and whether they agree."""

from __future__ import annotations

from airbag_exporters.quality.noise import SMOOTHING
from airbag_exporters.rules.promql import FEATURE, VERSION, each_bin
from airbag_exporters.rules.rule import Record

BINS = "model_version_feature:airbag_quality_reference:bins"
ROWS = "model_version_feature:airbag_quality_reference:rows"
LE = "model_version_feature_bin:airbag_quality_reference:le"
SHARE = "model_version_feature_bin:airbag_quality_reference:share"
NEGENTROPY = "model_version_feature:airbag_quality_reference:negentropy"

_CATEGORY = "model_version_feature_category:airbag_quality_reference:rows"


def smoothed(counts: str, rows: str) -> str:
    """Shares with half a row more in every bin or category, so that an empty one gives no infinite logarithm."""
    return f"(({counts}) + {SMOOTHING}) / on ({FEATURE}) group_left () ({rows} + on ({FEATURE}) {SMOOTHING} * {BINS})"


def reference() -> list[Record]:
    """Every replica shows the same reference, which a join would find twice; hence `max`."""
    return [
        Record(LE, f"max by ({FEATURE}, bin, prev) (airbag_quality_reference_le)"),
        Record(_CATEGORY, f"max by ({FEATURE}, category) (airbag_quality_reference_category)"),
        Record(ROWS, f"max by ({FEATURE}) ({LE}) or sum by ({FEATURE}) ({_CATEGORY})"),
        Record(BINS, f'count by ({FEATURE}) ({LE}{{bin!="start"}}) or count by ({FEATURE}) ({_CATEGORY})'),
        Record(SHARE, smoothed(f"{each_bin(LE, FEATURE)} or {_CATEGORY}", ROWS)),
        Record(NEGENTROPY, f"sum by ({FEATURE}) ({SHARE} * ln({SHARE}))"),
        Record("model_version_feature:airbag_quality_reference:mismatch", _mismatch()),
    ]


def _mismatch() -> str:
    """1 where replicas count a version into different bins, or show different counts for the same bins."""
    bins = f"{LE} - min by ({FEATURE}, bin, prev) (airbag_quality_reference_le)"
    categories = f"{_CATEGORY} - min by ({FEATURE}, category) (airbag_quality_reference_category)"
    counted = (
        f'count by ({FEATURE}) (airbag_quality_feature_le_total{{bin="start"}}'
        ' or airbag_quality_feature_category_total{category="other"})'
    )
    several = f"count by ({VERSION}, feature) ({counted}) > bool 1"
    by_bins = f"{counted} * 0 + on ({VERSION}, feature) group_left () ({several})"
    by_counts = f"max by ({FEATURE}) ({bins} or {categories}) > bool 0"
    return f'max by ({FEATURE}) (({by_counts}) or label_replace({by_bins}, "differ", "bins", "feature", ".*"))'
