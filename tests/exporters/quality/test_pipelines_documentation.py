"""The examples of docs/pipelines.md, run against an exporter."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.exporters.processes import Exporter, running
from tests.fakes.binaries import ROOT

PAGE = (ROOT / "docs" / "pipelines.md").read_text()


def example(language: str, containing: str) -> str:
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in text]
    return str(found)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    folder = tmp_path_factory.mktemp("pipelines")
    document = yaml.safe_load(example("yaml", "pipelines:"))
    document["servings"] = [{"name": "main", "targets": [{"name": "a", "grpc": "127.0.0.1:1"}]}]
    (folder / "exporters.yml").write_text(yaml.safe_dump(document))
    with running("quality", folder / "exporters.yml") as running_exporter:
        yield running_exporter


def at(exporter: Exporter, text: str) -> str:
    assert "http://127.0.0.1:9811" in text
    return text.replace("http://127.0.0.1:9811", exporter.url)


def runs(exporter: Exporter, task: str, status: str) -> float | None:
    return exporter.value("airbag_pipeline_task_runs_total", pipeline="features", task=task, status=status)


def last_sync(exporter: Exporter) -> float | None:
    return exporter.value("airbag_pipeline_last_sync_timestamp_seconds", pipeline="features")


def test_the_run_that_curl_reports_is_counted_once(exporter: Exporter) -> None:
    before, rows = runs(exporter, "", "success"), exporter.value("airbag_pipeline_rows_total", pipeline="features")
    for _ in range(2):
        subprocess.run(["sh", "-c", at(exporter, example("sh", "120000"))], check=True, timeout=30, capture_output=True)
    assert before is not None
    assert rows is not None
    assert runs(exporter, "", "success") == before + 1
    assert exporter.value("airbag_pipeline_rows_total", pipeline="features") == rows + 120_000


def test_the_script_tells_how_a_command_ended_and_ends_like_it(exporter: Exporter, tmp_path: Path) -> None:
    script = tmp_path / "report.sh"
    script.write_text(at(exporter, example("sh", "report.sh")))
    good, bad = runs(exporter, "", "success") or 0, runs(exporter, "", "failure") or 0
    errors = exporter.value("airbag_pipeline_log_errors_total", pipeline="features") or 0

    def ended(command: str) -> int:
        return subprocess.run(
            ["sh", script, "features", "sh", "-c", command], cwd=tmp_path, timeout=30, check=False
        ).returncode

    begun = time.time()
    assert ended("echo ERROR one >&2; echo ERROR two >&2") == 0
    assert (last_sync(exporter) or 0) >= int(begun)
    assert ended("exit 3") != 0
    assert (runs(exporter, "", "success"), runs(exporter, "", "failure")) == (good + 1, bad + 1)
    assert exporter.value("airbag_pipeline_log_errors_total", pipeline="features") == errors + 2


def test_airflows_callbacks_report_each_task_and_each_attempt(exporter: Exporter) -> None:
    names: dict[str, Any] = {}
    exec(at(exporter, example("python", "callback")), names)  # noqa: S102 - the example as it stands on the page
    now = datetime.now(UTC)

    def context(attempt: int, task: str) -> dict[str, Any]:
        instance = SimpleNamespace(dag_id="features", task_id=task, try_number=attempt, start_date=now, end_date=now)
        return {"task_instance": instance, "run_id": "scheduled__1", "data_interval_end": now}

    names["default_args"]["on_retry_callback"](context(1, "load"))
    names["default_args"]["on_success_callback"](context(2, "load"))
    names["default_args"]["on_success_callback"](context(2, "load"))
    names["default_args"]["on_failure_callback"](context(1, "unknown"))
    assert (runs(exporter, "load", "failure"), runs(exporter, "load", "success")) == (1, 1)
    assert runs(exporter, "other", "failure") == 1
    assert last_sync(exporter) == pytest.approx(now.timestamp())
