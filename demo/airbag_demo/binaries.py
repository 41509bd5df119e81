"""Finds what is not Airbag's: Prometheus, Alertmanager, Grafana, and TensorFlow for the demo's own server."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
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


def need_tensorflow() -> None:
    """StartError when the packages of the extra `demo` are missing. Does not import them."""
    missing = [name for name in ("tensorflow", "tensorflow_serving", "sklearn") if find_spec(name) is None]
    if missing:
        raise StartError(
            f"Python packages are missing: {', '.join(missing)}. Use `make demo` or `make up` in a checkout, "
            "or install tfs-airbag[demo]"
        )
