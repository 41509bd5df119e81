"""The variants of docs/examples: each is the shipped file but for what it is there for, and fits to the others."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from airbag.cli import airbag
from airbag.config import replace_tokens
from airbag_exporters.config import Limits, load_exporters
from airbag_exporters.quality.client import QualityClient
from tests.fakes import exported, promql, shipped
from tests.fakes.binaries import RELEASES, ROOT, Release, run
from tests.fakes.dashboards import dashboards

EXAMPLES = ROOT / "docs" / "examples"
HA, LONG_TERM = EXAMPLES / "ha", EXAMPLES / "long-term"

DEFAULTS = {
    "AIRBAG_EXPORTERS_FILE": "./exporters/exporters.yml",
    "AIRBAG_POLICY_FILE": "./alertmanager/policy.yml",
    "AIRBAG_ALERTMANAGER_FILE": "./alertmanager/alertmanager.yml",
    "AIRBAG_PROMETHEUS_FILE": "./prometheus/prometheus.yml",
    "AIRBAG_TARGETS": "./prometheus/targets",
    "AIRBAG_DATASOURCES": "./grafana/provisioning/datasources",
}
"""What docker-compose.yml takes where an environment file names nothing."""

ALLOWED = {
    "ha/exporters.yml": {"alerts.alertmanager_urls[1]", "quality.redis", "quality.state_folder"},
    "ha/targets/airbag-quality.yml": {"[0].targets[1]"},
    "ha/targets/airbag-receiver.yml": {"[0].targets[1]"},
    "ha/targets/alertmanager.yml": {"[0].targets[1]"},
    "long-term/prometheus.yml": {"remote_write"},
    "long-term/datasources/airbag.yml": {"datasources[2]"},
}
"""Where a variant may differ, and does. Files that are not named here are the shipped ones to the byte."""

_OTHERS = {"ha/compose.env", "ha/balancer.conf", "ha/policy.yml", "ha/alertmanager.yml", "long-term/compose.env"}

UNSENT = {
    "airbag_tfs_request_duration_seconds_bucket": "the heat maps of latency; p50 and p99 are records",
}
"""What a panel asks for and is not kept for long, and what is there instead."""


def environment(example: str) -> dict[str, str]:
    """An environment file, over the defaults."""
    lines = (EXAMPLES / example / "compose.env").read_text().splitlines()
    return DEFAULTS | dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def shipped_for(variant: Path) -> Path:
    """The file whose variant this is."""
    parts = variant.relative_to(EXAMPLES).parts[1:]
    home = {"targets": "prometheus/targets", "datasources": "grafana/provisioning/datasources"}
    if len(parts) > 1:
        return ROOT / home[parts[0]] / parts[1]
    return ROOT / {"exporters.yml": "exporters", "prometheus.yml": "prometheus"}[parts[0]] / parts[0]


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """The places where two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list):
        for at in range(max(len(one), len(other))):
            yield from differences(*(each[at] if at < len(each) else None for each in (one, other)), f"{place}[{at}]")
    elif one != other:
        yield place


VARIANTS = sorted(
    path
    for example in (HA, LONG_TERM)
    for path in example.rglob("*")
    if path.is_file() and str(path.relative_to(EXAMPLES)) not in _OTHERS
)
each_variant = pytest.mark.parametrize("path", VARIANTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
each_example = pytest.mark.parametrize("example", ["ha", "long-term"])
each_release = pytest.mark.parametrize("release", RELEASES)


@each_variant
def test_a_variant_differs_from_the_shipped_file_only_in_what_it_must(path: Path) -> None:
    wanted = ALLOWED.get(str(path.relative_to(EXAMPLES)), set())
    documents = [yaml.safe_load(each.read_text()) for each in (shipped_for(path), path)]
    assert set(differences(*documents)) == wanted
    if not wanted:
        assert path.read_bytes() == shipped_for(path).read_bytes()


@pytest.mark.parametrize(("folder", "home"), [(HA / "targets", "prometheus/targets"),
                                              (LONG_TERM / "datasources", "grafana/provisioning/datasources")],
                         ids=["targets", "datasources"])  # fmt: skip
def test_a_folder_that_takes_the_place_of_a_shipped_one_has_all_its_files(folder: Path, home: str) -> None:
    assert {path.name for path in folder.iterdir()} == {path.name for path in (ROOT / home).iterdir()}


@each_example
def test_what_an_environment_file_names_is_there(example: str) -> None:
    values = environment(example)
    assert values.pop("COMPOSE_PROFILES") == example
    assert (values.pop("AIRBAG_ALERTMANAGER_CLUSTER", "") == "0.0.0.0:9094") == (example == "ha")  # a pair talks
    assert values.keys() == DEFAULTS.keys()
    assert values != DEFAULTS
    for path in values.values():
        assert (ROOT / path).exists(), path


@each_example
def test_airbag_check_finds_nothing_in_the_files_of_an_example(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    values = environment(example)
    named = {
        f"--{name}.file={values[f'AIRBAG_{name.upper()}_FILE']}"
        for name in ("exporters", "policy", "prometheus", "alertmanager")
    }
    places = {
        "/etc/prometheus/rules": "prometheus/rules",
        "/etc/prometheus/targets": values["AIRBAG_TARGETS"],
        "/etc/alertmanager/templates": "alertmanager/templates",
        "/etc/airbag/exporters.yml": values["AIRBAG_EXPORTERS_FILE"],
        "/etc/airbag/scripts": "alertmanager/scripts",
    }
    paths = [f"--path={deployed}={here}" for deployed, here in places.items()]
    done = CliRunner().invoke(airbag, ["check", *sorted(named), *paths])
    assert done.exit_code == 0, done.output


@each_release
def test_promtool_accepts_the_long_term_configuration(release: Release, tmp_path: Path) -> None:
    etc = shipped.copied("prometheus", tmp_path, {"/etc/prometheus": str(tmp_path)})
    (etc / "prometheus.yml").write_text((LONG_TERM / "prometheus.yml").read_text().replace("/etc/prometheus", str(etc)))
    assert "SUCCESS" in run("promtool", "check", "config", etc / "prometheus.yml", release=release)


@each_release
def test_amtool_accepts_the_routes_to_two_receivers(release: Release, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    local = {"/etc/alertmanager": str(tmp_path), "/run/secrets/airbag_webhook_token": str(tmp_path / "token")}
    etc = shipped.copied("alertmanager", tmp_path, local)
    (etc / "alertmanager.yml").write_text(replace_tokens((HA / "alertmanager.yml").read_text(), local))
    assert "SUCCESS" in run("amtool", "check-config", etc / "alertmanager.yml", release=release)


def test_the_balancer_goes_to_the_replicas_that_prometheus_scrapes() -> None:
    [group] = yaml.safe_load((HA / "targets" / "airbag-quality.yml").read_text())
    servers = re.findall(r"(?m)^ +server (\S+) ", (HA / "balancer.conf").read_text())
    assert servers == group["targets"]


def test_the_balancer_takes_what_the_exporters_take_and_gives_up_before_the_client_does() -> None:
    text = (HA / "balancer.conf").read_text()
    [size] = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(size) << 20 == Limits().body_bytes
    assert load_exporters(HA / "exporters.yml").quality.limits == Limits()
    [reading] = re.findall(r"proxy_send_timeout \d+s;\s+proxy_read_timeout (\d+)s;", text)
    [tries] = re.findall(r"proxy_next_upstream_tries (\d+);", text)
    assert int(reading) * int(tries) < inspect.signature(QualityClient).parameters["timeout"].default


def test_a_replica_finds_its_counters_by_the_name_of_its_host() -> None:
    document = yaml.safe_load((HA / "exporters.yml").read_text())
    assert "replica" not in document["quality"]


@cache
def unsent() -> re.Pattern[str]:
    """The names of series that the example does not send."""
    [remote] = yaml.safe_load((LONG_TERM / "prometheus.yml").read_text())["remote_write"]
    drops = [rule for rule in remote["write_relabel_configs"] if rule.get("action") == "drop"]
    assert all(rule["source_labels"] == ["__name__"] for rule in drops)
    return re.compile("|".join(f"(?:{rule['regex']})" for rule in drops))


def is_sent(name: str) -> bool:
    return not unsent().fullmatch(name)


def asked_for() -> dict[str, str]:
    """Every name that a panel or a burn-rate alert asks for, and where."""
    found: dict[str, str] = {}
    for dashboard in dashboards():
        for query in dashboard.queries():
            text = re.sub(r"\$\{?verdict\}?", "model_version:airbag_tfs_errors_per_request:ratio15s", query.expr)
            text = re.sub(r"\[\$\{?\w+\}?\]", "[5m]", text)
            text = re.sub(r"\$\{?\w+(:\w+)?\}?", "1", text)
            for name in promql.series(text):
                found.setdefault(name, query.where)
    for rule in shipped.alert_rules():
        if "BudgetBurn" in rule["alert"]:
            for name in promql.series(rule["expr"]):
                found.setdefault(name, rule["alert"])
    found.pop("None", None)  # a selector by pattern
    return found


def test_all_that_dashboards_and_objectives_ask_for_is_sent() -> None:
    missing = {name: where for name, where in asked_for().items() if not is_sent(name)}
    assert missing.keys() == UNSENT.keys(), missing


def test_every_record_is_sent() -> None:
    assert all(is_sent(rule["record"]) for rule in shipped.rules() if "record" in rule)


def test_half_of_what_the_exporters_show_stays_where_it_is() -> None:
    counted = {True: 0, False: 0}
    for job in exported.pages():
        for family in exported.families(job):
            for sample in family.samples:
                counted[is_sent(sample.name)] += 1
    print(counted)
    assert counted[False] > counted[True]
