"""Every command line of the units, started as it stands and confined as told, with the files that the page makes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from tests.deploy.units import FOLDER, SERVICES, Unit, environment_file, read_unit, system_calls, words
from tests.fakes.binaries import ROOT, run
from tests.fakes.ports import free_port
from tests.fakes.wait import until

AIRBAG = Path(sys.executable).parent / "airbag"
CONFINED = Path(__file__).with_name("confined.py")
PLACES = ("/etc/", "/srv/", "/var/lib/", "/run/credentials/")


def blocks(heading: str) -> str:
    """The commands under a heading of the page."""
    page = (ROOT / "docs/systemd.md").read_text()
    part = re.split(r"^## ", page.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", part, re.MULTILINE | re.DOTALL))


def moved(text: str, root: Path) -> str:
    """The text with every place of an installation under `root`."""
    return re.sub(rf"(?<![\w.-])(?={'|'.join(PLACES)})", str(root), text)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The machine's folders after the commands of `Configuration`."""
    root = tmp_path_factory.mktemp("machine")
    for folder in ("etc/airbag/secrets", "srv/models/digits/1", "var/lib", "run/credentials", "etc/prometheus"):
        (root / folder).mkdir(parents=True)
    # What is written into files stays as it is on a real machine; only where the files go is moved.
    script = re.sub(r"\bsudo (?!-)", "", blocks("Configuration"))
    script = re.sub(rf"(?<=[ \"])(?={'|'.join(PLACES)})", str(root), script)
    done = subprocess.run(["sh", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (root / "srv/models/models.config").write_text("model_config_list {}\n")
    return root


def test_the_commands_leave_no_address_and_no_path_of_containers(installed: Path) -> None:
    for path in sorted((installed / "etc").rglob("*.yml")):
        code = "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())
        assert not re.findall(r"(?:exporter|receiver|people|tf-serving|prometheus|alertmanager):\d+", code), path
        assert not re.findall(r"(?<![\w.-])/(?:models|run/secrets/airbag|etc/alertmanager)\b", code), path


def test_prometheus_and_alertmanager_accept_the_files_that_the_commands_make(installed: Path) -> None:
    folder = installed / "etc/prometheus"
    for name in ("prometheus.yml", "alertmanager.yml"):
        path = folder / name
        path.with_suffix(".moved").write_text(moved(path.read_text(), installed))
    credentials = installed / "run/credentials/prometheus-alertmanager.service"
    credentials.mkdir(exist_ok=True)
    (credentials / "airbag_webhook_token").write_text("x")
    assert "SUCCESS" in run("promtool", "check", "config", folder / "prometheus.moved")
    assert "SUCCESS" in run("amtool", "check-config", folder / "alertmanager.moved")


def test_secrets_that_exist_are_kept(installed: Path) -> None:
    folder = installed / "etc/airbag/secrets"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    script = moved(re.sub(r"\bsudo (?!-)", "", blocks("Configuration").splitlines()[-1]), installed)
    subprocess.run(["sh", "-euc", script], cwd=ROOT, check=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def prepared(unit: Unit, root: Path, port: int) -> dict[str, str]:
    """What systemd would prepare: credentials, folders and the environment. The processes listen on `port`."""
    for credential in unit.all("LoadCredential"):
        name, _, source = credential.partition(":")
        target = root / "run/credentials" / unit.name / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(Path(moved(source, root)).read_bytes())
    for folder in unit.all("StateDirectory"):
        (root / "var/lib" / folder).mkdir(exist_ok=True)
    for path in (root / "etc/airbag").glob("*.yml"):  # what it names is under the root too
        path.write_text(re.sub(rf"(?<![\w./-])(?={'|'.join(PLACES)})", str(root), path.read_text()))
    flags = dict.fromkeys(environment_file(FOLDER / "airbag.default"), f"--web.listen-address=127.0.0.1:{port}")
    return flags | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        **dict(pair.split("=", 1) for pair in unit.all("Environment")),
    }


def command(unit: Unit, line: str, root: Path, environment: dict[str, str]) -> list[str]:
    found = words(moved(line, root), environment)
    program = str(AIRBAG) if found[0] == "/opt/airbag/bin/airbag" else found[0]
    calls = ",".join(system_calls(unit.all("SystemCallFilter")))
    return [sys.executable, str(CONFINED), calls, program, *found[1:]]


@contextmanager
def started(unit: Unit, root: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log = root / f"{unit.name}.log"
    line = command(unit, unit.one("ExecStart"), root, environment)
    with log.open("wb") as output, subprocess.Popen(line, env=environment, stdout=output, stderr=output) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("name", SERVICES)
def test_the_process_of_a_unit_is_ready_reloads_and_ends_in_its_time(name: str, installed: Path) -> None:
    unit, port = read_unit(FOLDER / name), free_port()
    environment = prepared(unit, installed, port)
    log = installed / f"{name}.log"
    before = command(unit, unit.one("ExecStartPre"), installed, environment)
    done = subprocess.run(before, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    with started(unit, installed, environment) as child:

        def answers(path: str) -> bool:
            assert child.poll() is None, log.read_text()
            return requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200

        until(lambda: answers("/-/healthy"), timeout=60, what="healthy")
        until(lambda: answers("/-/ready"), timeout=60, what="ready")
        os.kill(child.pid, signal.SIGHUP)  # as ExecReload does
        until(lambda: "configuration reloaded" in log.read_text(), timeout=30, what="the reload")
        child.send_signal(signal.SIGTERM)
        assert child.wait(unit.seconds("TimeoutStopSec")) == 0, log.read_text()
    assert "PermissionError" not in log.read_text()


def confined(name: str, source: str) -> subprocess.CompletedProcess[str]:
    """Python source under the confinement of a unit."""
    calls = ",".join(system_calls(read_unit(FOLDER / name).all("SystemCallFilter")))
    line = [sys.executable, str(CONFINED), calls, sys.executable, "-c", source]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_the_confinement_of_these_tests_is_real() -> None:
    source = "import ctypes; print(ctypes.CDLL(None, use_errno=True).chroot(b'/'), ctypes.get_errno())"
    assert confined("airbag-receiver.service", source).stdout.split() == ["-1", "1"]
    source = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)"
    assert "PermissionError" in confined("airbag-receiver.service", source).stderr


def test_the_receiver_may_replace_models_config_and_hand_it_to_the_owner_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text("model_config_list {}\n")
    source = f"""
import os
from airbag.serving.model_config import ModelConfigFile
os.chown({str(path)!r}, os.getuid(), os.getgid())
file = ModelConfigFile({str(path)!r})
with file.locked():
    file.replace(file.read(), "model_config_list {{}}  # new")
"""
    done = confined("airbag-receiver.service", source)
    assert done.returncode == 0, done.stderr
    assert "# new" in path.read_text()
    assert "PermissionError" in confined("airbag-serving-exporter.service", source).stderr  # it need not


def test_the_users_that_the_units_need_are_made_and_nobody_can_log_in_as_them(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    root = f"--root={tmp_path}"
    subprocess.run(["systemd-sysusers", root, "-"], input=(FOLDER / "sysusers.conf").read_bytes(), check=True)
    passwd = (tmp_path / "etc/passwd").read_text()
    assert {line.split(":")[0] for line in passwd.splitlines()} == {"airbag", "tfserving"}
    assert all(line.endswith("/nologin") for line in passwd.splitlines())


def test_the_page_s_shell_is_shell() -> None:
    for heading in ("Install", "Configuration", "Start", "Upgrade", "Uninstall"):
        assert subprocess.run(["sh", "-n", "-c", blocks(heading)], check=False).returncode == 0
        for line in blocks(heading).splitlines():
            for word in shlex.split(line):
                if word.startswith(("docs/", "exporters/", "alertmanager/", "requirements/")):
                    assert list(ROOT.glob(word)), word


def test_what_the_page_wants_of_tensorflow_serving_is_what_compose_gives_it() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["tf-serving"]["command"]
    wanted = {flag.replace("/models/", "/srv/models/") for flag in compose if not flag.endswith("poll_wait_seconds=5")}
    page = (ROOT / "docs/systemd.md").read_text()
    assert all(flag in page for flag in wanted)
