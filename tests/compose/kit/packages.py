"""What the engine test needs from Debian, without a registry: Compose, buildx, upstream programs, a root file system.

Everything is kept in the cache folder, whole or not at all, and holds nothing of this machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airbag" / "compose"
ROOTFS = CACHE / "rootfs.tar"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_PLUGINS = ("docker-compose", "docker-buildx")
_PACKAGES = (
    "docker-compose/trixie",
    "docker-buildx/trixie",
    "prometheus/trixie",
    "promtool/trixie",
    "prometheus-alertmanager/trixie",
    "victoria-metrics/trixie",
    "busybox-static/bookworm",
    "libc6/bookworm",
    "libzstd1/bookworm",
)
_UNPACKED = CACHE / f"unpacked-{hashlib.sha256(repr(_PACKAGES).encode()).hexdigest()[:8]}"
_ROOTFS_PACKAGES = ("usr-is-merged", "ca-certificates", "python3.11", "python3.11-venv")
_LEFT_OUT = ("doc", "man", "locale", "info")


def ensure() -> None:
    """Fetch what is not there yet: about 115 MB of packages, and 45 MB for the root file system. Needs root."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as beside:
        rootfs = None if ROOTFS.exists() else beside.submit(_make_rootfs)
        if not _UNPACKED.is_dir():
            _unpack(_fetch())
        if rootfs:
            rootfs.result()


def unpacked(package: str) -> Path:
    """The files of one package."""
    return _UNPACKED / package


def client_config() -> Path:
    """The folder for DOCKER_CONFIG: Compose and buildx as plugins, and nothing of this user's."""
    config = CACHE / "client"
    for plugin in _PLUGINS:
        place = config / "cli-plugins" / plugin
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(unpacked(plugin) / "usr/libexec/docker/cli-plugins" / plugin, place)
    return config


def mirror() -> str:
    """The mirror that this machine's apt uses."""
    command = ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = [line for line in _run(command).splitlines() if line.rstrip("/").endswith("/debian")]
    if not found:
        pytest.fail("no mirror of Debian among apt's sources; the engine test builds its images from Debian's packages")
    return found[0]


def _fetch() -> Path:
    apt = CACHE / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    suites = (f"deb [signed-by={_KEYS}] {mirror()} {suite} main\n" for suite in ("trixie", "bookworm"))
    (apt / "sources.list").write_text("".join(suites))
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list", "Dir::Etc::sourceparts": apt / "parts",
        "Dir::State::lists": apt / "lists", "Dir::Cache": apt / "cache", "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "", "Acquire::Languages": "none", "Acquire::Retries": 3,
        "APT::Sandbox::User": "root",
    }  # fmt: skip
    apt_get = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    debs = CACHE / "debs"
    shutil.rmtree(debs, ignore_errors=True)
    debs.mkdir()
    _run([*apt_get, "update"])
    _run([*apt_get, "download", *_PACKAGES], cwd=debs)
    return debs


def _unpack(debs: Path) -> None:
    half = CACHE / "unpacked.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for deb in debs.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(deb), str(half / _run(["dpkg-deb", "-f", str(deb), "Package"]).strip())])
    half.rename(_UNPACKED)
    shutil.rmtree(debs)
    shutil.rmtree(CACHE / "apt")


def _make_rootfs() -> None:
    """Debian 12 with Python and as little more as upstream's slim image has. Made on tmpfs, which is faster."""
    half = CACHE / "rootfs.half.tar"
    shared = Path("/dev/shm")
    options = ['--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Retries "3"',
               '--aptopt=APT::Install-Recommends "false"', "--dpkgopt=force-unsafe-io"]  # fmt: skip
    options += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _LEFT_OUT]
    with tempfile.TemporaryDirectory(
        dir=shared if shared.is_dir() and shutil.disk_usage(shared).free > 2**30 else None
    ) as place:
        _run(["env", f"TMPDIR={place}", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *options,
              "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--include={','.join(_ROOTFS_PACKAGES)}",
              "bookworm", str(half), mirror()])  # fmt: skip
    half.rename(ROOTFS)


def _run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command[:3])} ... failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout
