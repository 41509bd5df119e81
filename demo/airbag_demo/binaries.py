"""Finds the programs that are not Airbag's: Prometheus, Alertmanager, Grafana."""

from __future__ import annotations

import shutil
from pathlib import Path

from airbag.errors import StartError

_NAMES = {
    "prometheus": ("prometheus",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "grafana": ("grafana-server", "grafana"),
}
_HOW_TO_GET = (
    "On Debian and Ubuntu `make binaries` installs them; on macOS `brew install prometheus alertmanager`; "
    "elsewhere install the upstream release and put it on PATH"
)


def find(program: str) -> Path | None:
    """The program on PATH, or None."""
    found = (shutil.which(name) for name in _NAMES[program])
    return next((Path(path) for path in found if path), None)


def need(*programs: str) -> dict[str, Path]:
    """Where each program is; StartError naming every missing one and how to get it."""
    found = {program: find(program) for program in programs}
    missing = [program for program, path in found.items() if path is None]
    if missing:
        raise StartError(f"not found on PATH: {', '.join(missing)}. {_HOW_TO_GET}")
    return {program: path for program, path in found.items() if path is not None}
