"""A short run of each fuzzer; its own docstring says how to run it longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris has no wheel for this platform")
FUZZERS = sorted(path.name for path in Path(__file__).parent.glob("fuzz_*.py"))


@pytest.mark.parametrize("name", FUZZERS)
def test_a_short_run_finds_nothing_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    command = [sys.executable, Path(__file__).with_name(name), "-runs=20000", "-max_total_time=15"]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(command, cwd=tmp_path, env={"TMPDIR": str(temporary)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done" in done.stderr
    assert list(tmp_path.rglob("*")) == [temporary]
