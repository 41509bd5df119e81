"""One project of docker-compose.yml in a folder of its own: a copy of all that it mounts, which a test may change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.compose.kit import images, packages
from tests.fakes.binaries import ROOT

AIRBAG, DEMO = "airbag-test/airbag:checkout", "airbag-test/demo:checkout"
_COPIED = ("docker-compose.yml", "exporters/exporters.yml", "exporters/monitoring.config", "alertmanager", "prometheus",
           "grafana/provisioning", "grafana/dashboards", "docs/examples")  # fmt: skip
CORE = sorted(
    name for name, service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].items()
    if "profiles" not in service
)  # fmt: skip
"""The services that are always there."""

RELEASES = packages.CACHE / "releases"


class Failed(AssertionError):
    """A command of the engine's failed; what it said is the message."""


class Stack:
    """A project. `variables` are those of docker-compose.yml; `env` is that of the engine's client."""

    def __init__(self, folder: Path, name: str, env: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.name = name
        self._env = dict(env) | images.OVERRIDES | {"AIRBAG_IMAGE": AIRBAG, "AIRBAG_DEMO_IMAGE": DEMO} | dict(variables)
        for shipped in _COPIED:
            source, target = ROOT / shipped, folder / shipped
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        subprocess.run([ROOT / "demo/secrets.sh"], cwd=folder, check=True, capture_output=True)
        (folder / "test.yml").write_text(yaml.safe_dump({"volumes": {"demo-releases": _kept_releases()}}))

    def compose(self, *words: str, timeout: float = 300, profile: str = "", files: Sequence[str] = ()) -> str:
        """`docker compose ...`; its output. Failed with all it said otherwise."""
        named = ["docker-compose.yml", "test.yml", *files]
        options = ["--ansi=never", "--progress=plain", f"--project-name={self.name}"]
        options += [f"--file={name}" for name in named] + ([f"--profile={profile}"] if profile else [])
        return self.docker("compose", *options, *words, timeout=timeout)

    def docker(self, *words: str, timeout: float = 60) -> str:
        """`docker ...`; its output. Failed with all it said otherwise."""
        done = subprocess.run(
            ["docker", *words], cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=timeout,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise Failed(
                f"docker {' '.join(words)}: exit code {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
            )
        return done.stdout

    def run_in(self, service: str, *command: str) -> str:
        """The output of a command inside a running service."""
        return self.docker("exec", self.container(service), *command)

    def container(self, service: str) -> str:
        """The name of the service's container."""
        return f"{self.name}-{service}-1"

    def inspect(self, service: str) -> dict[str, Any]:  # Any: JSON
        """All that the engine knows of the service's container."""
        [found] = json.loads(self.docker("inspect", self.container(service)))
        return dict(found)

    def get(self, service: str, url: str) -> Any:  # Any: JSON
        """What a service whose image has wget gets from that address."""
        return json.loads(self.run_in(service, "wget", "-q", "-O-", url))

    def services(self) -> list[str]:
        """The services that have a container."""
        listed = self.docker("ps", "-a", f"--filter=label=com.docker.compose.project={self.name}",
                             "--format={{.Label \"com.docker.compose.service\"}}")  # fmt: skip
        return sorted(listed.split())

    def log(self, service: str) -> str:
        """All that a service has said, also before it was restarted."""
        command = ["docker", "logs", self.container(service)]
        done = subprocess.run(
            command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout

    def logs(self) -> str:
        """The last lines of everybody."""
        return self.compose("logs", "--no-color", "--tail=25", profile="*")

    def down(self) -> None:
        """Take everything away, volumes too."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=5", profile="*")

    def leftovers(self) -> str:
        """Containers, volumes and networks of this project that are there."""
        mine = f"--filter=label=com.docker.compose.project={self.name}"
        return "".join(self.docker(*words, mine, "-q") for words in (("ps", "-a"), ("volume", "ls"), ("network", "ls")))


def _kept_releases() -> dict[str, Any]:  # Any: YAML
    """The volume of trained releases as a folder that outlives the test: training takes a while."""
    RELEASES.mkdir(parents=True, exist_ok=True)
    os.chown(RELEASES, 10001, 10001)
    return {"driver_opts": {"type": "none", "o": "bind", "device": str(RELEASES)}}


def build(env: Mapping[str, str], folder: Path) -> None:
    """Both images from the checkout, marked as made on a stand-in."""
    mark = {"labels": {"airbag.standin": "built on one"}}
    (folder / "labels.yml").write_text(
        yaml.safe_dump({"services": {name: {"build": mark} for name in ("receiver", "trainer")}})
    )
    command = ["docker", "compose", "--ansi=never", "--progress=plain", f"--project-directory={ROOT}",
               f"--file={ROOT / 'docker-compose.yml'}", f"--file={folder / 'labels.yml'}", "--profile=demo",
               "build", "receiver", "trainer"]  # fmt: skip
    done = subprocess.run(
        command, env=dict(env) | {"AIRBAG_IMAGE": AIRBAG, "AIRBAG_DEMO_IMAGE": DEMO}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"docker compose build:\n{done.stdout[-3000:]}{done.stderr[-6000:]}")
