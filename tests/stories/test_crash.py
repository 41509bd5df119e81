"""The receiver dies at the worst moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbag.serving.model_config import ModelConfigFile
from airbag_demo.releases import MODEL, publish
from airbag_demo.stack import Stack, running
from airbag_demo.story import BAD, TERMINAL, actions, release, traffic
from tests.fakes.cable import Cable
from tests.fakes.wait import until


@pytest.mark.story
def test_a_receiver_killed_between_taking_an_alert_and_acting_still_rolls_back_once(
    stack: Stack, releases: Path
) -> None:
    """Given an alert that is on disk and not decided, when the receiver is killed and started, one rollback follows."""
    config = ModelConfigFile(stack.store / "models.config")
    with Cable(stack.ports["prometheus"]) as to_prometheus:
        to_prometheus.cut("silent")
        policy = stack.file("alertmanager/policy.yml")
        prometheus = f"127.0.0.1:{stack.ports['prometheus']}"
        policy.write_text(policy.read_text().replace(prometheus, f"127.0.0.1:{to_prometheus.port}"))
        with running(stack) as processes, traffic(stack, releases) as client:
            until(lambda: len(client.seen.all()) > 800, timeout=60, what="a history of version 2")
            publish(releases / "faults" / "errors", stack.store / MODEL, BAD)
            release(stack, BAD)
            released = config.read().generation
            until(lambda: actions(stack), timeout=60, what="the alert at the receiver", every=0.2)
            processes.kill("receiver")
            assert config.read().generation == released, "the receiver acted without having asked Prometheus"

            to_prometheus.mend()
            processes.restart("receiver")
            until(
                lambda: any(action["state"] in TERMINAL - {"SUPPRESSED"} for action in actions(stack)),
                timeout=90, what="the end of the rollback", every=0.2,
            )  # fmt: skip
        assert [action["state"] for action in actions_on_disk(stack)] == ["SUCCEEDED"]
    after = config.read()
    assert after.versions(MODEL) == (2,)
    assert after.generation == released + 1, "the file was written more than once"


def actions_on_disk(stack: Stack) -> list[dict[str, str]]:
    """The actions that had or have an effect, from the journal itself."""
    import sqlite3

    with sqlite3.connect(stack.run / "airbag" / "journal.sqlite") as journal:
        rows = journal.execute("SELECT state FROM actions WHERE state != 'SUPPRESSED'").fetchall()
    return [{"state": state} for (state,) in rows]
