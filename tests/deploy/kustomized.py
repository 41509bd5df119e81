"""Renders the Kubernetes examples with kustomize, and gives the objects by kind and name."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.binaries import ROOT

FOLDER = ROOT / "docs/examples/kubernetes"
OVERLAYS = ("example", "ha", "operator", "kube-prometheus")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

Object = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """The objects that one overlay makes."""

    objects: list[Object]

    def of(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def get(self, kind: str, name: str) -> Object:
        [found] = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    def copy(self) -> Cluster:
        return Cluster(copy.deepcopy(self.objects))

    def pods(self) -> list[Object]:
        """Each workload's pod template, with the name of the workload."""
        return [
            each["spec"]["template"] | {"name": each["metadata"]["name"], "workload": each}
            for each in self.of(*WORKLOADS)
        ]

    def containers(self) -> Iterator[tuple[Object, Object]]:
        """Each pod with each of its containers."""
        for pod in self.pods():
            for container in pod["spec"]["containers"]:
                yield pod, container


def kustomize() -> Path:
    """The program: Debian's newest, which `make newest` unpacks; its own fetches nothing."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    found = shutil.which("kustomize", path=f"{Path(cache) / 'airbag' / 'newest'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail("kustomize is neither on PATH nor among the programs of `make newest`")
    return Path(found)


def build(folder: Path) -> str:
    command = [str(kustomize()), "build", "--load-restrictor", "LoadRestrictionsNone", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(overlay: str) -> Cluster:
    return Cluster(list(yaml.load_all(build(FOLDER / "overlays" / overlay), yaml.CSafeLoader)))
