"""What the systemd units say, by systemd's own tools and by what they must agree on with the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from airbag_exporters.config import load_exporters
from tests.deploy.units import FOLDER, SERVICES, environment_file, read_unit, system_calls
from tests.fakes.binaries import ROOT

PAGE = (ROOT / "docs/systemd.md").read_text()
EXPOSURE_MAX = 1.7
"""On systemd's scale from 0 (nothing is possible) to 10; Debian's Prometheus has 4.0."""

each_service = pytest.mark.parametrize("name", SERVICES)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.fail("systemd-analyze is not on PATH; get it with `make servers`")
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with programs that exist in the place of those that an installation would bring."""
    for path in FOLDER.glob("airbag*"):
        if path.suffix in (".service", ".target"):
            (tmp_path / path.name).write_text(path.read_text().replace("/opt/airbag/bin/airbag", "/bin/true"))
    return tmp_path


def test_systemd_understands_every_line_of_every_unit(installed: Path) -> None:
    done = analyze("verify", "--man=no", *sorted(installed.iterdir()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("line", "broken", "said"),
    [
        ("NoNewPrivileges=yes", "NoNewPrivileges=perhaps", "perhaps"),
        ("MemoryMax=512M", "MaxMemory=512M", "MaxMemory"),
        ("Type=exec", "Type=fork", "fork"),
        ("ExecStart=/bin/true", "ExecStart=/bin/tru", "/bin/tru"),
        ("@system-service", "@system-servces", "@system-servces"),
    ],
    ids=["value", "key", "type", "program", "calls"],
)
def test_a_mistake_in_a_unit_is_seen(installed: Path, line: str, broken: str, said: str) -> None:
    unit = installed / "airbag-receiver.service"
    assert line in unit.read_text()
    unit.write_text(unit.read_text().replace(line, broken))
    assert said in analyze("verify", "--man=no", unit).stderr


@each_service
def test_a_service_is_exposed_to_little(installed: Path, name: str) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", installed / name)
    assert done.returncode == 0, done.stdout


def test_a_service_that_is_less_confined_would_be_seen(installed: Path) -> None:
    unit = installed / "airbag-receiver.service"
    unit.write_text(unit.read_text().replace("CapabilityBoundingSet=\n", ""))
    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", unit).returncode != 0


@each_service
def test_a_service_checks_its_configuration_before_it_starts_and_before_it_reloads(name: str) -> None:
    unit = read_unit(FOLDER / name)
    start = unit.one("ExecStart")
    assert unit.one("ExecStartPre") == f"{start} --config.check"
    assert unit.all("ExecReload") == [f"{start} --config.check", "/bin/kill -HUP $MAINPID"]


@each_service
def test_a_service_comes_back_for_ever_and_belongs_to_the_target(name: str) -> None:
    unit = read_unit(FOLDER / name)
    assert (unit.one("Restart"), unit.one("StartLimitIntervalSec", "Unit")) == ("always", "0")
    assert unit.one("After", "Unit") == unit.one("Wants", "Unit") == "network-online.target"
    assert unit.one("PartOf", "Unit") == unit.one("WantedBy", "Install") == "airbag.target"
    assert name in read_unit(FOLDER / "airbag.target").one("Wants", "Unit").split()
    assert unit.all("MemoryMax")
    assert f"`{name.removesuffix('.service')}`" in PAGE


def test_only_the_receiver_writes_outside_of_its_own_folder_and_only_where_models_config_is() -> None:
    writable = {name: read_unit(FOLDER / name).all("ReadWritePaths") for name in SERVICES}
    assert {name: paths for name, paths in writable.items() if paths} == {"airbag-receiver.service": ["/srv/models"]}
    receiver = read_unit(FOLDER / "airbag-receiver.service")
    assert (receiver.one("KillMode"), receiver.seconds("TimeoutStopSec")) == ("mixed", 120)
    assert receiver.one("UMask") == "0022"  # the server, another user, reads what it writes


def test_users_and_folders_that_units_name_are_made() -> None:
    made = re.findall(r"^u (\S+)", (FOLDER / "sysusers.conf").read_text(), re.MULTILINE)
    named = {user for name in SERVICES for user in read_unit(FOLDER / name).all("User")}
    assert named == set(made)
    folders = re.findall(r"^d (\S+)", (FOLDER / "tmpfiles.conf").read_text(), re.MULTILINE)
    assert {"/srv/models", "/etc/airbag/secrets"} <= set(folders)


def test_every_variable_of_a_command_line_has_a_line_in_the_file_for_flags() -> None:
    named = {word for name in SERVICES for word in re.findall(r"\$(AIRBAG\w+)", (FOLDER / name).read_text())}
    assert named == set(environment_file(FOLDER / "airbag.default"))


def test_what_the_receiver_may_not_call_is_what_is_privileged_but_for_a_change_of_owner() -> None:
    allowed = system_calls(read_unit(FOLDER / "airbag-receiver.service").all("SystemCallFilter"))
    assert {"read", "fchown", "kill", "execve"} <= set(allowed)
    assert not {"mount", "ptrace", "setuid", "chroot", "bpf", "reboot"} & set(allowed)


def test_the_configuration_of_one_machine_keeps_its_state_where_units_may_write(tmp_path: Path) -> None:
    sed = ["sed", "-f", str(FOLDER / "one-machine.sed"), str(ROOT / "exporters/exporters.yml")]
    (tmp_path / "exporters.yml").write_text(subprocess.run(sed, capture_output=True, text=True, check=True).stdout)
    config = load_exporters(tmp_path / "exporters.yml")
    folders = {"serving": config.state_folder, "quality": config.quality.state_folder}
    for kind, folder in folders.items():
        unit = read_unit(FOLDER / f"airbag-{kind}-exporter.service")
        assert str(folder) == f"/var/lib/{unit.one('StateDirectory')}"
