"""`airbag exporter quality --aggregate` over two exporters that really count."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exporters.processes import Exporter, command, running
from tests.fakes.wait import until

NDJSON = "application/x-ndjson"
MODELS = """servings:
  - name: main
    targets: [{name: a, grpc: "127.0.0.1:1"}]
    models: [{name: churn, classes: ["no", "yes"], quality: {kind: binary}, expect: {labels_min: 10}}]
"""
ACCURACY = "model_version:airbag_quality_accuracy:ratio1h"
ROWS = "model_version:airbag_quality_labelled:increase1h"


@contextmanager
def counting(folder: Path, name: str) -> Iterator[Exporter]:
    (folder / name).mkdir(exist_ok=True)
    config = folder / name / "exporters.yml"
    config.write_text(MODELS + "quality: {state_folder: state}\n")
    with running("quality", config) as exporter:
        yield exporter


def configured(folder: Path, *replicas: Exporter, more: str = "") -> Path:
    config = folder / "exporters.yml"
    urls = ", ".join(f'"{replica.url}"' for replica in replicas)
    config.write_text(MODELS + f"quality: {{aggregate: {{replicas: [{urls}], interval: 1s{more}}}}}\n")
    return config


def label(exporter: Exporter, first: int, right: int, wrong: int) -> None:
    """Predictions of version 1 that have their label with them."""
    events = [
        {"id": str(first + n), "model_name": "churn", "model_version": 1, "score": 0.9, "predicted": "yes",
         "actual": "yes" if n < right else "no"}
        for n in range(right + wrong)
    ]  # fmt: skip
    body = "\n".join(map(json.dumps, events))
    assert exporter.post("/v1/predictions", body, content_type=NDJSON).status_code == 202


def test_sums_two_exporters_of_which_one_is_killed_and_comes_back(tmp_path: Path) -> None:
    with (
        counting(tmp_path, "one") as one,
        counting(tmp_path, "two") as two,
        running("quality", configured(tmp_path, one, two), "--aggregate") as both,
    ):
        until(lambda: both.get("/-/ready").ok, timeout=30, what="a first round")
        label(one, 0, 30, 0)
        label(two, 1000, 0, 10)
        until(lambda: both.value(ROWS) == 40, timeout=30, what="the labels of both")
        assert both.value(ACCURACY) == 0.75
        two.process.kill()
        up = "airbag_quality_aggregate_replica_up"
        until(lambda: both.value(up, replica=two.url) == 0, timeout=30, what="the death of one")
        assert both.value(up, replica=one.url) == 1
        label(one, 100, 20, 0)
        until(lambda: both.value(ROWS) == 60, timeout=30, what="what the other one goes on counting")
        address = two.url.removeprefix("http://")
        again = subprocess.Popen(
            command("quality", tmp_path / "two" / "exporters.yml", f"--web.listen-address={address}")
        )
        try:
            until(lambda: both.value(up, replica=two.url) == 1, timeout=30, what="its coming back")
            label(two, 1000, 0, 10)  # sent again, for the answer might have been lost
            label(two, 2000, 20, 0)
            until(lambda: both.value(ROWS) == 80, timeout=30, what="what it counts after its restart, and only that")
            assert both.value(ACCURACY) == pytest.approx(70 / 80)
        finally:
            again.terminate()
            again.wait(20)


def test_a_reload_adds_a_replica_and_refuses_to_have_none(tmp_path: Path) -> None:
    with (
        counting(tmp_path, "one") as one,
        counting(tmp_path, "two") as two,
        running("quality", configured(tmp_path, one), "--aggregate") as both,
    ):
        up = "airbag_quality_aggregate_replica_up"
        until(lambda: both.value(up, replica=one.url) == 1, timeout=30, what="the first replica")
        assert both.value(up, replica=two.url) is None
        config = configured(tmp_path, one, two)
        assert both.post("/-/reload").ok
        until(lambda: both.value(up, replica=two.url) == 1, timeout=30, what="the second replica")
        config.write_text(MODELS)
        refused = both.post("/-/reload")
        assert (refused.status_code, "quality.aggregate: is missing" in refused.text) == (500, True)
        assert both.value("airbag_config_last_reload_successful") == 0


def test_without_replicas_it_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "exporters.yml"
    config.write_text(MODELS)
    done = subprocess.run(
        [sys.executable, "-m", "airbag", "exporter", "quality", f"--config.file={config}", "--aggregate"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "quality.aggregate: is missing" in done.stderr
