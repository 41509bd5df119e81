"""The shipped docker-compose.yml on a real engine: a bad release is rolled back inside the containers.

Delivery is asserted, not health: a stack that nobody's alert gets through is healthy, too. The tests go on from one
another, in this order.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml

from tests.compose.kit import packages
from tests.compose.kit.images import Images
from tests.compose.kit.stack import AIRBAG, CORE, Failed, Stack
from tests.fakes.binaries import ROOT
from tests.fakes.wait import until

PROMETHEUS = "http://127.0.0.1:9090/api/v1"


def test_the_image_stays_below_200_megabytes(client: dict[str, str]) -> None:
    assert Images(client).size(AIRBAG) < 200e6


def test_the_image_has_no_tensorflow_and_no_tools_for_an_intruder(stack: Stack) -> None:
    program = (
        "import importlib.util, shutil; "
        "print([n for n in ('tensorflow', 'sklearn', 'pip') if importlib.util.find_spec(n)], "
        "[p for p in ('apt', 'dpkg-deb-x', 'perl', 'pip', 'curl', 'wget', 'mount', 'su') if shutil.which(p)])"
    )
    assert stack.run_in("receiver", "python", "-c", program).split("\n")[0] == "[] []"
    assert stack.run_in("receiver", "python", "-c", "import numpy, grpc, redis, pynvml; print('there')") == "there\n"


def test_every_service_without_a_profile_is_up(stack: Stack) -> None:
    assert stack.services() == sorted([*CORE, "trainer"])


def test_programs_are_the_releases_that_their_tags_claim(stack: Stack) -> None:
    for service, path in (("prometheus", "prometheus"), ("alertmanager", "alertmanager")):
        said = stack.run_in(service, path, "--version")
        print(said.splitlines()[0])
        tag = stack.inspect(service)["Config"]["Image"].partition(":v")[2]
        assert f"version {tag}" in said


def test_every_target_is_up(stack: Stack) -> None:
    def health() -> dict[str, str] | None:
        targets = stack.get("prometheus", f"{PROMETHEUS}/targets")["data"]["activeTargets"]
        found = {target["scrapeUrl"]: target["health"] for target in targets}
        return found if targets and set(found.values()) == {"up"} else None

    assert len(until(health, timeout=60, what="all targets up", every=0.5)) == 7
    assert stack.get("prometheus", f"{PROMETHEUS}/rules")["data"]["groups"]


def test_the_story_of_the_demo_is_told_and_ends_well(stack: Stack) -> None:
    said = stack.compose("run", "--rm", "-T", "story", profile="demo", timeout=240)
    print(said[said.index("version 3 is released") :])
    for words in ("alert fires", "first good response", "rolled back, and it helped", "version 3 -> 2", "0 of"):
        assert words in said


def test_the_receiver_says_what_it_did_and_its_audit_holds(stack: Stack) -> None:
    [action] = json.loads(stack.run_in("receiver", "airbag", "history", "--json"))["actions"]
    assert (action["state"], action["bad_version"], action["target_version"]) == ("SUCCEEDED", 3, 2)
    assert _audited(stack) > 5
    assert "versions: 3" not in (stack.folder / ".airbag/models/models.config").read_text()


def test_version_2_serves_again_and_prometheus_saw_it(stack: Stack) -> None:
    query = f"{PROMETHEUS}/query?query=airbag_tfs_default_version"
    assert [each["value"][1] for each in stack.get("prometheus", query)["data"]["result"]] == ["2"]


def test_people_were_told(stack: Stack) -> None:
    assert "[firing] AirbagRollbackSucceeded" in stack.log("people")


def test_a_second_telling_is_refused_with_the_way_out(stack: Stack) -> None:
    with pytest.raises(Failed, match="version 3 of digits was released here before"):
        stack.compose("run", "--rm", "-T", "--no-deps", "story", profile="demo")


def test_no_process_can_do_more_than_it_must(stack: Stack) -> None:
    for service in CORE:
        pid = stack.inspect(service)["State"]["Pid"]
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, service
        assert status["NoNewPrivs"] == "1", service
        assert status["Seccomp"] == "2", service
        assert "0" not in status["Uid"].split(), service
        host = stack.inspect(service)["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert all(host[limit] for limit in ("Memory", "NanoCpus", "PidsLimit")), service
        with pytest.raises(Failed, match=r"[Rr]ead-only file system|exec failed"):
            stack.run_in(service, "bash" if service == "tf-serving" else "sh", "-c", "echo > /probe")


def test_only_two_pages_are_published_and_on_loopback(stack: Stack, ports: dict[str, str]) -> None:
    bound = [
        (service, binding["HostIp"], binding["HostPort"])
        for service in CORE
        for bindings in (stack.inspect(service)["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    ]
    assert bound == [
        ("grafana", "127.0.0.1", ports["GRAFANA_PORT"]),
        ("receiver", "127.0.0.1", ports["AIRBAG_PAGE_PORT"]),
    ]
    assert requests.get(f"http://127.0.0.1:{ports['AIRBAG_PAGE_PORT']}/-/ready", timeout=5).ok
    found = requests.get(f"http://127.0.0.1:{ports['GRAFANA_PORT']}/api/search", timeout=5).json()
    assert {each["uid"] for each in found} == {path.stem for path in (ROOT / "grafana/dashboards").glob("*.json")}


def test_only_alertmanager_finds_a_way_out(stack: Stack) -> None:
    """Each of our containers tries to reach the package mirror, which a container on `outside` does reach."""
    mirror = urlsplit(packages.mirror())
    address = (socket.gethostbyname(mirror.hostname or ""), mirror.port or 80)
    program = f"import socket; socket.create_connection({address!r}, 2)"
    control = ["run", "--rm", f"--network={stack.name}_outside", "--entrypoint=python", AIRBAG, "-c", program]
    stack.docker(*control)
    for service in ("serving-exporter", "quality-exporter", "host-exporter", "receiver", "people"):
        with pytest.raises(Failed, match=r"timed out|unreachable"):
            stack.run_in(service, "python", "-c", program)
    networks = json.loads(stack.docker("network", "inspect", *(f"{stack.name}_{name}" for name in _networks())))
    open_ones = {each["Name"].removeprefix(f"{stack.name}_") for each in networks if not each["Internal"]}
    assert open_ones == {"pages", "outside"}
    pages = next(each for each in networks if each["Name"].endswith("_pages"))
    assert pages["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert [each["Name"] for network in networks if network["Name"].endswith("_outside")
            for each in network["Containers"].values()] == [stack.container("alertmanager")]  # fmt: skip


def test_who_has_no_business_with_each_other_cannot_even_connect(stack: Stack) -> None:
    program = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    for service, host, port in (
        ("quality-exporter", "tf-serving", "8500"),
        ("quality-exporter", "receiver", "9815"),
        ("host-exporter", "alertmanager", "9093"),
        ("people", "tf-serving", "8500"),
        ("serving-exporter", "quality-exporter", "9811"),
    ):
        with pytest.raises(Failed, match=r"name resolution|not known"):
            stack.run_in(service, "env", "RES_OPTIONS=timeout:1 attempts:1", "python", "-c", program, host, port)
    stack.run_in("serving-exporter", "python", "-c", program, "tf-serving", "8500")


def test_new_containers_remember_what_the_old_ones_knew(stack: Stack) -> None:
    before = _audited(stack)
    stack.compose(
        "up", "--detach", "--wait", "--force-recreate", "--no-deps", "receiver", "prometheus", "quality-exporter"
    )
    assert _audited(stack) >= before
    [action] = json.loads(stack.run_in("receiver", "airbag", "history", "--json"))["actions"]
    assert action["state"] == "SUCCEEDED"
    query = f"{PROMETHEUS}/query?query=max_over_time(airbag_tfs_default_version[10m])"
    assert [each["value"][1] for each in stack.get("prometheus", query)["data"]["result"]] == ["3"]


def test_nothing_is_left_when_it_is_taken_down(stack: Stack) -> None:
    stack.down()
    assert stack.leftovers() == ""


def _audited(stack: Stack) -> int:
    found = re.search(r"records 1 to (\d+) fit together", stack.run_in("receiver", "airbag", "audit", "verify"))
    assert found
    return int(found[1])


def _networks() -> list[str]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return list(document["networks"])
