"""Which series there are, and what is kept of them when the process or the configuration changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag.serving.groups import ModelEntry, ServingGroup, Target
from airbag.serving.quality import ModelQuality
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import (
    RESULTS,
    Block,
    Layout,
    ModelLayout,
    count_predictions,
    merged,
    series,
    series_per_version,
)
from airbag_exporters.quality.reference.value import Categorical
from tests.exporters.quality.counted import (
    OWNER,
    Seen,
    block_of,
    classified,
    coded,
    counted,
    numeric,
    predictions_of,
    reference_of,
    spec_of,
)

AGES = numeric([0.0, 100.0], [20.0, 40.0, 60.0])
KINDS = {
    "binary": spec_of("binary", reference=reference_of({"age": AGES, "plan": Categorical(counts={"a": 1})})),
    "multiclass": spec_of("multiclass", ("cat", "dög", "owl"), segments={"region": ("north",)}),
    "regression": spec_of("regression", segments={"region": ("north",)}),
    "ranking": spec_of("ranking"),
    "translation": spec_of("translation"),
}

COMMON = {
    "airbag_quality_predictions_total",
    "airbag_quality_labelled_total",
    "airbag_quality_label_delay_seconds",
    "airbag_quality_client_latency_seconds",
}
DRIFT = {
    "airbag_quality_feature_le_total",
    "airbag_quality_feature_missing_total",
    "airbag_quality_feature_out_of_range_total",
}
SEGMENTS = {"airbag_quality_segment_predictions_total", "airbag_quality_segment_labelled_total"}
CLASSES = {
    "airbag_quality_outcomes_total",
    "airbag_quality_class_total",
    "airbag_quality_prediction_entropy_nats_total",
    "airbag_quality_prediction_entropy_rows_total",
    "airbag_quality_score_le_total",
    "airbag_quality_score_sum_le_total",
    "airbag_quality_scored_total",
    "airbag_quality_squared_error_total",
    "airbag_quality_log_loss_nats_total",
}
FAMILIES = {
    "binary": {*COMMON, *DRIFT, *CLASSES, "airbag_quality_feature_category_total"},
    "multiclass": {*COMMON, *DRIFT, *CLASSES, *SEGMENTS},
    "regression": {
        *COMMON,
        *DRIFT,
        *SEGMENTS,
        "airbag_quality_squared_error_total",
        "airbag_quality_absolute_error_total",
        "airbag_quality_error_total",
        "airbag_quality_target_total",
        "airbag_quality_target_squared_total",
        "airbag_quality_segment_absolute_error_total",
    },
    "ranking": {*COMMON, *DRIFT, "airbag_quality_score_le_total"},
    "translation": {
        *COMMON,
        "airbag_quality_bleu_ngram_match_total",
        "airbag_quality_bleu_ngram_total",
        "airbag_quality_bleu_output_tokens_total",
        "airbag_quality_bleu_reference_tokens_total",
        "airbag_quality_ter_edits_total",
        "airbag_quality_ter_reference_words_total",
        "airbag_quality_ter_sentences_total",
    },
}


def samples(seen: Seen) -> list[str]:
    """The lines of counters."""
    gauges = ("airbag_quality_pending", "#")
    return [line for line in seen.text.splitlines() if not line.startswith(gauges)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_series_of_a_kind_exists_from_the_start_at_0(kind: str) -> None:
    lines = samples(counted(KINDS[kind]))
    names = {line.partition("{")[0] for line in lines}
    ends = ("_bucket", "_sum", "_count")
    assert {
        next((name.removesuffix(end) for end in ends if name.endswith(f"seconds{end}")), name) for name in names
    } == (FAMILIES[kind])
    assert {float(line.rpartition(" ")[2]) for line in lines} == {0.0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_series_that_is_foretold_is_the_number_on_the_page(kind: str) -> None:
    lines = samples(counted(KINDS[kind]))
    assert series_per_version(KINDS[kind]) == len(lines) == len({line.rpartition(" ")[0] for line in lines})


def test_the_series_of_a_configuration_are_foretold_by_model() -> None:
    churn_entry = ModelEntry(name="churn", classes=("no", "yes"), quality=ModelQuality(kind="binary", versions_max=3))
    price_entry = ModelEntry(name="price", quality=ModelQuality(kind="regression"))
    target = Target(name="one", grpc="127.0.0.1:8500")
    group = ServingGroup(name="edge", targets=(target,), models=(churn_entry, price_entry))
    config = ExportersConfig(servings=(group,))
    churn, price = series(config)
    assert (churn.serving, churn.model, churn.versions_max) == ("edge", "churn", 3)
    assert churn.most == 3 * churn.per_version == 3 * series_per_version(spec_of("binary"))
    assert price.per_version == series_per_version(spec_of("regression"))


@pytest.mark.parametrize("kind", KINDS)
def test_counters_survive_their_bytes(kind: str) -> None:
    block = block_of(KINDS[kind])
    block.ints += np.arange(len(block.ints))
    block.floats += np.arange(len(block.floats)) / 3
    again = Block.from_bytes(block.layout, block.to_bytes())
    assert Seen(again).text == Seen(block).text
    again.ints += 1
    assert Seen(again).text != Seen(block).text


def test_what_a_new_class_does_not_touch_goes_on_counting() -> None:
    before, after = spec_of("multiclass", ("cat", "dog")), spec_of("multiclass", ("ant", "cat", "dog"))
    kept = block_of(
        before,
        predictions_of(3, predicted=coded("cat", "dog", "newt"), features={}),
        classified(before, ["cat", "cat", "newt"], ["cat", "dog", "newt"]),
    ).to_bytes()
    seen = Seen(Block.from_bytes(Layout.of(after, OWNER), kept))
    assert seen.by("predicted", "predictions") == {"ant": 0, "cat": 1, "dog": 1, "other": 1}
    assert seen.value("outcomes", predicted="cat", actual="dog") == 1
    assert seen.by("correct", "outcomes", predicted="other", actual="other") == {"true": 1, "false": 0}
    assert seen.by("correct", "labelled") == {"true": 2, "false": 1}
    assert seen.by("kind", "class", **{"class": "ant"}) == {"tp": 0, "predicted": 0, "actual": 0}


def test_new_bins_start_at_0_and_the_rest_goes_on() -> None:
    before = spec_of(reference=reference_of({"age": AGES}))
    after = spec_of(reference=reference_of({"age": numeric([0.0, 100.0], [30.0]), "pay": AGES}))
    batch = predictions_of(2, predicted=coded("yes", "no"), features={"age": np.array([30.0, np.nan])})
    seen = Seen(Block.from_bytes(Layout.of(after, OWNER), block_of(before, batch).to_bytes()))
    assert seen.bins("feature_le", feature="age") == [0, 0]
    assert seen.by("feature", "feature_missing") == {"age": 1, "pay": 0, "score": 0}
    assert seen.by("predicted", "predictions") == {"no": 1, "yes": 1, "other": 0}


def test_bins_go_on_where_only_the_counts_of_the_reference_changed() -> None:
    before = spec_of(reference=reference_of({"age": AGES}))
    after = spec_of(reference=reference_of({"age": AGES.model_copy(update={"le": (5, 6, 7, 8)})}))
    batch = predictions_of(1, features={"age": np.array([30.0])})
    seen = Seen(Block.from_bytes(Layout.of(after, OWNER), block_of(before, batch).to_bytes()))
    assert seen.bins("feature_le", feature="age") == [0, 1, 1, 1]


def test_a_block_of_another_kind_keeps_what_both_have() -> None:
    kept = block_of(spec_of("binary"), predictions_of(2, latency=np.array([1.0, 2.0]))).to_bytes()
    seen = Seen(Block.from_bytes(Layout.of(spec_of("translation"), OWNER), kept))
    assert seen.value("client_latency_seconds_count") == 2
    assert seen.value("predictions", predicted="") == 0


LAYOUT = Layout.of(KINDS["binary"], OWNER)
BYTES = Block(LAYOUT).to_bytes()


@settings(deadline=None)
@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_one_damaged_byte_is_seen(place: int, change: int) -> None:
    damaged = bytearray(BYTES)
    damaged[place] ^= change
    with pytest.raises(ValueError, match="counters"):
        Block.from_bytes(LAYOUT, bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"ABQ1", BYTES[:-1], BYTES + b"\0", b"\0" * 1_000, b"{}" * 50])
def test_bytes_that_are_cut_short_or_none_of_ours_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="counters"):
        Block.from_bytes(LAYOUT, data)


def test_a_copy_counts_on_its_own() -> None:
    spec = spec_of()
    block = block_of(spec)
    copy = block.copy()
    count_predictions(spec, copy, predictions_of(2, predicted=coded("yes", "no"), score=np.array([0.2, 0.7])))
    assert not block.ints.any()
    assert not block.floats.any()
    assert copy.ints.any()
    assert copy.floats.any()


def test_counters_laid_out_for_another_configuration_are_not_counted_into() -> None:
    block = block_of(spec_of("multiclass", ("cat", "dog")))
    with pytest.raises(ValueError, match="edge/churn/3 are laid out for another configuration"):
        count_predictions(spec_of("multiclass", ("cat", "owl")), block, predictions_of(1))
    with pytest.raises(ValueError, match="another configuration"):
        count_predictions(spec_of("multiclass", ("cat", "dog"), versions_max=7), block, predictions_of(1))


def test_a_reference_that_came_meanwhile_does_not_stop_the_counting() -> None:
    block = block_of(spec_of())
    batch = predictions_of(1, score=np.array([0.1]), features={"age": np.array([1.0])})
    count_predictions(spec_of(reference=reference_of({"age": AGES})), block, batch)
    assert Seen(block).bins("feature_le", feature="score")[-1] == 1
    assert Seen(block).all("feature_le", feature="age") == []


def test_only_blocks_with_the_same_series_can_be_added_up() -> None:
    block = block_of(spec_of())
    other_version = Block(Layout.of(spec_of(), Owner("edge", "churn", "4")))
    for stranger in (other_version, block_of(spec_of(segments={"region": ("north",)}))):
        with pytest.raises(ValueError, match="different series"):
            merged([block, stranger])
    with pytest.raises(ValueError, match="not enough values"):
        merged([])


def test_labels_of_a_model_are_counted_by_what_became_of_them() -> None:
    block = Block(ModelLayout.of("edge", "churn"))
    for number, result in enumerate(RESULTS):
        block.count_labels(result, number)
    block.count_labels("expired", 2)
    again = Block.from_bytes(ModelLayout.of("edge", "churn"), block.to_bytes())
    assert again.ints.tolist() == [0, 1, 2, 5]
