"""What the rules ask of Prometheus and Alertmanager themselves stands on their pages, the old releases' and the new.

The golden pages hold the families that a rule names, as the system's release shows them. UPDATE_GOLDEN=1 renews them
after a rule began to name another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from airbag_demo.processes import Processes, Program
from tests.exporters.processes import assert_golden
from tests.fakes import shipped
from tests.fakes.binaries import RELEASES, ROOT, Release, find
from tests.fakes.ports import free_port
from tests.fakes.wait import until

NAMED = {
    name for rule in shipped.alert_rules() for name in re.findall(r"\b(?:prometheus|alertmanager)_\w+", rule["expr"])
}
PROMETHEUS = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{folder}/rules/airbag.yml]
remote_write: [{{name: long-term, url: "http://{prometheus}/api/v1/write"}}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ["{prometheus}"]}}]}}]
"""
ALERTMANAGER = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
Pages = dict[str, str]


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest) -> Release:
    found: Release = request.param
    return found


@pytest.fixture(scope="module")
def pages(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages of both programs once they know each other, with the addresses and paths of the shipped files."""
    folder = tmp_path_factory.mktemp("pages")
    prometheus, alertmanager = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    places = {str(folder): "/etc/prometheus", prometheus: "prometheus:9090", alertmanager: "alertmanager:9093"}
    (folder / "rules").mkdir()
    (folder / "rules" / "airbag.yml").write_text((shipped.RULES / "airbag.yml").read_text())
    (folder / "p.yml").write_text(PROMETHEUS.format(folder=folder, prometheus=prometheus, alertmanager=alertmanager))
    (folder / "a.yml").write_text(ALERTMANAGER)
    with Processes(folder) as processes:
        processes.start(
            _program("alertmanager", release, alertmanager, folder / "a.yml", f"--storage.path={folder / 'am'}",
                     "--cluster.listen-address=")
        )  # fmt: skip
        processes.start(
            _program("prometheus", release, prometheus, folder / "p.yml", f"--storage.tsdb.path={folder / 'tsdb'}")
        )
        processes.wait_ready()
        sent = "prometheus_notifications_sent_total"
        until(lambda: re.search(rf"(?m)^{sent}.* [1-9]", _page(prometheus)), timeout=60, what="an alert to be sent")
        yield {name: _plain(_page(at), places) for name, at in
               (("prometheus", prometheus), ("alertmanager", alertmanager))}  # fmt: skip


def _program(name: str, release: Release, address: str, config: Path, *flags: str) -> Program:
    command = [str(find(name, release)), f"--config.file={config}", f"--web.listen-address={address}", *flags]
    return Program(name, command, lambda: requests.get(f"http://{address}/-/ready", timeout=1).ok)


def _page(address: str) -> str:
    return requests.get(f"http://{address}/metrics", timeout=5).text


def _plain(page: str, places: dict[str, str]) -> str:
    for here, shipped_as in places.items():
        page = page.replace(here, shipped_as)
    return page


def _named(page: str) -> str:
    """The families that a rule names, without values."""
    lines = page.splitlines()
    about = [
        line for line in lines if re.split(r"[ {]", line.removeprefix("# HELP ").removeprefix("# TYPE "))[0] in NAMED
    ]
    return "\n".join(line if line.startswith("#") else line.rpartition(" ")[0] for line in about) + "\n"


def _series(page: str) -> dict[str, set[frozenset[str]]]:
    """The label names of every series, by name."""
    found: dict[str, set[frozenset[str]]] = {}
    for family in text_string_to_metric_families(re.sub(r"(?m)^([^#\n].*)$", r"\1 0", page)):
        for sample in family.samples:
            found.setdefault(sample.name, set()).add(frozenset(sample.labels))
    return found


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_every_series_that_a_rule_names_is_on_the_page(name: str, release: Release, pages: Pages) -> None:
    """Newer releases may tell more apart: there every label of the golden page is on some series."""
    shown = _named(pages[name])
    assert {each for each in NAMED if each.startswith(name)} == set(_series(shown))
    if release == "system":
        assert_golden(f"{name}.prom", shown)
        return
    golden = _series((ROOT / "tests" / "golden" / f"{name}.prom").read_text())
    for series, known in golden.items():
        assert all(any(labels <= more for more in _series(shown)[series]) for labels in known), series
