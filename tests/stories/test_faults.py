"""Faults, through the command that a newcomer runs and the real binaries.

Slow answers are what the story of the dashboards rolls back, errors the one of the golden requests below.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.story
@pytest.mark.usefixtures("releases")
@pytest.mark.parametrize("fault", ["accuracy", "load"])
def test_a_bad_release_is_seen_rolled_back_and_proven_good_again(fault: str, tmp_path: Path) -> None:
    """Given version 2 serving, when a bad version 3 is released, then the stack alone brings 2 back, losing nothing."""
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "airbag", "demo", "--fault", fault, "--report", str(file), "--root", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [report] = json.loads(file.read_text())
    assert report["outcome"] == "recovered"
    assert (report["fault"], report["from_version"], report["to_version"]) == (fault, 2, 3)
    assert report["recovered_seconds"] < 15
    assert report["requests_lost"] == 0
    assert report["requests_total"] > 1000
    assert report["accuracy_after"] == report["accuracy_before"] > 0.9
    stages = [report[f"{stage}_at"] for stage in ("first_bad", "alert", "received", "decided", "acted", "available")]
    assert stages == sorted(stages)
    if fault == "load":
        assert report["accuracy_bad"] is None
    else:
        assert report["first_bad_at"] < report["acted_at"] < report["first_good_at"]
    if fault == "accuracy":
        assert report["accuracy_bad"] < 0.5


@pytest.mark.story
@pytest.mark.usefixtures("releases")
def test_golden_requests_that_fail_call_for_the_rollback_before_any_rule_has_fired(tmp_path: Path) -> None:
    """Given the fast lane, when a version that fails is released, then 2 is back though no rule's delay has passed."""
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "airbag", "demo", "--fault", "errors", "--detection", "direct"]
    command += ["--report", str(file), "--root", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [report] = json.loads(file.read_text())
    assert (report["outcome"], report["requests_lost"]) == ("recovered", 0)
    assert report["alert_at"] - report["first_bad_at"] < 2  # what every rule waits
