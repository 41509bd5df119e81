"""Two real receivers on one PostgreSQL journal, as on two hosts, and everything that may part them from it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from airbag.cli import airbag
from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.journal.verify import verify_journal
from airbag_rollback.place import PostgresqlJournal
from tests.fakes.cable import Cable, Condition
from tests.fakes.postgres_server import PostgresServer, postgres_server
from tests.fakes.rollback import AUDIT_KEY, Process, Surroundings, alert, process
from tests.fakes.wait import until

pytestmark = pytest.mark.long


@dataclass
class Site:
    """The surroundings, and the database that both receivers share."""

    around: Surroundings
    server: PostgresServer
    name: str

    @property
    def place(self) -> PostgresqlJournal:
        return self.server.place(self.name)

    def policy(self, port: int | None = None) -> Path:
        """A policy file for one host, which reaches the database by `port`."""
        words = self.server.words(self.name, port)
        secret = f"password: {{file: {self.server.password_file}}}"
        self.around.write_policy(journal=f'{{postgresql: "{words}", {secret}, folder: host}}', soak_min="200ms")
        path = self.around.folder / f"policy-{port or 'direct'}.yml"
        path.write_text(self.around.policy_file.read_text())
        return path

    def one_effect(self) -> None:
        """Whatever happened: one intent, one touch, no lower fence after a higher one, and an audit that verifies."""
        assert self.server.execute("SELECT count(*) FROM effects", self.name) == [(1,)]
        fences = [
            fence
            for (fence,) in self.server.execute(
                "SELECT record::json->>'fence' FROM audit WHERE kind = 'transition' ORDER BY seq", self.name
            )
        ]
        assert fences == sorted(fences, key=int)
        assert self.around.serving.switches == [("digits", (2,))]
        assert self.around.named() == (2,)
        assert 0 < ModelConfigFile(self.around.models_config).read().fence <= int(str(fences[-1]))
        assert verify_journal(self.place, [AUDIT_KEY.encode()]).is_good


@pytest.fixture
def site(around: Surroundings, postgres: PostgresServer) -> Site:
    return Site(around, postgres, postgres.database())


def leads(receiver: Process) -> bool:
    page = requests.get(f"{receiver.url}/metrics", timeout=20).text
    return bool(re.search(r"^airbag_rollback_leader 1\.0$", page, re.MULTILINE))


def ended(receiver: Process) -> bool:
    return [action["state"] for action in receiver.actions()] == ["SUCCEEDED"]


def ready(receiver: Process) -> int:
    return requests.get(f"{receiver.url}/-/ready", timeout=20).status_code


def stopped(receiver: Process) -> bool:
    state = Path(f"/proc/{receiver.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@contextmanager
def pair(site: Site, first: Path | None = None, failpoint: str = "") -> Iterator[tuple[Process, Process]]:
    """The leader and the standby; version 3 was released over a proven 2 and is bad."""
    around = site.around
    with ExitStack() as stack:
        leader = stack.enter_context(process(around, first or site.policy(), failpoint))
        stack.callback(lambda: leader.process.send_signal(signal.SIGCONT) if leader.process.poll() is None else None)
        until(lambda: leads(leader), timeout=60, what="the first to lead")
        standby = stack.enter_context(process(around, site.policy()))
        until(lambda: leader.sees(2), timeout=60, what="the ledger to see 2")
        around.release(2, 3)
        until(lambda: leader.sees(3), timeout=60, what="the ledger to see 3")
        around.bad_release()
        yield leader, standby


def test_a_leader_stopped_in_the_middle_of_the_touch_is_fenced_and_makes_no_second_one(site: Site) -> None:
    with pair(site) as (first, second):
        site.around.serving.reloads_open.clear()
        assert first.post(alert()) == 202
        until(lambda: site.around.serving.reloads == 1, timeout=60, what="the reload")
        first.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, first.process.pid, os.WSTOPPED | os.WNOWAIT)
        site.around.serving.reloads_open.set()
        until(lambda: leads(second), timeout=60, what="the standby to lead")
        until(lambda: second.actions()[0]["fence"] > 1, timeout=60, what="the action to go over")
        first.process.send_signal(signal.SIGCONT)
        until(lambda: ended(second), timeout=60, what="the second to finish")
        until(lambda: not leads(first), timeout=60, what="the first to stand by")
        assert first.post(alert()) == 202, "it takes alerts all the same"
        until(lambda: ended(first), what="the repeated alert to change nothing")
        refused = re.compile(r"this receiver had fence \d+; another one leads under fence \d+|session timeout")
        log = site.around.folder / "receiver.log"
        until(lambda: refused.search(log.read_text()), timeout=30, what="its hand to be refused")
        site.one_effect()


def test_a_leader_stopped_in_the_middle_of_a_commit_does_not_hold_the_journal(site: Site) -> None:
    """What it was about to commit is lost: its session and its locks end while it sleeps."""
    with pair(site, failpoint="stop:hand: before the commit of arming") as (first, second):
        assert second.post(alert()) == 202
        until(lambda: stopped(first), timeout=60, what="the leader to stop")
        until(lambda: ended(second), timeout=60, what="the second to do all of it")
        first.process.send_signal(signal.SIGCONT)
        until(lambda: "as standby" in requests.get(f"{first.url}/-/ready", timeout=20).text, timeout=60, what="standby")
        site.one_effect()


@pytest.mark.parametrize(
    "place",
    [
        "hand: before the commit of arming", "hand: after models.config is replaced", "hand: after the reload of one",
        "hand: before the commit of VERIFY_OUTCOME>SUCCEEDED",
    ],
    ids=["before the intent", "written", "told", "before the end"],
)  # fmt: skip
def test_a_leader_that_is_killed_is_followed_by_one_that_finishes(site: Site, place: str) -> None:
    with pair(site, failpoint=f"kill:{place}") as (first, second):
        assert second.post(alert()) == 202
        until(lambda: first.process.poll() == -9, timeout=60, what="the leader to die")
        until(lambda: ended(second), timeout=90, what="the standby to finish")
        site.one_effect()


@pytest.mark.parametrize("how", ["silent", "refusing"])
def test_a_leader_cut_off_from_the_journal_acts_no_more_and_the_standby_does(site: Site, how: Condition) -> None:
    with Cable(site.server.port) as cable, pair(site, site.policy(cable.port)) as (first, second):
        site.around.prometheus.open.clear()
        assert first.post(alert()) == 202
        until(lambda: site.around.prometheus.asked, timeout=60, what="a question to Prometheus")
        cable.cut(how)
        until(lambda: leads(second), timeout=60, what="the standby to lead")
        assert not leads(first)
        assert first.post(alert()) == 503, "Alertmanager tells it again"
        assert ready(first) == 503
        assert "airbag_rollback_journal_writable 0.0\n" in requests.get(f"{first.url}/metrics", timeout=20).text
        site.around.prometheus.open.set()
        until(lambda: ended(second), timeout=60, what="the standby to finish")
        reloads = site.around.serving.reloads
        cable.mend()
        until(lambda: "as standby" in requests.get(f"{first.url}/-/ready", timeout=20).text, timeout=60, what="standby")
        assert not leads(first)
        assert site.around.serving.reloads == reloads
        site.one_effect()


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server that a test may kill."""
    with postgres_server() as found:
        yield found


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_ends_in_the_middle_of_an_action_loses_and_doubles_nothing(
    around: Surroundings, mortal: PostgresServer, end: str
) -> None:
    site = Site(around, mortal, mortal.database())
    with pair(site) as (first, second):
        around.serving.reloads_open.clear()
        assert first.post(alert()) == 202
        until(lambda: around.serving.reloads == 1, timeout=60, what="the reload")
        mortal.kill() if end == "kill" else mortal.stop()
        until(lambda: {each.post(alert()) for each in (first, second)} == {503}, timeout=60, what="refusals")
        assert {ready(each) for each in (first, second)} == {503}
        around.serving.reloads_open.set()
        mortal.start()
        until(lambda: ended(first), timeout=90, what="the action to end")
        until(lambda: {ready(each) for each in (first, second)} == {200}, timeout=60, what="both to be ready")
        assert first.post(alert()) == 202
        site.one_effect()


def test_people_read_a_shared_journal_as_they_read_a_file(site: Site) -> None:
    with process(site.around, site.policy()) as receiver:
        assert receiver.post(alert()) == 202
        until(receiver.actions, timeout=60, what="the action")
        for command in (["audit", "list"], ["audit", "verify", "--no-prometheus"], ["audit", "export"]):
            answer = CliRunner().invoke(airbag, [*command, "--config.file", str(site.around.policy_file)])
            assert answer.exit_code == 0, answer.output
            assert answer.output.strip()
