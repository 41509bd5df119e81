"""The profiles `ha` and `long-term` come up beside the core, on their own files, and what they add takes part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.compose.kit.stack import CORE, Stack
from tests.fakes.binaries import ROOT
from tests.fakes.wait import until

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
PROFILES = ("ha", "long-term")
RECEIVERS = {"receiver", "receiver-2"}
_GET = "import urllib.request as u; print(u.urlopen('{}').read().decode())"
_READY = _GET.format("http://127.0.0.1:9815/-/ready")
_PAGE = _GET.format("http://127.0.0.1:9811/metrics")
_REPORTS = """\
import json, urllib.request
for what, more in (
    ("predictions", {"model_name": "digits", "model_version": 2, "predicted": "7"}), ("labels", {"actual": "7"})
):
    for number in range(9):
        row = json.dumps(more | {"id": str(number)}).encode()
        headers = {"content-type": "application/x-ndjson"}
        urllib.request.urlopen(urllib.request.Request("http://quality-balancer:9811/v1/" + what, row, headers))
"""


def _variables() -> dict[str, str]:
    """Those of both env files."""
    files = [(ROOT / f"docs/examples/{name}/compose.env").read_text() for name in PROFILES]
    lines = [line for text in files for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines) | {"COMPOSE_PROFILES": ",".join(("demo", *PROFILES))}


@pytest.fixture(scope="module")
def grown(client: dict[str, str], ports: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Both profiles at once, with the demo's models."""
    project = Stack(tmp_path_factory.mktemp("grown"), "airbag-grown", client, _variables() | ports)
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    more = [name for name, service in services.items() if set(PROFILES) & set(service.get("profiles", []))]
    project.down()
    try:
        project.compose("up", "--detach", "--wait", "--wait-timeout=240", "--pull=never", "--no-build", *CORE, *more)
        yield project
    except AssertionError:
        print(project.logs())
        raise
    finally:
        project.down()


def _joined(project: Stack, exporter: str) -> float:
    page = project.run_in(exporter, "python", "-c", _PAGE)
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "airbag_quality_labels_total" and sample.labels["result"] == "joined"
    )


def leaders(project: Stack, among: set[str]) -> set[str]:
    """Those of the receivers that do not stand by."""
    return {name for name in among if "standby" not in project.run_in(name, "python", "-c", _READY)}


def test_both_of_a_pair_are_watched(grown: Stack) -> None:
    def health() -> set[str] | None:
        targets = grown.get("prometheus", f"{PROMETHEUS}/targets")["data"]["activeTargets"]
        return {t["scrapeUrl"].split("/")[2] for t in targets} if {t["health"] for t in targets} == {"up"} else None

    found = until(health, timeout=90, what="all targets up", every=0.5)
    assert {"receiver-2:9815", "alertmanager-2:9093", "quality-exporter-2:9811"} <= found


def test_the_alertmanagers_know_each_other(grown: Stack) -> None:
    def peers() -> bool:
        cluster = grown.get("alertmanager", "http://127.0.0.1:9093/api/v2/status")["cluster"]
        return len(cluster["peers"]) == 2

    until(peers, timeout=60, what="two members", every=0.5)


def test_the_long_term_store_gets_what_prometheus_sees(grown: Stack) -> None:
    def arrived() -> bool:
        found = grown.get("victoria-metrics", "http://127.0.0.1:8428/api/v1/series?match[]=airbag_tfs_default_version")
        return bool(found["data"])

    until(arrived, timeout=90, what="numbers in the long-term store", every=1)


def test_a_label_finds_the_prediction_that_the_other_exporter_took(grown: Stack) -> None:
    """The balancer takes them in turn, so that an odd number of predictions sends each label to the other one."""
    grown.run_in("quality-exporter", "python", "-c", _REPORTS)
    joined = [_joined(grown, name) for name in ("quality-exporter", "quality-exporter-2")]
    assert sum(joined) == 9
    assert all(joined)


def test_one_receiver_leads_and_the_other_takes_over(grown: Stack) -> None:
    [first] = until(lambda: leaders(grown, RECEIVERS), timeout=30, what="a leader")
    grown.docker("kill", grown.container(first))  # the engine starts nothing again that it was told to end
    until(lambda: leaders(grown, RECEIVERS - {first}), timeout=60, what="the other one to lead", every=0.5)
