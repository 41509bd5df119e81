"""The container engine: the one that runs, or one of our own, with its data in the cache and ended after the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.compose.kit import packages
from tests.fakes.wait import until

_REMEDY = "get it with `demo/bootstrap.sh engine` as root (Debian: docker.io, iptables, mmdebstrap)"
_SOCKET = packages.CACHE / "engine.sock"


def need() -> None:
    """Fail, with the remedy, when this machine cannot run the test."""
    missing = [name for name in ("docker", "dockerd", "iptables", "mmdebstrap") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} not on PATH; {_REMEDY}")
    if os.geteuid() != 0:
        pytest.fail(
            "the engine test builds a root file system and starts an engine: run it as root (sudo make test-compose)"
        )


@contextmanager
def running(log: Path) -> Iterator[dict[str, str]]:
    """An engine; yields the environment for its client. One that runs on the standard socket is used and left alone."""
    client = os.environ | {"DOCKER_CONFIG": str(packages.client_config()), "DOCKER_BUILDKIT": "1"}
    if "DOCKER_HOST" in os.environ or _answers(client):
        yield client
        return
    own = client | {"DOCKER_HOST": f"unix://{_SOCKET}"}
    flags = [f"--data-root={packages.CACHE / 'engine'}", f"--exec-root={packages.CACHE / 'engine-run'}",
             f"--pidfile={packages.CACHE / 'engine.pid'}", f"--host=unix://{_SOCKET}"]  # fmt: skip
    with log.open("wb") as output:
        child = subprocess.Popen(["dockerd", *flags], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        until(lambda: child.poll() is not None or _answers(own), timeout=60, what=f"dockerd ({log})", every=0.2)
        if child.poll() is not None:
            pytest.fail(f"dockerd ended: {log.read_text()[-2000:]}")
        yield own
    finally:
        child.terminate()
        child.wait(60)


def _answers(env: dict[str, str]) -> bool:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, capture_output=True, check=False, env=env).returncode == 0
