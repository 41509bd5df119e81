"""Two real receivers on one journal; the leader is stopped in the middle of an action and goes on later."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import requests

from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.journal.verify import verify_journal
from tests.fakes.rollback import AUDIT_KEY, Process, Surroundings, alert, process
from tests.fakes.wait import until


def leads(receiver: Process) -> bool:
    page = requests.get(f"{receiver.url}/metrics", timeout=10).text
    return bool(re.search(r"^airbag_rollback_leader 1\.0$", page, re.MULTILINE))


@contextmanager
def paused(receiver: Process) -> Iterator[None]:
    """Stop the process, not while it writes: then the journal would be its own until it goes on."""
    journal = receiver.around.folder / "journal" / "journal.sqlite"

    def stopped() -> bool:
        receiver.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, receiver.process.pid, os.WSTOPPED | os.WNOWAIT)
        with closing(sqlite3.connect(journal, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                receiver.process.send_signal(signal.SIGCONT)
                return False
        return True

    until(stopped, what="the leader to be stopped outside of a transaction")
    try:
        yield
    finally:
        receiver.process.send_signal(signal.SIGCONT)


@pytest.fixture
def pair(around: Surroundings) -> Iterator[tuple[Process, Process]]:
    """The leader and the standby; version 3 was released over a proven 2 and is bad."""
    around.write_policy(soak_min="200ms")
    with process(around) as first, process(around) as second:
        until(lambda: (leads(first), leads(second)) == (True, False), timeout=30, what="the first to lead")
        until(lambda: first.sees(2), what="the ledger to see 2")
        around.release(2, 3)
        until(lambda: first.sees(3), what="the ledger to see 3")
        around.bad_release()
        yield first, second


def one_effect(around: Surroundings) -> None:
    journal = around.folder / "journal" / "journal.sqlite"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM effects").fetchone() == (1,)
        fences = [fence for (fence,) in connection.execute("SELECT json_extract(record, '$.fence') FROM audit "
                                                           "WHERE kind = 'transition' ORDER BY seq")]  # fmt: skip
    assert fences == sorted(fences), "a lower fence acted after a higher one"
    assert around.serving.switches == [("digits", (2,))]
    assert around.named() == (2,)
    assert ModelConfigFile(around.models_config).read().fence == fences[-1] > 1
    assert verify_journal(journal, [AUDIT_KEY.encode()]).wrong is None


def ended(receiver: Process) -> bool:
    return [action["state"] for action in receiver.actions()] == ["SUCCEEDED"]


def test_a_leader_paused_while_it_judges_finds_its_place_taken(
    pair: tuple[Process, Process], around: Surroundings
) -> None:
    first, second = pair
    around.prometheus.open.clear()
    assert first.post(alert()) == 202
    until(lambda: around.prometheus.asked, what="a question to Prometheus")
    with paused(first):
        around.prometheus.open.set()
        until(lambda: leads(second), timeout=30, what="the standby to lead")
        until(lambda: ended(second), timeout=60, what="the second to act")
    until(lambda: not leads(first), timeout=30, what="the first to stand by")
    one_effect(around)
    assert around.serving.reloads == 1
    refused = re.compile(r"this receiver had fence \d+; another one leads under fence \d+")
    log = around.folder / "receiver.log"
    until(lambda: refused.search(log.read_text()), timeout=30, what="its hand to be refused")
    assert "as standby" in requests.get(f"{first.url}/-/ready", timeout=10).text
    assert first.post(alert()) == 202, "it takes alerts all the same"
    until(lambda: ended(first), what="the repeated alert to change nothing")


def test_a_leader_paused_in_the_middle_of_the_touch_makes_no_second_one(
    pair: tuple[Process, Process], around: Surroundings
) -> None:
    """It holds the lock of models.config meanwhile: the new leader waits for that, and reads what was done."""
    first, second = pair
    around.serving.reloads_open.clear()
    assert first.post(alert()) == 202
    until(lambda: around.serving.reloads == 1, what="the reload")
    with paused(first):
        around.serving.reloads_open.set()
        until(lambda: leads(second), timeout=30, what="the standby to lead")
        until(lambda: second.actions()[0]["fence"] > 1, timeout=30, what="the action to go over")
    until(lambda: ended(second), timeout=60, what="the second to finish")
    until(lambda: not leads(first), timeout=30, what="the first to stand by")
    events = [each["after"] for each in second.get("/v1/actions/1")["events"]]
    assert events.count("ARMED") == 1
    assert events[-1] == "SUCCEEDED"
