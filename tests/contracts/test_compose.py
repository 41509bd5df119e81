"""docker-compose.yml runs the same processes on the same files as `airbag up`, and keeps to the rules of its images.

Nothing here needs a container engine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from airbag.cli import airbag
from airbag.config import replace_tokens
from airbag_demo.model_server.flags import Flags
from airbag_demo.ports import STANDARD, addresses
from airbag_demo.shipped import SHIPPED
from airbag_demo.stack import Stack
from airbag_exporters.config import load_exporters
from airbag_exporters.host.finding import fits
from tests.contracts.compose_rules import plain
from tests.fakes.binaries import ROOT, run

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = {
    name: service for name, service in COMPOSE["services"].items() if "profiles" not in service
}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
FILES = [
    path for shipped in SHIPPED for path in sorted((ROOT / shipped).rglob("*")) or [ROOT / shipped] if path.is_file()
]

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def _mounts(name: str) -> dict[str, str]:
    """What a service sees at which path, as `path: source[:ro]`."""
    mounts = {}
    for text in SERVICES[name].get("volumes", []):
        source, target, *mode = plain(text).split(":")
        mounts[target] = ":".join([source, *mode])
    return mounts | {f"/run/secrets/{secret}": "secret:ro" for secret in SERVICES[name].get("secrets", [])}


def _flags(name: str) -> dict[str, str]:
    flags = [word.removeprefix("--") for word in SERVICES[name].get("command", []) if word.startswith("--")]
    return {flag.partition("=")[0]: flag.partition("=")[2] for flag in flags}


def test_it_runs_the_processes_of_airbag_up() -> None:
    assert set(SERVICES) == {re.sub("-(grpc|rest)$", "", name) for name in STANDARD}


def test_it_mounts_the_files_of_airbag_up_where_they_say_they_are_and_no_others() -> None:
    mounted = {
        (source.removesuffix(":ro"), target)
        for name in SERVICES
        for target, source in _mounts(name).items()
        if source.startswith("./") and target != "/models"
    }
    channels = ("./.airbag/secrets/channels", "/run/secrets/channels")  # may be empty
    scripts = ("./alertmanager/scripts", "/etc/airbag/scripts")  # for who names one of them in policy.yml
    parts = {
        (f"./grafana/provisioning/{part}", f"/etc/grafana/provisioning/{part}")
        for part in ("dashboards", "datasources")
    }
    whole = {(f"./{shipped}", target) for shipped, target in SHIPPED.items() if shipped != "grafana/provisioning"}
    assert mounted == whole | parts | {channels, scripts}


@pytest.mark.parametrize("shipped", sorted(SHIPPED))
def test_every_mounted_file_exists(shipped: str) -> None:
    path = ROOT / shipped
    assert path.is_file() or any(path.iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_address_in_a_mounted_file_is_a_service_s_and_has_a_local_one_in_airbag_up(file: Path) -> None:
    names = "|".join(map(re.escape, SERVICES))
    found = set(re.findall(rf"(?<![\w.-])(?:{names}):\d+", file.read_text()))
    assert found <= set(addresses(STANDARD))


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_deployment_address_or_path_is_left_in_the_copy_of_airbag_up(file: Path, tmp_path: Path) -> None:
    stack = Stack(ROOT, tmp_path, {name: 20000 + place for place, name in enumerate(STANDARD)})
    local = "\n".join(line.partition("#")[0] for line in replace_tokens(file.read_text(), stack.tokens()).splitlines())
    names = "|".join(map(re.escape, SERVICES))
    assert not re.findall(rf"(?<![\w.-])(?:{names}):\d+", local)
    assert not re.findall(r"(?<![\w.-])/(?:models|etc|run/secrets|var/lib)(?![\w.-])", local)


@pytest.mark.parametrize("address", sorted(addresses(STANDARD)))
def test_every_address_is_one_that_its_service_listens_on(address: str) -> None:
    name, _, port = address.partition(":")
    if name == "tf-serving" or name == "grafana":
        assert port in {"8500", "8501", "3000"}  # the image's own
    else:
        assert _flags(name)["web.listen-address"] == f"0.0.0.0:{port}"


@each_service
def test_every_path_that_a_service_s_files_name_is_there_inside_it(name: str) -> None:
    mounts = _mounts(name)
    sources = [source.removesuffix(":ro") for source in mounts.values() if source.startswith("./")]
    texts = [path.read_text() for path in FILES if any(path.is_relative_to(ROOT / source) for source in sources)]
    texts += map(str, SERVICES[name].get("command", []))
    code = "\n".join(line.partition("#")[0] for text in texts for line in text.splitlines())
    named = set(re.findall(r"(?<![\w.-])/(?:models|etc|run|var)(?:/[\w*.-]+)+", code))
    own = {"serving-exporter": "/var/lib/airbag/exporter", "quality-exporter": "/var/lib/airbag/quality"}
    if name.endswith("-exporter"):  # the same exporters.yml, in which each has a folder of its own
        named -= set(own.values()) - {own.get(name)}
    missing = {path for path in named if not any(f"{path}/".startswith(f"{mount}/") for mount in mounts)}
    assert not missing


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_of_our_image_is_one_that_airbag_understands(name: str) -> None:
    words = [str(word) for word in SERVICES[name]["command"]]
    command: click.Command = airbag
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    command.make_context(name, words)


@pytest.mark.parametrize("name", ["serving-exporter", "quality-exporter", "host-exporter", "receiver"])
def test_every_process_accepts_the_files_that_are_shipped_for_it(name: str, tmp_path: Path) -> None:
    stack = Stack(ROOT, tmp_path, STANDARD)
    stack.prepare()
    words = [replace_tokens(str(word), stack.tokens()) for word in SERVICES[name]["command"]]
    done = CliRunner().invoke(airbag, [*words, "--config.check"])
    assert done.exit_code == 0, done.output or done.exception


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_every_flag_of_an_upstream_program_is_one_that_it_knows(name: str) -> None:
    known = run(name, "--help")
    for flag in _flags(name):
        assert re.search(rf"--{re.escape(flag)}\b", known), flag


def test_every_flag_of_tf_serving_is_one_that_it_knows() -> None:
    """The real server only prints a line about a misspelt flag and starts without it."""
    assert set(_flags("tf-serving")) <= set(Flags.__dataclass_fields__)


def test_a_failed_load_neither_blocks_version_changes_nor_takes_minutes_to_be_seen() -> None:
    flags = _flags("tf-serving")
    assert int(flags["num_load_threads"]) >= 2
    assert int(flags["num_unload_threads"]) >= 1
    retries, interval = int(flags["max_num_load_retries"]), int(flags["load_retry_interval_micros"])
    assert retries >= 1  # with none, one bad version among several stops the start of a server
    assert retries * interval <= 5_000_000


def test_what_must_survive_a_new_container_lies_in_a_named_volume() -> None:
    kept = {name: {source for source in _mounts(name).values() if source in COMPOSE["volumes"]} for name in SERVICES}
    ours, upstream = {"receiver", "serving-exporter", "quality-exporter"}, {"prometheus", "alertmanager", "grafana"}
    assert {name for name, volumes in kept.items() if volumes} == ours | upstream
    config = load_exporters(ROOT / "exporters/exporters.yml")
    assert _mounts("serving-exporter")[str(config.state_folder)]
    assert _mounts("quality-exporter")[str(config.quality.state_folder)] == "quality-data"
    assert _mounts("prometheus")[_flags("prometheus")["storage.tsdb.path"]] == "prometheus-data"
    assert _mounts("alertmanager")[_flags("alertmanager")["storage.path"]] == "alertmanager-data"


def test_the_image_makes_every_place_that_our_services_write_to() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert not dockerfile.startswith("# syntax=")
    made = re.search(r"install -d -o 10001 -g 10001 (.*?) \\$", dockerfile, re.MULTILINE)
    assert made
    written = {path for name in OURS for path, source in _mounts(name).items() if not source.endswith(":ro")}
    assert written == set(made[1].split())
    assert "--require-hashes -r requirements/base.lock" in dockerfile
    assert all(service["user"] == "10001:10001" for name, service in OURS.items() if name != "host-exporter")


def test_the_host_exporter_sees_the_server_s_process_and_everything_about_it() -> None:
    host = SERVICES["host-exporter"]
    assert (host["pid"], host["cgroup"]) == ("host", "host")
    assert host["user"] == SERVICES["tf-serving"]["user"]  # the kernel shows descriptors to nobody else
    assert not any(source for source in _mounts("host-exporter").values() if not source.endswith(":ro"))


def test_the_host_exporter_finds_the_server_by_its_command_line_and_not_what_started_it() -> None:
    [entry] = load_exporters(ROOT / "exporters/exporters.yml").host.processes
    flags = [str(word) for word in SERVICES["tf-serving"]["command"]]
    server = ["tensorflow_model_server", "--port=8500", "--rest_api_port=8501", *flags]
    assert fits(entry, server)
    for starter in (["/sbin/docker-init", "--"], ["/bin/bash"]):
        assert not fits(entry, [*starter, "/usr/bin/tf_serving_entrypoint.sh", *flags])
