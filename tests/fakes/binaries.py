"""Finds Prometheus's and Alertmanager's programs for tests. A missing one fails the test; nothing is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}  # Debian's


def find(name: str) -> Path:
    """The program on PATH or in the checkout's cache; fails the test when it is nowhere."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), str(ROOT / ".cache" / "bin")])
    for spelling in (name, _OTHER_NAMES.get(name, name)):
        found = shutil.which(spelling, path=search)
        if found:
            return Path(found)
    pytest.fail(f"{name} is neither on PATH nor in .cache/bin; get it with `make binaries`")


def run(name: str, *arguments: str | Path) -> str:
    """Run the program to its end; its whole output. Fails the test with that output when the exit code is not 0."""
    command = [str(find(name)), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout
