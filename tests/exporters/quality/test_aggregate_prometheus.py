"""Prometheus, set up as the aggregator's page says, takes drift from it and alerts on it by the shipped rules."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.exporters.processes import running
from tests.exporters.quality.fleet_of_two import Replica, reference, spec, version
from tests.exporters.quality.snapshot_server import fake_replica
from tests.fakes.binaries import ROOT, find
from tests.fakes.ports import free_port
from tests.fakes.wait import until

PAGE = (ROOT / "docs" / "quality-aggregator.md").read_text()
SERVINGS = 'servings: [{name: main, targets: [{name: a, grpc: "127.0.0.1:1"}]}]\n'


def job(name: str) -> dict[str, Any]:
    """A scrape job as the page has it."""
    (block,) = (text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "scrape_configs" in text)
    (found,) = (each for each in yaml.safe_load(block)["scrape_configs"] if each["job_name"] == name)
    return dict(found)


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A real one that scrapes the aggregator; its address."""
    (folder / "drift.yml").write_text((ROOT / "prometheus" / "rules" / "drift.yml").read_text().replace("60s", "1s"))
    scrape = {**job("airbag-quality-aggregate"), "static_configs": [{"targets": [target]}]}
    document = {"global": {"scrape_interval": "1s"}, "rule_files": ["drift.yml"], "scrape_configs": [scrape]}
    config, address = folder / "prometheus.yml", f"127.0.0.1:{free_port()}"
    config.write_text(yaml.safe_dump(document))
    command = [
        str(find("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        until(lambda: requests.get(f"http://{address}/-/ready", timeout=5).ok, timeout=60, what="Prometheus")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def asked(address: str, query: str) -> list[dict[str, Any]]:
    answer = requests.get(f"http://{address}/api/v1/query", params={"query": query}, timeout=10)
    return list(answer.json()["data"]["result"])


def test_drift_comes_from_the_aggregator_and_alerts_come_from_the_rules(tmp_path: Path) -> None:
    replicas = [
        Replica([version(spec("binary", "churn", reference(seed), ("no", "yes")), "3", seed, rate=50)], {})
        for seed in (1, 2)
    ]
    config = tmp_path / "exporters.yml"
    with fake_replica(replicas[0].at(0)) as one, fake_replica(replicas[1].at(0)) as two:
        config.write_text(
            SERVINGS + f'quality: {{aggregate: {{replicas: ["{one.url}", "{two.url}"], interval: 1s}}}}\n'
        )
        with (
            running("quality", config, "--aggregate") as both,
            prometheus(tmp_path, both.url.removeprefix("http://")) as address,
        ):
            until(lambda: both.get("/-/ready").ok, timeout=30, what="a first round")
            one.snapshot, two.snapshot = replicas[0].at(600), replicas[1].at(600)
            psi = 'model_version_feature:airbag_quality_psi:nats15m{feature="age"}'
            (found,) = until(lambda: asked(address, psi), timeout=60, what="PSI in Prometheus")
            assert set(found["metric"]) == {"__name__", "serving", "model_name", "model_version", "feature", "ref"}
            alert = 'ALERTS{alertname="AirbagReferenceMismatch"}'
            (raised,) = until(lambda: asked(address, alert), timeout=60, what="an alert that waits")
            assert raised["metric"]["model_name"] == "churn"
            groups = requests.get(f"http://{address}/api/v1/rules", timeout=10).json()["data"]["groups"]
            assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
            assert asked(address, 'count({__name__=~"airbag_quality_.*|process_.*",__name__!~".*aggregate.*"})') == []


@pytest.mark.parametrize("name", ["airbag-quality", "airbag-quality-aggregate"])
def test_prometheus_takes_the_jobs_of_the_page(name: str, tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": [job(name)]}))
    done = subprocess.run([find("promtool"), "check", "config", config], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_dropped_from_the_replicas_are_counters_that_exist() -> None:
    (drop,) = job("airbag-quality")["metric_relabel_configs"]
    names = {
        part.family.name
        for part in version(spec("binary", "churn", reference(1), ("no", "yes")), "3", 1).base.layout.parts
    }
    assert {name for name in names if re.fullmatch(drop["regex"], name)} == {
        "airbag_quality_feature_le_total", "airbag_quality_feature_category_total",
    }  # fmt: skip
