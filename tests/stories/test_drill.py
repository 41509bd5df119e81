"""A drill on a live stack: through the real Prometheus, Alertmanager and receiver."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from airbag.serving.model_config import ModelConfigFile
from airbag_demo.releases import MODEL, publish
from airbag_demo.stack import Stack, running
from airbag_demo.story import release
from airbag_rollback.drill import STAGES
from airbag_rollback.journal.peek import peek
from tests.fakes.wait import until


def drill(stack: Stack) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airbag", "drill", MODEL, "--receiver.url", stack.url("receiver")]
    command += ["--token-file", str(stack.operator_token_file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def serves_for(stack: Stack, version: int) -> float:
    """For how many seconds the receiver has seen it serve."""
    with peek(stack.run / "airbag" / "journal.sqlite") as journal:
        found = {each.version: each.soak for each in journal.ledger.served("main", MODEL, time.time())}
    return found.get(version, 0.0)


@pytest.mark.story
def test_a_drill_passes_every_stage_and_says_which_one_it_does_not_pass(stack: Stack, releases: Path) -> None:
    """Given a good release over a proven version, when a drill is ordered, it passes; without Prometheus it says so."""
    config = ModelConfigFile(stack.store / "models.config")
    with running(stack) as processes:
        until(lambda: serves_for(stack, 2) > 11, timeout=90, what="proof of version 2", every=0.5)
        publish(releases / "good" / "2", stack.store / MODEL, 3)
        release(stack, 3)
        until(lambda: serves_for(stack, 3) > 0, timeout=60, what="version 3", every=0.5)
        before = config.read().text
        done = drill(stack)
        assert done.returncode == 0, done.stdout + done.stderr
        told = [line.split()[2] for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
        assert told == list(STAGES)
        assert "would have gone back to 2" in done.stdout
        assert config.read().text == before

        processes.kill("prometheus")
        done = drill(stack)
        assert done.returncode == 1
        assert "failed before it was decided: no alert could be judged" in done.stderr
        assert config.read().text == before
