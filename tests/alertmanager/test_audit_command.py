"""`airbag audit`: beside a running receiver, and against what Prometheus scraped of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result

from airbag.errors import AirbagError
from airbag_rollback.commands.audit import audit
from airbag_rollback.engine.states import State
from airbag_rollback.journal import Journal, open_journal
from airbag_rollback.journal.audit import head_number
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.records import Suspect
from tests.fakes.http_server import serving_http
from tests.fakes.real_prometheus import since, with_past
from tests.fakes.rollback import AUDIT_KEY, TOKEN, Surroundings

Run = Callable[..., Result]


@dataclass
class Heads:
    """Prometheus' range queries over what it scraped: (time, number, head) of one receiver."""

    scraped: list[tuple[float, int, int]]
    port: int = 0
    status: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """The newest sample before each step, as Prometheus does."""
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        assert (end - start) / step < 11_000, "Prometheus would refuse that"
        field = 1 if "records_total" in form["query"][0] else 2
        values = []
        at = start
        while at <= end:
            known = [each for each in self.scraped if at - 300 <= each[0] <= at]
            values += [[at, str(known[-1][field])]] if known else []
            at += step
        metric = {"__name__": form["query"][0], "instance": "a"}
        return {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": metric, "values": values}]}}


@contextmanager
def heads() -> Iterator[Heads]:
    fake = Heads([])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/query_range"
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = json.dumps(fake.answer(form)).encode()
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_http(Handler) as fake.port:
        yield fake


@pytest.fixture
def prometheus() -> Iterator[Heads]:
    with heads() as found:
        yield found


@pytest.fixture
def journal(around: Surroundings, prometheus: Heads) -> Iterator[Journal]:
    """A journal that a receiver has open: an action that came to nothing, and a pause."""
    around.write_policy(prometheus_url=prometheus.url)
    with closing(open_journal(around.folder / "journal" / "journal.sqlite", AUDIT_KEY.encode())) as found:
        assert found.lease.tend()
        now = time.time()
        suspect = Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None)
        action, _ = found.actions.open_for(suspect, now - 7200, now)
        action = found.actions.move(action, State.EVALUATING, now - 7200)
        found.actions.move(action, State.SUPPRESSED, now - 7199, "good", "3 measures 0.01: good")
        found.pauses.begin(Pause("main", "digits", now - 60, None, "ada", "the freeze"))
        scrape(found, prometheus)
        yield found


def scrape(journal: Journal, prometheus: Heads) -> None:
    number, head = journal.audit.head()
    prometheus.scraped.append((time.time() - 30, number, head_number(head)))


@pytest.fixture
def run(around: Surroundings) -> Run:
    def call(command: str, *options: str) -> Result:
        return CliRunner().invoke(audit, [command, "--config.file", str(around.policy_file), *options])

    return call


def refusal(result: Result) -> str:
    """What the command line would say before it exits with 1."""
    assert isinstance(result.exception, AirbagError), result.output
    return str(result.exception)


def tamper(around: Surroundings, *statements: str) -> None:
    with closing(sqlite3.connect(around.folder / "journal" / "journal.sqlite", isolation_level=None)) as connection:
        for trigger in ("changed", "replaced", "deleted"):
            connection.execute(f"DROP TRIGGER audit_is_not_{trigger}")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.usefixtures("journal")
def test_the_list_tells_who_did_what_and_can_be_narrowed(run: Run) -> None:
    lines = run("list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert "transition  #1 main/digits 3  EVALUATING -> SUPPRESSED (good)" in lines[2]
    assert lines[3].endswith("paused  model_name=digits reason=the freeze serving=main until=None  by ada")
    assert len(run("list", "--action", "1").output.splitlines()) == 3
    assert run("list", "--since", "1h").output.splitlines() == [lines[3]]
    assert run("list", "--since", "2999-01-01T00:00:00Z").output == ""
    assert run("list", "--kind", "paused").output.splitlines() == [lines[3]]
    assert run("list", "--since", "yesterday").exit_code == 2
    (record,) = map(json.loads, run("list", "--json", "--kind", "paused").output.splitlines())
    assert (record["seq"], record["by"], len(record["mac"])) == (4, "ada", 64)


@pytest.mark.usefixtures("journal")
def test_a_good_audit_verifies_and_says_what_it_was_compared_with(run: Run) -> None:
    done = run("verify")
    assert done.exit_code == 0
    assert "records 1 to 4 fit together; the last has MAC " in done.output
    assert "1 of them were seen off this host" in done.output
    alone = run("verify", "--no-prometheus")
    assert (alone.exit_code, "0 of them were seen" in alone.output) == (0, True)


def test_without_scraped_heads_it_says_what_that_leaves_open(run: Run, journal: Journal, prometheus: Heads) -> None:
    prometheus.scraped.clear()
    assert "records that are missing at the end would not show" in run("verify").output
    scrape(journal, prometheus)
    assert "would not show" not in run("verify").output


@pytest.mark.usefixtures("journal")
def test_a_changed_record_is_named(run: Run, around: Surroundings) -> None:
    tamper(around, "UPDATE audit SET record = replace(record, 'good', 'evil') WHERE seq = 3")
    done = run("verify")
    assert "records 1 to 2 fit together" in done.output
    assert refusal(done) == "the audit is not what was written: record 3: changed: its MAC does not fit what it says"


@pytest.mark.usefixtures("journal")
def test_records_that_vanished_at_the_end_show_by_what_prometheus_scraped(
    run: Run, around: Surroundings, prometheus: Heads
) -> None:
    tamper(around, "DELETE FROM audit WHERE seq = 4")
    assert run("verify", "--no-prometheus").exit_code == 0
    assert "record 4: truncated: the audit ends with 3, and record 4 was seen" in refusal(run("verify"))
    prometheus.scraped[0] = (time.time() - 5 * 86_400, *prometheus.scraped[0][1:])
    assert "truncated" in refusal(run("verify")), "days later too"
    assert run("verify", "--since", "1d").exit_code == 0


def test_the_real_prometheus_remembers_what_the_journal_forgot(
    run: Run, journal: Journal, around: Surroundings, tmp_path: Path
) -> None:
    number, head = journal.audit.head()
    past = {
        'airbag_rollback_audit_records_total{instance="a",job="airbag"}': since(-600, number),
        'airbag_rollback_audit_head{instance="a",job="airbag"}': since(-600, head_number(head)),
        'airbag_rollback_audit_records_total{instance="b",job="airbag"}': since(-600, 9),
        'airbag_rollback_audit_head{instance="b",job="airbag"}': since(-600, 9),
    }
    (tmp_path / "prometheus").mkdir()
    with with_past(tmp_path / "prometheus", past) as (url, _):
        mine = ("--prometheus", url, "--match", 'instance="a"')
        done = run("verify", *mine)
        assert done.exit_code == 0, done.exception
        assert "1 of them were seen off this host" in done.output
        assert "record 9 was seen" in refusal(run("verify", "--prometheus", url)), "another journal's"
        tamper(around, "DELETE FROM audit WHERE seq = 4")
        assert "record 4: truncated" in refusal(run("verify", *mine))


def test_an_anchor_from_a_piece_of_paper_counts_as_well(run: Run, journal: Journal) -> None:
    number, head = journal.audit.head()
    assert run("verify", "--no-prometheus", "--anchor", f"{number}:{head[:8].upper()}").exit_code == 0
    assert "record 4: rewritten" in refusal(run("verify", "--no-prometheus", "--anchor", f"{number}:00000000"))
    assert "truncated" in refusal(run("verify", "--no-prometheus", "--anchor", f"{number + 1}:{head}"))
    for wrong in ("4", "4:12", "x:12345678", "0:12345678", "4:12345678z"):
        assert run("verify", "--anchor", wrong).exit_code == 2


def test_a_prometheus_that_does_not_answer_is_no_proof(run: Run, journal: Journal, prometheus: Heads) -> None:
    assert journal.audit.head()[0] == 4
    prometheus.status = 503
    assert "--no-prometheus goes without" in refusal(run("verify"))


def test_after_a_change_of_the_key_the_old_one_is_asked_for(
    run: Run, journal: Journal, around: Surroundings, prometheus: Heads
) -> None:
    (around.folder / "audit_key").write_text("a new key")
    (around.folder / "old").write_text(AUDIT_KEY + "\n")
    assert "wrong key" in refusal(run("verify"))
    with closing(open_journal(around.folder / "journal" / "journal.sqlite", b"a new key")) as anew:
        anew.audit.sign_on(time.time())
    scrape(journal, prometheus)
    done = run("verify")
    assert "records 1 to 4 were made with key" in done.output
    assert "--old-key" in refusal(done)
    assert run("verify", "--old-key", str(around.folder / "old")).exit_code == 0


def test_an_export_is_written_whole_verifies_and_holds_no_secret(
    run: Run, journal: Journal, around: Surroundings, tmp_path: Path
) -> None:
    assert journal.audit.head()[0] == 4
    path = tmp_path / "audit.ndjson"
    assert run("export", "-o", str(path)).output == f"4 records in {path}\n"
    assert run("export").output == path.read_text()
    assert [each.name for each in tmp_path.glob("*.new")] == []
    assert run("verify", "--file", str(path)).exit_code == 0
    assert AUDIT_KEY not in path.read_text()
    assert TOKEN not in path.read_text()
    path.write_text(path.read_text().replace('"reason":"good"', '"reason":"evil"'))
    assert "record 3: changed" in refusal(run("verify", "--file", str(path)))
    assert around.policy_file.exists()


def test_an_export_that_cannot_be_finished_leaves_the_one_before(run: Run, journal: Journal, tmp_path: Path) -> None:
    assert journal.audit.head()[0] == 4
    (tmp_path / "taken").mkdir()
    assert isinstance(run("export", "-o", str(tmp_path / "taken")).exception, OSError)
    assert list((tmp_path / "taken").iterdir()) == []
    assert list(tmp_path.glob(".*")) == []


def test_without_a_journal_it_says_so(run: Run, around: Surroundings) -> None:
    around.write_policy(journal="nowhere.sqlite")
    assert "there is no journal at" in refusal(run("list"))
