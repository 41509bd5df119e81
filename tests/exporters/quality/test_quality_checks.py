"""What is told of a configuration before it hurts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from airbag.config import parse
from airbag.errors import ConfigError
from airbag_exporters.commands import exporter
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.checks import check_quality

CONFIG = """
servings:
  - name: main
    targets: [{name: t, grpc: "h:1"}]
    models:
      - {name: digits, classes: ["0", "1"], quality: {versions_max: 4}}
      - {name: words, quality: {kind: translation}}
"""


def config(more: str = "") -> ExportersConfig:
    return parse(CONFIG + more, ExportersConfig, source="exporters.yml", base=Path())


def test_the_number_of_series_is_that_of_a_version_times_the_versions() -> None:
    digits, words = check_quality(config())
    assert (digits.model, digits.most) == ("digits", 4 * digits.per_version)
    assert (words.model, words.most) == ("words", 20 * words.per_version)


def test_more_series_than_allowed_are_refused_with_the_model_that_has_most() -> None:
    most = sum(each.most for each in check_quality(config()))
    check_quality(config(f"quality: {{series_max: {most}}}\n"))
    with pytest.raises(ConfigError, match=rf"there may be {most:,} series .*digits on main has most, .* 4 versions"):
        check_quality(config(f"quality: {{series_max: {most - 1}}}\n"))


def test_a_translation_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"models\[1\].quality.kind: needs sacrebleu, .*tfs-airbag\[translation\]"):
        check_quality(config())


def test_the_command_prints_the_number_of_series(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text(CONFIG)
    done = CliRunner().invoke(exporter, ["quality", f"--config.file={path}", "--config.check"])
    digits, words = check_quality(config())
    assert f"main/digits: {digits.most:,} ({digits.per_version:,} a version, 4 versions at a time)" in done.output
    assert f"in all {digits.most + words.most:,}; quality.series_max is 200,000" in done.output


def test_aggregating_needs_replicas(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text(CONFIG)
    done = CliRunner().invoke(exporter, ["quality", "--aggregate", f"--config.file={path}", "--config.check"])
    assert isinstance(done.exception, ConfigError)
    assert "quality.aggregate: is missing" in str(done.exception)


def test_a_file_that_is_named_twice_is_refused() -> None:
    files = "quality: {files: [{path: a, kind: labels}, {path: a, kind: predictions}]}\n"
    with pytest.raises(ConfigError, match="quality: names a file twice"):
        config(files)
