"""`airbag exporter quality` as a process."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from tests.exporters.processes import assert_golden, assert_lints, running, shape
from tests.fakes.wait import until

CONFIG = """servings:
  - name: main
    targets: [{name: a, grpc: "127.0.0.1:1"}]
    models:
      - {name: digits, classes: ["0", "1"], expect: {accuracy_min: 0.85, f1_min: 0.8, label_delay_max: 30m}}
      - {name: unjudged}
      - name: fraud
        classes: ["no", "yes"]
        quality: {kind: binary, reference: reference.json, segments: {region: [eu]}}
      - {name: prices, quality: {kind: regression, segments: {region: [eu]}}}
      - {name: clicks, quality: {kind: ranking}}
      - {name: words, quality: {kind: translation}}
pipelines:
  - {name: features, tasks: [load]}
quality: {pending_max: 100, label_ttl: 1h}
"""
REFERENCE = {
    "format": 1,
    "rows": 10,
    "features": {
        "age": {"kind": "numeric", "edges": [30, 50], "le": [3, 7, 9], "missing": 1, "minimum": 18, "maximum": 80},
        "land": {"kind": "categorical", "counts": {"de": 6, "fr": 3}, "other": 1},
    },
    "score": {"kind": "numeric", "edges": [0.5], "le": [8, 10], "minimum": 0, "maximum": 1},
    "score_edges": [0.2, 0.5, 0.8],
}
OTHERS = [
    {"model_name": "fraud", "model_version": 1, "score": 0.7, "features": {"age": 33, "land": "de"}, "actual": "yes"},
    {"model_name": "fraud", "model_version": 2, "score": 0.2},
    {"model_name": "prices", "model_version": 1, "predicted": 7.5, "actual": 7},
    {"model_name": "clicks", "model_version": 1, "score": 3, "actual": 1},
    {"model_name": "words", "model_version": 1, "predicted": "a cat", "actual": "the cat"},
]
RUN = {"pipeline": "features", "run_id": "1", "status": "success", "started_at": 1, "finished_at": 3, "synced_until": 1}
NDJSON = "application/x-ndjson"
PREDICTIONS = "".join(
    json.dumps({"id": str(n), "model_name": "digits", "model_version": 3, "predicted": n % 2}) + "\n" for n in range(10)
)
LABELS = json.dumps([{"id": str(n), "actual": "1"} for n in range(8)])


def configured(folder: Path, extra: str = "") -> Path:
    (folder / "reference.json").write_text(json.dumps(REFERENCE))
    path = folder / "exporters.yml"
    path.write_text(CONFIG.replace("1h}", f"1h{extra}}}"))
    return path


def test_counts_what_was_right_per_version_and_lints(tmp_path: Path) -> None:
    with running("quality", configured(tmp_path)) as exporter:
        taken = exporter.post("/v1/predictions", PREDICTIONS, content_type=NDJSON)
        assert (taken.status_code, taken.json()) == (202, {"accepted": 10})
        before = {"model_version": "3", "predicted": "1", "actual": "1", "correct": "true"}
        assert exporter.value("airbag_quality_outcomes_total", **before) == 0
        assert exporter.post("/v1/labels", LABELS, content_type="application/json; charset=utf-8").ok
        until(lambda: exporter.value("airbag_quality_outcomes_total", **before) == 4, what="the labels")
        wrong = {"predicted": "0", "actual": "1", "correct": "false"}
        assert exporter.value("airbag_quality_outcomes_total", **wrong) == 4
        assert exporter.value("airbag_quality_predictions_total", model_version="3", predicted="0") == 5
        until(lambda: exporter.value("airbag_quality_pending_predictions") == 2, what="what waits")
        assert exporter.value("airbag_quality_accuracy_min", model_name="digits") == 0.85
        assert exporter.value("airbag_quality_accuracy_min", model_name="unjudged") is None
        assert exporter.post("/v1/predictions", json.dumps(OTHERS), content_type="application/json").ok
        assert exporter.post("/v1/pipeline-runs", json.dumps([RUN]), content_type="application/json").ok
        fraud = {"model_name": "fraud", "model_version": "1", "feature": "age", "bin": "01"}
        until(lambda: exporter.value("airbag_quality_feature_le_total", **fraud) == 1, what="the other models")
        page, references = exporter.get("/metrics").text, exporter.get("/reference").text
    assert_lints(page)
    assert_lints(references)
    assert_golden("quality.prom", shape(page))
    assert_golden("quality_reference.prom", shape(references))


def test_refuses_what_it_cannot_take_and_takes_nothing_of_it(tmp_path: Path) -> None:
    with running("quality", configured(tmp_path)) as exporter:
        broken = exporter.post("/v1/predictions", PREDICTIONS + '{"id": 7}\n', content_type=NDJSON)
        assert broken.status_code == 400
        assert broken.json()["error"].startswith("nothing was taken: line 11, field `id`: ")
        assert exporter.post("/v1/predictions", b" " * (17 << 20), content_type=NDJSON).status_code == 413
        assert exporter.post("/v1/labels", LABELS, content_type="text/csv").status_code == 415
        assert exporter.value("airbag_quality_pending_predictions") == 0


def test_wants_the_token_and_takes_a_new_one_at_a_reload(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with running("quality", configured(tmp_path, ", token: {file: token}")) as exporter:

        def status(given: str) -> int:
            headers = {"content_type": NDJSON, "authorization": given}
            return exporter.post("/v1/predictions", PREDICTIONS, **headers).status_code

        assert (status(""), status("Bearer second"), status("Bearer first")) == (401, 401, 202)
        snapshot = f"{exporter.url}/v1/snapshot"
        assert requests.get(snapshot, timeout=5).status_code == 401
        assert requests.get(snapshot, headers={"authorization": "Bearer first"}, timeout=5).ok
        token.write_text("second\n")
        assert exporter.post("/-/reload").ok
        assert (status("Bearer first"), status("Bearer second")) == (401, 202)


def test_a_reload_keeps_what_waits(tmp_path: Path) -> None:
    path = configured(tmp_path)
    with running("quality", path) as exporter:
        assert "set quality.state_folder" in exporter.log()
        exporter.post("/v1/predictions", PREDICTIONS, content_type=NDJSON)
        path.write_text(path.read_text().replace("pending_max: 100", "pending_max: 4"))
        assert exporter.post("/-/reload").ok
        until(lambda: exporter.value("airbag_quality_pending_predictions") == 4, what="the new limit")
        assert exporter.value("airbag_quality_labels_total", model_name="digits", result="expired") == 6


def test_a_reference_that_is_put_there_later_gives_the_features_their_bins(tmp_path: Path) -> None:
    path = configured(tmp_path)
    reference = tmp_path / "reference.json"
    kept = reference.read_text()
    reference.unlink()
    event = json.dumps([{"model_name": "fraud", "model_version": 1, "score": 0.7, "features": {"age": 33}}])
    bins = {"model_name": "fraud", "feature": "age", "bin": "01"}
    with running("quality", path) as exporter:
        assert exporter.post("/v1/predictions", event, content_type="application/json").ok
        assert exporter.value("airbag_quality_feature_le_total", **bins) is None
        reference.write_text(kept)
        until(lambda: exporter.value("airbag_quality_feature_le_total", **bins) == 0, timeout=30, what="the bins")
        assert exporter.post("/v1/predictions", event, content_type="application/json").ok
        until(lambda: exporter.value("airbag_quality_feature_le_total", **bins) == 1, timeout=30, what="the value")
        wanted = {"model_name": "fraud", "predicted": "yes"}
        assert exporter.value("airbag_quality_predictions_total", **wanted) == 2
