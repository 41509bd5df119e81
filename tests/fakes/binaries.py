"""Finds Prometheus's and Alertmanager's programs for tests. A missing one fails the test; nothing is skipped.

Airbag promises to work with old and new ones. So there are two of each: the system's, and newer ones in a folder that
`make newest` fills.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest

ROOT = Path(__file__).parents[2]
_OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}  # Debian's

Release = Literal["system", "newest"]
RELEASES: tuple[Release, ...] = ("system", "newest")


def find(name: str, release: Release = "system") -> Path:
    """The program of that release; fails the test when it is nowhere.

    The system's stands on PATH or in the checkout's cache.
    """
    search = str(_newest()) if release == "newest" else os.pathsep.join(_system())
    for spelling in (name, _OTHER_NAMES.get(name, name)):
        found = shutil.which(spelling, path=search)
        if found:
            return Path(found)
    if release == "newest":
        pytest.fail(f"{name} is not in {_newest()}; get it with `make newest`")
    pytest.fail(f"{name} is neither on PATH nor in .cache/bin; get it with `make binaries`")


def run(name: str, *arguments: str | Path, release: Release = "system") -> str:
    """Run the program to its end; its whole output. Fails the test with that output when the exit code is not 0."""
    command = [str(find(name, release)), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def version(name: str, release: Release) -> tuple[int, ...]:
    """What the program says that it is: (2, 42, 0)."""
    said = run(name, "--version", release=release)
    numbers = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    assert numbers, f"{name} does not say its version: {said}"
    return tuple(map(int, numbers.groups()))


def _system() -> list[str]:
    return [os.environ.get("PATH", os.defpath), str(ROOT / ".cache" / "bin")]


def _newest() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "airbag" / "newest"
