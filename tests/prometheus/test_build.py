"""The rule files are what `airbag rules build` writes from the configuration and the hand-written alerts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from airbag.errors import ConfigError
from airbag.rules import RuleSettings, interval
from airbag_exporters.rules.build import build, read_written, with_pace
from airbag_exporters.rules.commands import rules
from tests.fakes.binaries import ROOT, run

SOURCE = ROOT / "prometheus" / "src"
PROMETHEUS = ROOT / "prometheus" / "prometheus.yml"
CONFIG = ROOT / "exporters" / "exporters.yml"
SOURCES = ROOT / "grafana" / "provisioning" / "datasources" / "airbag.yml"


def _build(
    folder: Path, *more: str, config: Path = CONFIG, prometheus: Path = PROMETHEUS, sources: Path = SOURCES
) -> str:
    arguments = ["build", "--config.file", config, "--source-folder", SOURCE, "--output-folder", folder, *more]
    arguments += ["--prometheus.file", prometheus, "--datasource.file", sources]
    return CliRunner().invoke(rules, list(map(str, arguments)), catch_exceptions=False).output


def _config(folder: Path, section: str) -> Path:
    document = yaml.safe_load(CONFIG.read_text())
    document["rules"] = yaml.safe_load(section)
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
    assert {Path(problem.path).name for problem in caught.value.problems} == {"drift.yml", "pipelines.yml"}


def test_promtool_accepts_other_windows(tmp_path: Path) -> None:
    config = _config(tmp_path, "{quality: [10m, 1d], drift: [30m, 6h]}")
    output = tmp_path / "rules"
    output.mkdir()
    _build(output, config=config)
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(output.glob("*.yml")))
    names = [rule.get("record", "") for path in output.glob("*.yml") for rule in _rules(path.read_text())]
    assert "model_version:airbag_quality_auc:ratio1d" in names
    assert "model_version_feature:airbag_quality_psi:nats6h" in names
    assert not any("quality" in name and name.endswith(("5m", "15m")) for name in names)


def test_every_window_has_the_same_rules() -> None:
    files = build(RuleSettings(quality=("5m", "1h"), drift=("15m", "6h")), read_written(SOURCE))
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
    written = "- alert: A\n  expr: model_version:airbag_quality_accuracy:ratio15m < 1\n"
    with pytest.raises(ConfigError, match="model_version:airbag_quality_accuracy:ratio15m, which nothing records"):
        build(RuleSettings(), {"quality_windows": written})


def test_a_token_that_there_is_not_is_refused_and_the_others_are_filled_in() -> None:
    with pytest.raises(ConfigError, match=r"quality.yml: names \$\{windw\}, which there is not"):
        build(RuleSettings(), {"quality": "- alert: A\n  expr: airbag_x[${windw}] > 1\n"})
    text = build(RuleSettings(profile="relaxed"), {"quality": "- alert: A\n  expr: airbag_x[${window}] > 1\n"})
    assert "expr: airbag_x[30s] > 1" in text["quality.yml"]


def test_the_profile_sets_the_pace_of_what_a_machine_acts_on() -> None:
    for profile, every, hold in (("fast", "1s", "2s"), ("relaxed", "5s", "5s")):
        settings = RuleSettings(profile=profile)  # type: ignore[arg-type]
        files = build(settings, read_written(SOURCE))
        for text in files.values():
            for group in yaml.safe_load(text)["groups"]:
                for rule in group["rules"]:
                    if rule.get("labels", {}).get("airbag_action") == "rollback":
                        assert (group["interval"], rule["for"]) == (every, hold)
        pace = yaml.safe_load(with_pace(settings, PROMETHEUS.read_text()))
        assert pace["global"] == {"scrape_interval": every, "evaluation_interval": every}
        assert {job.get("scrape_interval") for job in pace["scrape_configs"]} == {None, "5s", "15s"}


def test_the_relaxed_profile_leaves_nothing_of_the_fast_one() -> None:
    files = build(RuleSettings(profile="relaxed"), read_written(SOURCE))
    for name in ("serving.yml", "quality.yml"):
        assert not re.findall(r"15s|15 s|\b2s\b|\$\{", files[name])


def test_only_the_intervals_of_prometheus_yml_and_of_grafanas_data_source_are_touched(tmp_path: Path) -> None:
    prometheus, sources, output = tmp_path / "prometheus.yml", tmp_path / "sources.yml", tmp_path / "rules"
    prometheus.write_text(PROMETHEUS.read_text())
    sources.write_text(SOURCES.read_text())
    output.mkdir()
    config = _config(tmp_path, "{profile: relaxed}")
    said = _build(output, config=config, prometheus=prometheus, sources=sources)
    assert f"  {prometheus}\n" in said
    assert f"  {sources}\n" in said
    assert _changed(PROMETHEUS, prometheus) == [
        ("  scrape_interval: 1s", "  scrape_interval: 5s"),
        ("  evaluation_interval: 1s", "  evaluation_interval: 5s"),
    ]
    assert _changed(SOURCES, sources) == [("      timeInterval: 1s", "      timeInterval: 5s")]


def _changed(one: Path, other: Path) -> list[tuple[str, str]]:
    pairs = zip(one.read_text().splitlines(), other.read_text().splitlines(), strict=True)
    return [(before, after) for before, after in pairs if before != after]


def test_without_grafana_the_rules_are_written_all_the_same(tmp_path: Path) -> None:
    assert "files written" in _build(tmp_path, sources=tmp_path / "gone.yml")


def test_alerts_that_go_to_no_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="goes to no rule file"):
        build(RuleSettings(), {"qualty": ""})


@pytest.mark.parametrize("alert", ["# chance stays", "AirbagAccuracyLow"])
def test_alerts_stand_behind_the_records_as_they_were_written(alert: str) -> None:
    written = "- alert: AirbagAccuracyLow # chance stays\n  expr: model_version:airbag_quality_accuracy:ratio15s < 1\n"
    text = build(RuleSettings(), {"quality": written})["quality.yml"]
    assert alert in text
    assert list(_rules(text))[-1] == yaml.safe_load(written)[0]


@pytest.mark.parametrize(
    "section",
    [
        "{profile: slow}",
        "{quality: [1.5m]}",
        "{drift: []}",
        "{quality: [5m, 300s]}",
        "{quality: [15s]}",
        "{windows: [5m]}",
        "{drift: [0m]}",
    ],
)
def test_windows_that_mean_nothing_are_refused(section: str, tmp_path: Path) -> None:
    config = _config(tmp_path, section)
    with pytest.raises(ConfigError, match=r"rules"):
        _build(tmp_path, config=config)
    assert not list(tmp_path.glob("drift.yml"))


@pytest.mark.parametrize(("window", "every"), [("15s", "1s"), ("5m", "15s"), ("1h", "60s"), ("1d", "60s")])
def test_a_window_is_looked_at_twenty_times_in_its_length_and_once_a_minute_at_least(window: str, every: str) -> None:
    assert interval(window) == every


def _rules(text: str) -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
