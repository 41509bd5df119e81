"""The shipped Prometheus configuration is accepted, and says what Airbag rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import shipped
from tests.fakes.binaries import RELEASES, ROOT, Release, run

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())


@pytest.mark.parametrize("release", RELEASES)
def test_promtool_accepts_it_with_its_rules_and_targets(release: Release, tmp_path: Path) -> None:
    local = shipped.copied("prometheus", tmp_path, {"/etc/prometheus": str(tmp_path)})
    said = run("promtool", "check", "config", "--lint=all", "--lint-fatal", local / "prometheus.yml", release=release)
    assert "SUCCESS" in said
    assert f"{len(list(shipped.RULES.glob('*.yml')))} rule files found" in said


@pytest.mark.parametrize("job", CONFIG["scrape_configs"], ids=lambda job: str(job["job_name"]))
def test_every_job_has_a_target_file_of_its_own_name_and_a_sample_limit(job: dict[str, Any]) -> None:
    [source] = job["file_sd_configs"]
    name = job["job_name"].removesuffix("-reference")  # a second page of the same processes
    assert source["files"] == [f"/etc/prometheus/targets/{name}.yml"]
    [entry] = yaml.safe_load((ROOT / "prometheus" / "targets" / f"{name}.yml").read_text())
    assert len(entry["targets"]) == 1
    assert job["sample_limit"] >= 50000


def test_what_a_machine_acts_on_is_scraped_and_judged_every_second() -> None:
    assert CONFIG["global"] == {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in CONFIG["scrape_configs"]:
        slow = not job["job_name"].startswith("airbag-") or job["job_name"].endswith(("-reference", "-host"))
        assert ("scrape_interval" in job) == slow


def test_alerts_go_to_the_alertmanagers_that_are_scraped() -> None:
    [alertmanagers] = CONFIG["alerting"]["alertmanagers"]
    [job] = [job for job in CONFIG["scrape_configs"] if job["job_name"] == "alertmanager"]
    assert alertmanagers["file_sd_configs"] == job["file_sd_configs"]
