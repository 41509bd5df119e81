"""docker-compose.yml keeps to every rule, and each rule notices a file that breaks it."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contracts.compose_rules import Document, breaches
from tests.fakes.binaries import ROOT

SHIPPED: Document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PLUGIN = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    / "airbag/compose/client/cli-plugins/docker-compose"
)


def _set(service: str, key: str, value: object) -> Callable[[Document], None]:
    return lambda document: document["services"][service].update({key: value})


def _drop(service: str, key: str) -> Callable[[Document], None]:
    return lambda document: document["services"][service].pop(key)


def _volumes(service: str, old: str, new: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        before = document["services"][service]["volumes"]
        after = [text.replace(old, new) for text in before]
        assert before != after
        document["services"][service]["volumes"] = [text for text in after if text]

    return change


def _network(name: str, value: object) -> Callable[[Document], None]:
    return lambda document: document["networks"].update({name: value})


MUTATIONS: dict[str, tuple[Callable[[Document], None], str]] = {
    "latest": (_set("prometheus", "image", "prom/prometheus:latest"), "prom/prometheus:latest is not pinned"),
    "pulled at each start": (_set("redis", "pull_policy", "always"), "redis: pull_policy"),
    "writable root": (_drop("receiver", "read_only"), "receiver: the root is not read-only"),
    "a capability": (_set("grafana", "cap_add", ["NET_ADMIN"]), "grafana: has capabilities"),
    "privileged": (_set("host-exporter", "privileged", True), "host-exporter: has capabilities"),
    "new privileges": (_drop("people", "security_opt"), "people: may gain privileges"),
    "root": (_drop("tf-serving", "user"), "tf-serving: runs as root"),
    "no memory limit": (_drop("quality-exporter", "mem_limit"), "quality-exporter: has no mem_limit"),
    "no processor limit": (_drop("postgres", "cpus"), "postgres: has no cpus"),
    "no limit of processes": (_drop("story", "pids_limit"), "story: has no pids_limit"),
    "curl health check": (
        lambda document: document["services"]["receiver"]["healthcheck"].update(
            test=["CMD", "curl", "-f", "http://127.0.0.1:9815/-/healthy"]
        ),
        "receiver: ['CMD', 'curl'] is no health check",
    ),
    "python in the server": (
        lambda document: document["services"]["tf-serving"]["healthcheck"].update(test=["CMD", "python", "-c", "1"]),
        "tf-serving: ['CMD', 'python'] is no health check",
    ),
    "health of another port": (
        lambda document: document["services"]["people"]["healthcheck"].update(
            test=["CMD", "airbag", "healthcheck", "--web.listen-address=:9815"]
        ),
        "people: the health check asks another port",
    ),
    "no health check": (_drop("alertmanager", "healthcheck"), "alertmanager: [''] is no health check"),
    "not started again": (_drop("receiver", "restart"), "receiver: is not started again"),
    "published server": (_set("tf-serving", "ports", ["127.0.0.1:8500:8500"]), "tf-serving: publishes"),
    "published to the world": (_set("grafana", "ports", ["3000:3000"]), "grafana: publishes 3000:3000"),
    "host network": (_set("host-exporter", "network_mode", "host"), "host-exporter: network_mode host"),
    "dropped volume": (_volumes("prometheus", "prometheus-data:/prometheus", ""), "prometheus: /prometheus is lost"),
    "volume elsewhere": (_volumes("receiver", ":/var/lib/airbag", ":/state"), "receiver: /var/lib/airbag is lost"),
    "one volume twice": (
        _volumes("quality-exporter-2", "quality-data-2", "quality-data"), "quality-exporter-2: shares quality-data"
    ),
    "undeclared volume": (lambda document: document["volumes"].pop("grafana-data"), "grafana-data is not declared"),
    "exporter writes models": (
        _volumes("serving-exporter", ":/models:ro", ":/models"), "serving-exporter: can write to /models"
    ),
    "receiver cannot write": (_volumes("receiver", ":/models", ":/models:ro"), "receiver: cannot write to /models"),
    "writable configuration": (_volumes("grafana", "dashboards:ro", "dashboards"), "grafana: can write to"),
    "the engine's socket": (
        _set("host-exporter", "volumes", ["/var/run/docker.sock:/docker.sock:ro"]), "host-exporter: holds the engine"
    ),
    "a password in the environment": (
        _set("grafana", "environment", {"GF_SECURITY_ADMIN_PASSWORD": "admin"}), "ADMIN_PASSWORD carries"
    ),
    "a secret from the environment": (
        lambda document: document["secrets"].update(airbag_audit_key={"environment": "KEY"}),
        "secret airbag_audit_key: is no file",
    ),
    "an undeclared secret": (_set("people", "secrets", ["another"]), "people: secret {'another'} is not declared"),
    "a way out of serving": (_network("serving", {}), "network serving: has a way out"),
    "masqueraded pages": (_network("pages", {}), "network pages: has a way out"),
    "receiver outside": (_set("receiver", "networks", ["serving", "alerts", "journal", "pages", "outside"]),
                         "receiver: has a way out"),
    "cut off from alerts": (_set("receiver", "networks", ["serving", "journal", "pages"]),
                            "alertmanager: cannot reach receiver"),
    "cut off from the server": (_set("serving-exporter", "networks", ["alerts"]), "cannot reach tf-serving"),
    "cut off from its journal": (_set("receiver-2", "networks", ["serving", "alerts"]), "cannot reach receiver-2"),
    "more than it needs": (_set("host-exporter", "networks", ["metrics", "queries"]),
                           "host-exporter: has no business on queries"),
    "a stranger beside the server": (_set("grafana", "networks", ["queries", "pages", "serving"]),
                                     "grafana and tf-serving: meet without need"),
    "the default network": (_drop("people", "networks"), "people: is on the default network"),
    "a story that restarts": (_set("story", "restart", "always"), "story: runs once"),
}  # fmt: skip


def test_the_shipped_file_breaks_no_rule() -> None:
    assert breaches(SHIPPED) == []


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_file_that_breaks_a_rule_is_noticed(name: str) -> None:
    change, breach = MUTATIONS[name]
    document = copy.deepcopy(SHIPPED)
    change(document)
    assert any(breach in found for found in breaches(document)), breaches(document)


def test_profiles_add_services_and_take_none_away() -> None:
    profiles: dict[str, set[str]] = {}
    for name, service in SHIPPED["services"].items():
        for profile in service.get("profiles", []):
            profiles.setdefault(profile, set()).add(name)
    assert profiles == {
        "demo": {"trainer", "story"},
        "long-term": {"victoria-metrics"},
        "ha": {"postgres", "receiver-2", "alertmanager-2", "redis", "quality-exporter-2", "quality-balancer"},
    }


def test_no_secret_is_kept_by_git() -> None:
    for secret in SHIPPED["secrets"].values():
        assert subprocess.run(["git", "check-ignore", "-q", secret["file"]], cwd=ROOT, check=False).returncode == 0


def test_secrets_are_made_once_and_never_changed(tmp_path: Path) -> None:
    def make() -> str:
        environment = {"PATH": os.environ["PATH"], "AIRBAG_MODELS": "models"}
        return subprocess.run(
            [ROOT / "demo/secrets.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    if os.geteuid() != 0:
        pytest.skip("gives a folder to another user")
    made = make()
    folder = tmp_path / ".airbag/secrets"
    assert oct(folder.stat().st_mode)[-3:] == "700"
    texts = {}
    for secret in SHIPPED["secrets"].values():
        path = tmp_path / secret["file"]
        assert f"created {secret['file'].removeprefix('./')}" in made
        assert oct(path.stat().st_mode)[-3:] == "644"  # bind-mounted as it is, for several users
        texts[path] = path.read_text()
        assert len(texts[path]) == 64
    assert len(set(texts.values())) == len(texts)
    assert (folder / "channels").is_dir()
    config = tmp_path / "models/models.config"
    assert (config.read_text(), config.stat().st_uid, (tmp_path / "models").stat().st_uid) == (
        "model_config_list {}\n",
        10001,
        10001,
    )

    (folder / "airbag_audit_key").write_text("mine")
    config.write_text("model_config_list { }")
    again = make()
    assert "created" not in again
    assert (folder / "airbag_audit_key").read_text() == "mine"
    assert config.read_text() == "model_config_list { }"
    (folder / "airbag_webhook_token").unlink()
    assert make().count("created") == 1


OVERRIDES: dict[str, list[str]] = {
    "alone": [],
    "published": ["-f", "docs/examples/compose/published.yml"],
}


@pytest.mark.parametrize("name", sorted(OVERRIDES))
def test_compose_itself_accepts_the_file(name: str) -> None:
    command = _compose()
    if command is None:
        pytest.skip("Compose v2 is not here; `make test-compose` gets it, and the rules above read the file without it")
    words = [*command, "-f", "docker-compose.yml", *OVERRIDES[name], "--profile", "*", "config", "-q"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _compose() -> list[str] | None:
    candidates: list[list[str]] = [["docker", "compose"], [str(PLUGIN)]]
    for command in candidates:
        if shutil.which(command[0]):
            version: Any = subprocess.run([*command, "version"], capture_output=True, check=False)
            if version.returncode == 0:
                return command
    return None
