"""A real pair of Alertmanagers, the real receiver, and whatever a pair does to messages: one effect each time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.fakes.pair import PEER_TIMEOUT, Place, place
from tests.fakes.wait import until

DOWN = 25.0
"""Seconds; both members have given up on their first message and tried anew by then."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("pair")) as found:
        yield found


def acted_once(here: Place, version: int, generation: int) -> None:
    """One action, one intent, one write of models.config, one switch at the server."""
    assert here.effects(version) == [2]
    assert [each.state for each in here.actions(version) if each.armed_at] == ["SUCCEEDED"]
    assert here.generation() == generation + 1
    assert [versions for model, versions in here.around.serving.switches if model == "digits"] == [(2,)]
    assert here.around.named() == (2,)


@pytest.mark.story
def test_a_receiver_that_was_away_for_longer_than_the_peers_wait_acts_once(here: Place) -> None:
    """Given an alert that fires on and is stamped anew, when the receiver comes back, both tell it and it acts once."""
    here.release(3)
    generation = here.generation()
    here.kill_receiver()
    with here.fault(3, restamps=True):
        end = time.monotonic() + DOWN
        until(lambda: len(here.relay.statuses(3, 503)) > 3, timeout=60, what="messages that nobody took")
        time.sleep(max(0.0, end - time.monotonic()))
        here.start_receiver()
        until(lambda: here.ended(3), timeout=90, what="the rollback")
        until(lambda: len(here.relay.statuses(3)) > 1, timeout=120, what="the same message again")
    acted_once(here, 3, generation)


@pytest.mark.story
def test_a_resolved_that_overtakes_its_firing_starts_nothing_and_ends_nothing(here: Place) -> None:
    """Given a queue that holds the firing, when the resolved comes first, the firing is still judged anew, once."""
    here.release(4)
    generation = here.generation()
    here.relay.holds_firing = True
    prometheus = here.fault(4)
    began = datetime.now(UTC)
    prometheus.post(began)
    until(lambda: here.relay.held, timeout=30, what="the firing")
    prometheus.post(began, ended=datetime.now(UTC))
    until(lambda: "resolved" in here.relay.statuses(4), timeout=60, what="the resolved")
    assert here.actions(4) == []
    here.relay.let_go()
    until(lambda: here.ended(4), timeout=90, what="the rollback")
    acted_once(here, 4, generation)


@pytest.mark.story
def test_a_receiver_that_stands_still_gets_every_message_from_both_and_acts_once(here: Place) -> None:
    """Given a receiver that hangs for longer than the peers wait, both deliver; what comes twice is one rollback."""
    here.release(5)
    generation = here.generation()
    assert here.receiver is not None
    os.kill(here.receiver.pid, signal.SIGSTOP)
    try:
        with here.fault(5):
            time.sleep(3 * PEER_TIMEOUT)
    finally:
        os.kill(here.receiver.pid, signal.SIGCONT)
    until(lambda: here.ended(5), timeout=90, what="the rollback")
    until(lambda: len(here.relay.statuses(5)) > 1, timeout=60, what="the message of the other one")
    acted_once(here, 5, generation)


@pytest.mark.story
def test_members_that_are_killed_after_their_2xx_tell_it_again_and_it_stays_one_effect(here: Place) -> None:
    """Given a delivery that was answered, when both forget it by a SIGKILL, the second delivery changes nothing."""
    here.release(6)
    generation = here.generation()
    with here.fault(6):
        until(lambda: here.relay.statuses(6), timeout=60, what="the first 2xx")
        for each in here.pair:
            here.processes.kill(each.program.name)
        until(lambda: here.ended(6), timeout=90, what="the rollback")
        before = len(here.relay.statuses(6))
        for each in here.pair:
            here.processes.start(each.program)
        here.processes.wait_ready()
        until(here.settled, timeout=90, what="the pair back together")
        until(lambda: len(here.relay.statuses(6)) > before, timeout=60, what="the same again")
    acted_once(here, 6, generation)
