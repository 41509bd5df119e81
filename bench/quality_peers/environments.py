"""Virtual environments of peers, made once with pip and kept under .cache/bench-peers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".cache" / "bench-peers"
_PATIENCE = 420  # seconds; the larger of them brings some 60 packages


class NotInstalled(Exception):
    """A peer that cannot be had here; the message is the end of what pip said."""


def python_of(name: str, requirements: tuple[str, ...]) -> Path:
    """The interpreter of the environment that has exactly these requirements; made when it is not there yet."""
    folder = FOLDER / name
    made = folder / "requirements.txt"
    wanted = "".join(f"{each}\n" for each in requirements)
    if not made.exists() or made.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *requirements])
        made.write_text(wanted)
    return folder / "bin" / "python"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        raise NotInstalled(done.stderr.strip()[-300:])
