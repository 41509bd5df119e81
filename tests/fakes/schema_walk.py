"""schemathesis against a running receiver: every operation of its OpenAPI, by somebody with given headers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def walk(
    url: str, headers: Mapping[str, str], folder: Path, *, examples: int, phases: str, skipped: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it in `folder`, the same requests each time. It exits 0 when every answer is as described and none is 5xx."""
    command = [
        str(SCHEMATHESIS), "run", f"{url}/openapi.json", "--phases", phases, "--max-examples", str(examples),
        "--seed", "1", "--no-color", "--generation-database", "none", "--continue-on-failure",
        *(part for name, text in headers.items() for part in ("--header", f"{name}: {text}")),
        *(("--exclude-checks", skipped) if skipped else ()),
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
