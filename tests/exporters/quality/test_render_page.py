"""The quality part of /metrics."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airbag.serving.groups import Expectations
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, Layout, ModelLayout, count_predictions
from airbag_exporters.quality.reference.value import Categorical
from airbag_exporters.quality.render import Snapshot, metrics_page, reference_page
from airbag_exporters.quality.render.thresholds import thresholds
from tests.exporters.quality.counted import coded, numeric, predictions_of, reference_of, spec_of

UGLY = 'ü "quoted" 100% \\ and\na line %s %d {x="1"}'
REFERENCE = reference_of(
    {
        "age": numeric([0.0, 1, 2, 9], [1.0, 2.5], missing=1),
        "plan": Categorical(counts={UGLY: 3, "b": 1}, other=2, missing=2),
    },
    score=numeric([0.1, 0.9], [0.5]),
)
_ENDINGS = ("_min", "_max", "_max_nats", "_max_seconds")
KINDS = {
    "churn": spec_of("binary", reference=REFERENCE, segments={"region": (UGLY,)}),
    "animal": spec_of("multiclass", ("cat", UGLY)),
    "price": spec_of("regression", segments={"region": ("north",)}),
    "rank": spec_of("ranking"),
    "words": spec_of("translation"),
}


def snapshot() -> Snapshot:
    """Two versions of a model of each kind."""
    blocks = {}
    for model, spec in KINDS.items():
        for version in ("1", "2"):
            owner = Owner("edge", model, version)
            blocks[owner] = Block(Layout.of(spec, owner))
            blocks[owner].floats += np.arange(len(blocks[owner].floats)) / 7
            blocks[owner].ints += np.arange(len(blocks[owner].ints)) + int(version)
    labels = {("edge", model): Block(ModelLayout.of("edge", model)) for model in KINDS}
    labels["edge", "churn"].count_labels("joined", 5)
    return Snapshot(
        blocks=blocks,
        labels=labels,
        roles={Owner("edge", "churn", "2"): "candidate", Owner("edge", "churn", "1"): "stable"},
        references={Owner("edge", "churn", "1"): REFERENCE, Owner("edge", "churn", "2"): REFERENCE},
        kinds={("edge", "churn"): "binary"},
        expected={("edge", "churn"): thresholds(Expectations(accuracy_min=0.9, label_delay_max="1h"))},
        pending=17,
    )


def page() -> str:
    return b"".join(metrics_page(snapshot())).decode()


@pytest.mark.parametrize("render", [metrics_page, reference_page])
def test_promtool_has_nothing_against_the_pages(render) -> None:
    promtool = shutil.which("promtool")
    assert promtool
    text = b"".join(render(snapshot()))
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize("render", [metrics_page, reference_page])
def test_every_family_has_one_head_with_all_of_its_samples_below(render) -> None:
    heads = []
    for line in b"".join(render(snapshot())).decode().splitlines():
        if line.startswith("# TYPE"):
            heads.append(line.split()[2])
        elif not line.startswith("#"):
            name = line.partition("{")[0].partition(" ")[0]
            assert name in (heads[-1], *(f"{heads[-1]}{end}" for end in ("_bucket", "_sum", "_count")))
    assert len(set(heads)) == len(heads)


def test_all_values_are_read_back_with_their_labels() -> None:
    seen = {}
    for family in text_string_to_metric_families(page()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in seen
            seen[key] = sample.value
    read = [value for (name, labels), value in seen.items() if ("model_name", "animal") in labels]
    owners = [Owner("edge", "animal", version) for version in ("1", "2")]
    blocks = [snapshot().blocks[owner] for owner in owners]
    counted = [*np.concatenate([block.ints for block in blocks]), *np.concatenate([block.floats for block in blocks])]
    assert sorted(read) == sorted([*counted, 0, 0, 0, 0])  # and its labels
    labels = {"serving": "edge", "model_name": "animal", "model_version": "2", "predicted": UGLY}
    assert seen["airbag_quality_predictions_total", frozenset(labels.items())] == 3


def test_what_rules_need_beside_the_counters_is_there() -> None:
    lines = page().splitlines()
    version = 'serving="edge",model_name="churn",model_version='
    assert f'airbag_quality_version_role{{{version}"2",role="candidate"}} 1' in lines
    assert f'airbag_quality_version_role{{{version}"1",role="stable"}} 1' in lines
    assert 'airbag_quality_model_info{serving="edge",model_name="churn",kind="binary"} 1' in lines
    info = f'airbag_quality_reference_info{{{version}"1",ref="{REFERENCE.ref}",sha256="{REFERENCE.sha256}"}} 1'
    assert info in lines
    assert "airbag_quality_pending_predictions{} 17" in lines or "airbag_quality_pending_predictions 17" in lines
    assert 'airbag_quality_labels_total{serving="edge",model_name="churn",result="joined"} 5' in lines
    assert 'airbag_quality_labels_total{serving="edge",model_name="churn",result="expired"} 0' in lines


def test_a_threshold_stands_beside_the_values_and_one_that_the_model_has_not_does_not() -> None:
    labels = '{serving="edge",model_name="churn"}'
    shown = dict(line.rsplit(" ", 1) for line in page().splitlines() if line.partition("{")[0].endswith(_ENDINGS))
    assert shown == {
        f"airbag_quality_accuracy_min{labels}": "0.9",
        f"airbag_quality_accuracy_drop_max{labels}": "0.02",
        f"airbag_quality_labels_min{labels}": "50.0",
        f"airbag_quality_f1_drop_max{labels}": "0.05",
        f"airbag_quality_psi_max{labels}": "0.2",
        f"airbag_quality_ks_max{labels}": "0.2",
        f"airbag_quality_entropy_shift_max_nats{labels}": "0.5",
        f"airbag_quality_missing_ratio_max{labels}": "0.05",
        f"airbag_quality_label_delay_max_seconds{labels}": "3600.0",
    }
    assert "# TYPE airbag_quality_f1_min gauge" in page()


def test_histograms_have_buckets_a_sum_and_a_count() -> None:
    owner = Owner("edge", "words", "1")
    block = Block(Layout.of(KINDS["words"], owner))
    count_predictions(KINDS["words"], block, predictions_of(2, latency=np.array([0.25, 20.0]), predicted=coded()))
    lines = b"".join(metrics_page(Snapshot({owner: block}))).decode().splitlines()
    name, labels = "airbag_quality_client_latency_seconds", 'serving="edge",model_name="words",model_version="1"'
    assert f'{name}_bucket{{{labels},le="0.1"}} 0' in lines
    assert f'{name}_bucket{{{labels},le="10.0"}} 1' in lines
    assert f'{name}_bucket{{{labels},le="+Inf"}} 2' in lines
    assert f"{name}_sum{{{labels}}} 20.25" in lines
    assert f"{name}_count{{{labels}}} 2" in lines


def test_a_process_that_has_seen_nothing_has_a_page_all_the_same() -> None:
    text = b"".join(metrics_page(Snapshot())).decode()
    assert [family.name for family in text_string_to_metric_families(text) if family.samples] == [
        "airbag_quality_pending_predictions"
    ]
    assert b"".join(reference_page(Snapshot())).startswith(b"# HELP airbag_quality_reference_le ")


def test_labels_that_are_no_valid_text_do_not_spoil_the_page() -> None:
    spec = spec_of("multiclass", ("\ud800", "\0", "cat"))
    owner = Owner("edge", "animal", "\0\ud800")
    block = Block(Layout.of(spec, owner))
    count_predictions(spec, block, predictions_of(2, predicted=coded("cat", "\0")))
    lines = b"".join(metrics_page(Snapshot({owner: block}))).decode().splitlines()
    names = 'serving="edge",model_name="animal",model_version="??"'
    assert f'airbag_quality_predictions_total{{{names},predicted="cat"}} 1' in lines
    assert f'airbag_quality_predictions_total{{{names},predicted="?"}} 0' in lines
    assert f'airbag_quality_predictions_total{{{names},predicted="?"}} 1' in lines
    again = Block.from_bytes(block.layout, block.to_bytes())
    assert b"".join(metrics_page(Snapshot({owner: again}))).decode().splitlines() == lines


def test_the_reference_has_the_bins_of_the_counters() -> None:
    lines = b"".join(reference_page(snapshot())).decode().splitlines()
    tail = f'ref="{REFERENCE.ref}"'
    version = 'serving="edge",model_name="churn",model_version="1"'
    name = "airbag_quality_reference_le"
    assert [line for line in lines if line.startswith(f'{name}{{{version},feature="age"')] == [
        f'{name}{{{version},feature="age",{tail},bin="start",prev=""}} 0',
        f'{name}{{{version},feature="age",{tail},bin="00",prev="start"}} 2',
        f'{name}{{{version},feature="age",{tail},bin="01",prev="00"}} 3',
        f'{name}{{{version},feature="age",{tail},bin="02",prev="01"}} 4',
    ]
    counted = {
        line.partition("{")[2].rpartition(" ")[0] for line in page().splitlines() if "quality_feature_le" in line
    }
    referred = {line.partition("{")[2].rpartition(" ")[0] for line in lines if line.startswith(name)}
    churn = {line for line in counted if 'model_name="churn"' in line}
    assert referred == churn


def test_the_reference_tells_edges_categories_and_missing_values() -> None:
    lines = b"".join(reference_page(snapshot())).decode().splitlines()
    version = f'serving="edge",model_name="churn",model_version="2",feature="%s",ref="{REFERENCE.ref}"'
    age, plan, score = version % "age", version % "plan", version % "score"
    edges = [line for line in lines if line.startswith(f"airbag_quality_reference_edge{{{age}")]
    assert [line.rpartition(",")[2] for line in edges] == ['bin="00"} 1.0', 'bin="01"} 2.5', 'bin="02"} +Inf']
    assert f'airbag_quality_reference_category{{{plan},category="other"}} 2' in lines
    assert f'airbag_quality_reference_category{{{plan},category="b"}} 1' in lines
    assert f"airbag_quality_reference_missing_ratio{{{age}}} 0.2" in lines
    assert f"airbag_quality_reference_missing_ratio{{{plan}}} 0.25" in lines
    assert f"airbag_quality_reference_missing_ratio{{{score}}} 0.0" in lines
