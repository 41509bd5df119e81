"""The `airbag` commands of people, as they run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    "COLUMNS": "220", "PATH": "", "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}  # fmt: skip


def airbag(
    command: str, *arguments: str | Path, token: str | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `token` is what AIRBAG_TOKEN holds, `typed` what the person types."""
    return subprocess.run(
        [sys.executable, "-m", "airbag", command, *map(str, arguments)], capture_output=True, text=True, timeout=180,
        check=False, input=typed, env=ENVIRONMENT | ({"AIRBAG_TOKEN": token} if token else {}),
    )  # fmt: skip
