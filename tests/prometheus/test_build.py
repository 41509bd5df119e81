"""The rule files are what `airbag rules build` writes from the configuration and the hand-written alerts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from airbag.errors import ConfigError
from airbag_exporters.quality.rules.build import build, read_alerts
from airbag_exporters.quality.rules.commands import rules
from airbag_exporters.quality.rules.windows import RuleWindows, interval
from tests.fakes.binaries import ROOT, run

ALERTS = ROOT / "prometheus" / "src"
CONFIG = ROOT / "exporters" / "exporters.yml"


def _build(folder: Path, *more: str, config: Path = CONFIG) -> str:
    arguments = ["build", "--config.file", config, "--alerts-folder", ALERTS, "--output-folder", folder, *more]
    return CliRunner().invoke(rules, list(map(str, arguments)), catch_exceptions=False).output


def _config(folder: Path, section: str) -> Path:
    document = yaml.safe_load(CONFIG.read_text())
    document["quality"]["rules"] = yaml.safe_load(section)
    file = folder / "exporters.yml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_the_shipped_files_are_what_the_shipped_configuration_gives() -> None:
    assert "up to date" in _build(ROOT / "prometheus" / "rules", "--check")


def test_a_file_that_was_changed_by_hand_is_named(tmp_path: Path) -> None:
    _build(tmp_path)
    assert "up to date" in _build(tmp_path, "--check")
    with (tmp_path / "drift.yml").open("a") as file:
        file.write("# mine\n")
    (tmp_path / "pipelines.yml").unlink()
    with pytest.raises(ConfigError) as caught:
        _build(tmp_path, "--check")
    assert {problem.path for problem in caught.value.problems} == {"drift.yml", "pipelines.yml"}


def test_promtool_accepts_other_windows(tmp_path: Path) -> None:
    config = _config(tmp_path, "{verdict: 15s, quality: [10m, 1d], drift: [30m, 6h]}")
    output = tmp_path / "rules"
    output.mkdir()
    _build(output, config=config)
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(output.glob("*.yml")))
    names = [rule.get("record", "") for path in output.glob("*.yml") for rule in _rules(path.read_text())]
    assert "model_version:airbag_quality_auc:ratio1d" in names
    assert "model_version_feature:airbag_quality_psi:nats6h" in names
    assert not any(name.endswith(("5m", "15m")) for name in names)


def test_every_window_has_the_same_rules() -> None:
    files = build(RuleWindows(quality=("5m", "1h"), drift=("15m", "6h")), read_alerts(ALERTS))
    for file, one, other in (("quality_windows.yml", "5m", "1h"), ("drift.yml", "15m", "6h")):
        groups = {group["name"]: group["rules"] for group in yaml.safe_load(files[file])["groups"]}
        [first] = [rules for name, rules in groups.items() if name.endswith(f"-{one}")]
        [second] = [rules for name, rules in groups.items() if name.endswith(f"-{other}")]
        # An hour also is how far back a stable version's last value may lie.
        same = [
            {key: re.sub(rf"(?<![(]){one}\b|(?<=[a-z_]){one}\b", other, text) for key, text in rule.items()}
            for rule in first
        ]
        assert same == second


def test_an_alert_on_a_window_that_is_not_configured_is_refused() -> None:
    with pytest.raises(ConfigError, match="model_version:airbag_quality_accuracy:ratio15s, which nothing records"):
        build(RuleWindows(verdict="30s"), read_alerts(ALERTS))


def test_alerts_that_go_to_no_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="goes to no rule file"):
        build(RuleWindows(), {"qualty": ""})


@pytest.mark.parametrize("alert", ["# chance stays", "AirbagAccuracyLow"])
def test_alerts_stand_behind_the_records_as_they_were_written(alert: str) -> None:
    written = "- alert: AirbagAccuracyLow # chance stays\n  expr: model_version:airbag_quality_accuracy:ratio15s < 1\n"
    text = build(RuleWindows(), {"quality": written})["quality.yml"]
    assert alert in text
    assert list(_rules(text))[-1] == yaml.safe_load(written)[0]


@pytest.mark.parametrize(
    "section",
    [
        "{verdict: 15}",
        "{verdict: 1.5m}",
        "{quality: [5m, 300s]}",
        "{quality: [15s]}",
        "{windows: [5m]}",
        "{drift: [0m]}",
    ],
)
def test_windows_that_mean_nothing_are_refused(section: str, tmp_path: Path) -> None:
    config = _config(tmp_path, section)
    with pytest.raises(ConfigError, match=r"quality\.rules"):
        _build(tmp_path, config=config)
    assert not list(tmp_path.glob("drift.yml"))


@pytest.mark.parametrize(("window", "every"), [("15s", "1s"), ("5m", "15s"), ("1h", "60s"), ("1d", "60s")])
def test_a_window_is_looked_at_twenty_times_in_its_length_and_once_a_minute_at_least(window: str, every: str) -> None:
    assert interval(window) == every


def _rules(text: str) -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
