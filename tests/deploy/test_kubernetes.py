"""The Kubernetes examples: rendered, held against published schemas, and checked for sense. Nothing needs a cluster."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import airbag
from airbag.cli import airbag as command_line
from tests.deploy import confinement, hops, references
from tests.deploy.kustomized import FOLDER, OVERLAYS, Cluster, Object, build, render
from tests.deploy.schemas import VERSIONS, complaints
from tests.fakes.binaries import ROOT

PAGE = (ROOT / "docs/kubernetes.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SECRETS = {
    name: set(re.findall(r"--from-\w+=(\w+)=", keys))
    for name, keys in re.findall(r"create secret generic (\S+) (.*)", PAGE)
}
"""Those that the page has made, with their keys."""

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@functools.cache
def rendered(overlay: str) -> Cluster:
    return render(overlay)


def plain(name: str) -> str:
    """A name without the hash that kustomize puts behind it."""
    return re.sub(r"-[a-z0-9]{10}$", "", name)


@each_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_what_that_kubernetes_and_the_operator_take(overlay: str, version: str) -> None:
    cluster = rendered(overlay)
    assert [text for thing in cluster.objects for text in complaints(thing, version)] == []


@each_overlay
def test_every_reference_leads_somewhere(overlay: str) -> None:
    assert references.problems(rendered(overlay), SECRETS) == []


@each_overlay
def test_every_pod_is_confined_limited_probed_and_pinned(overlay: str) -> None:
    assert confinement.problems(rendered(overlay)) == []


@each_overlay
def test_the_network_lets_pass_what_the_configuration_names_and_clients_and_nothing_else(overlay: str) -> None:
    cluster = rendered(overlay)
    assert hops.allowed(cluster) == hops.wanted(cluster) | hops.CLIENTS
    assert hops.resolves_names(cluster) == [pod["name"] for pod in cluster.pods()]


@each_overlay
def test_every_command_of_our_image_is_one_that_airbag_understands(overlay: str) -> None:
    ours = [container for _, container in rendered(overlay).containers() if "/tfs-airbag:" in container["image"]]
    assert len(ours) >= 4
    for container in ours:
        words = list(container["args"])
        command: click.Command = command_line
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None
            command = found
        command.make_context(container["name"], words)
        [port] = container["ports"]
        assert f"--web.listen-address=0.0.0.0:{port['containerPort']}" in container["args"]


def alone(words: list[str]) -> list[str]:
    """The flags but for those of a cluster of Alertmanagers, which each deployment has in its own way."""
    return [word for word in words if not word.startswith("--cluster.")]


def test_images_and_flags_are_those_of_compose() -> None:
    theirs = {"tf-serving", "prometheus", "alertmanager"}
    containers = {container["name"]: container for _, container in rendered("example").containers()}
    for name in theirs:
        assert alone(containers[name]["args"]) == alone(COMPOSE[name]["command"])
        assert containers[name]["image"] == re.sub(r"\$\{\w+:-(.*)\}", r"\1", COMPOSE[name]["image"])
    for name, container in containers.items():
        if name not in theirs:
            assert container["args"] == COMPOSE[name]["command"]
            assert container["image"].endswith(f"/tfs-airbag:{airbag.__version__}")


def test_objects_are_made_of_the_repository_s_files_all_of_them_and_as_they_are() -> None:
    made = {
        (key, text)
        for overlay in ("example", "operator")
        for each in rendered(overlay).of("ConfigMap")
        for key, text in each["data"].items()
    }
    globs = [
        "prometheus/*.yml", "prometheus/rules/*.yml", "prometheus/targets/*.yml", "exporters/exporters.yml",
        "exporters/monitoring.config", "alertmanager/*.yml", "alertmanager/templates/*.tmpl",
        "grafana/dashboards/*.json",
    ]  # fmt: skip
    assert made == {(path.name, path.read_text()) for glob in globs for path in ROOT.glob(glob)}


def test_the_operator_gets_every_rule_as_an_object() -> None:
    done = subprocess.run([FOLDER / "rules.sh"], capture_output=True, text=True, check=True)
    objects = list(yaml.load_all(done.stdout, yaml.CSafeLoader))
    shipped = [
        yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted((ROOT / "prometheus/rules").glob("*.yml"))
    ]
    assert [each["spec"] for each in objects] == shipped
    assert [text for each in objects for text in complaints(each, VERSIONS[-1])] == []
    assert all(group["interval"] for each in shipped for group in each["groups"])  # the operator's own is 30 s


def test_the_operator_scrapes_every_job_of_prometheus_yml_at_its_pace() -> None:
    config = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text())
    pace = config["global"]["scrape_interval"]
    jobs = {
        job["job_name"]: (job.get("scrape_interval", pace), job["sample_limit"], job.get("metrics_path", "/metrics"))
        for job in config["scrape_configs"]
    }
    found = {
        endpoint["relabelings"][0]["replacement"]: (
            endpoint["interval"], monitor["spec"]["sampleLimit"], endpoint.get("path", "/metrics")
        )
        for monitor in rendered("operator").of("ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]
    }  # fmt: skip
    assert found == jobs


def test_the_operator_s_routes_of_the_machine_are_those_of_alertmanager_yml() -> None:
    config = yaml.safe_load((ROOT / "alertmanager/alertmanager.yml").read_text())
    for name in ("airbag", "airbag-watchdog"):
        [route] = [each for each in config["route"]["routes"] if each["receiver"] == name]
        theirs = rendered("operator").get("AlertmanagerConfig", name)["spec"]["route"]
        [matcher] = theirs["matchers"]
        assert [f'{matcher["name"]}="{matcher["value"]}"'] == route["matchers"]
        assert route["continue"] is True  # as the operator does with every first route
        for key in ("group_by", "group_wait", "group_interval", "repeat_interval"):
            first, second = key.split("_")
            assert theirs[first + second.title()] == route[key]


@pytest.mark.parametrize(
    ("shipped", "key"),
    [("alertmanager/policy.yml", ["journal"]), ("exporters/exporters.yml", ["redis", "state_folder"])],
    ids=["policy", "exporters"],
)
def test_several_differ_from_one_by_where_the_state_lies_alone(shipped: str, key: list[str]) -> None:
    one = (ROOT / shipped).read_text().splitlines()[1:]
    several = (FOLDER / "overlays/ha" / Path(shipped).name).read_text().splitlines()[1:]
    changed = [
        line.split(":")[0].strip() for pair in zip(one, several, strict=True) if len(set(pair)) == 2 for line in pair
    ]
    assert sorted(set(changed)) == key


def test_of_several_none_waits_for_another_and_all_are_scraped() -> None:
    targets = hops.text(rendered("ha"), "targets", "airbag-receiver.yml")
    targets += hops.text(rendered("ha"), "targets", "airbag-quality.yml")
    scraped = {target for group in targets for target in group["targets"]}
    for name, port in (("receiver", 9815), ("quality-exporter", 9811)):
        spec = rendered("ha").get("StatefulSet", name)["spec"]
        assert (spec["replicas"], spec["podManagementPolicy"]) == (2, "Parallel")
        assert {f"{name}-{number}.{spec['serviceName']}:{port}" for number in range(2)} <= scraped
        assert rendered("ha").get("PodDisruptionBudget", name)
    assert len(scraped) == 4
    assert not rendered("example").of("PodDisruptionBudget")  # for one pod it would stop every drain


def test_an_overlay_of_one_s_own_replaces_a_file_as_the_page_says(tmp_path: Path) -> None:
    [text] = [block for block in blocks("yaml") if "# kustomization.yaml" in block]
    text = text.replace("../example", os.path.relpath(FOLDER / "overlays/example", tmp_path.resolve()))
    (tmp_path / "kustomization.yaml").write_text(text)
    mine = (ROOT / "exporters/exporters.yml").read_text() + "# mine\n"
    (tmp_path / "exporters.yml").write_text(mine)
    cluster = Cluster(list(yaml.load_all(build(tmp_path), yaml.CSafeLoader)))
    [found] = [each for each in cluster.of("ConfigMap") if plain(each["metadata"]["name"]) == "exporters"]
    assert found["data"] == {"exporters.yml": mine}
    assert references.problems(cluster, SECRETS) == []


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{space}", "", text, flags=re.MULTILINE) for space, text in found]


def test_every_object_of_the_page_fits_its_schema() -> None:
    objects: list[Object] = [yaml.safe_load(block) for block in blocks("yaml")]
    checked = [each for each in objects if "kind" in each and each["kind"] != "Kustomization"]
    assert {each["kind"] for each in checked} == {"Prometheus", "Alertmanager", "Role", "RoleBinding"}
    assert [text for each in checked for text in complaints(each, VERSIONS[-1])] == []


def test_the_page_s_shell_is_shell_and_its_overlays_exist() -> None:
    for block in blocks("sh"):
        assert subprocess.run(["sh", "-n", "-c", block], check=False).returncode == 0
    named = set(re.findall(r"`((?:base|components|overlays)[\w/-]*)`", PAGE))
    have = {str(path.parent.relative_to(FOLDER)) for path in FOLDER.rglob("kustomization.yaml")}
    assert named == have


def test_no_secret_stands_in_any_manifest() -> None:
    for overlay in OVERLAYS:
        assert rendered(overlay).of("Secret") == []
    assert set(SECRETS) == {"airbag-webhook", "airbag-receiver", "airbag-postgres"}
