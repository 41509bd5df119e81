"""The report on an action's record: kept for good, bound to the audit, shown as what somebody else wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from airbag_rollback.engine.states import State
from airbag_rollback.journal import Journal, JournalError, open_journal
from airbag_rollback.journal.retention import Retention
from airbag_rollback.records import Action
from tests.fakes.rollback import ADMIN, HEADERS, OPERATOR, VIEWER, Process, Surroundings, process, surroundings
from tests.fakes.wait import until

HTML = "<!doctype html><title>what happened</title><script>alert(1)</script><p>é"
LIMIT = 4 << 20
KEY = b"a key"


def put(
    receiver: Process, document: bytes | str, headers: Mapping[str, str] = OPERATOR, *, action: object = 1,
    kind: str = "text/html; charset=utf-8",
) -> requests.Response:  # fmt: skip
    data = document.encode() if isinstance(document, str) else document
    url = f"{receiver.url}/v1/actions/{action}/report"
    return requests.put(url, data=data, headers={**headers, "Content-Type": kind}, timeout=30)


def get(receiver: Process, path: str = "/v1/actions/1/report") -> requests.Response:
    return requests.get(receiver.url + path, headers=VIEWER, timeout=30)


def attached(receiver: Process) -> list[dict[str, object]]:
    """What the audit tells of reports."""
    records = requests.get(f"{receiver.url}/v1/audit", headers=ADMIN, timeout=30).json()["records"]
    return [json.loads(each["text"]) for each in records if each["kind"] == "report attached"]


def files(around: Surroundings) -> list[Path]:
    return sorted((around.folder / "journal").glob("reports/*"))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Process]:
    """With one action: a drill that somebody ordered."""
    with surroundings(tmp_path) as around:
        around.write_policy(watchdog_within="0s")
        with process(around) as found:
            until(lambda: found.sees(2), what="the ledger to see 2", timeout=60)
            order = {"model_name": "digits"}
            assert requests.post(f"{found.url}/v1/drills", json=order, headers=OPERATOR, timeout=30).status_code == 201
            yield found


def test_it_is_kept_over_a_power_cut_and_the_audit_has_who_what_and_how_large(receiver: Process) -> None:
    answer = put(receiver, HTML)
    assert answer.status_code == 200, answer.text
    digest = hashlib.sha256(HTML.encode()).hexdigest()
    assert (answer.json()["by"], answer.json()["sha256"]) == ("olga", digest)
    [record] = attached(receiver)
    assert (record["by"], record["sha256"], record["bytes"], record["action_id"]) == ("olga", digest, len(HTML) + 1, 1)
    assert get(receiver, "/v1/actions/1").json()["report"] == answer.json()
    receiver.kill()
    with process(receiver.around) as again:
        assert get(again).text == HTML
        assert get(again, "/v1/actions/1").json()["report"] == answer.json()


def test_a_browser_runs_nothing_of_it_and_loads_nothing_for_it(receiver: Process) -> None:
    put(receiver, HTML)
    for path in ("/v1/actions/1/report", "/actions/1/report"):
        answer = get(receiver, path)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"sandbox", "default-src 'none'", "style-src 'unsafe-inline'", "img-src data:"} <= set(policy)
        assert not [part for part in policy if part.startswith("script-src")]


def test_the_same_again_changes_nothing_and_another_takes_its_place(receiver: Process) -> None:
    first = put(receiver, HTML).json()
    assert put(receiver, HTML).json() == first
    assert len(attached(receiver)) == 1
    put(receiver, HTML + "more")
    assert get(receiver).text == HTML + "more"
    assert len(attached(receiver)) == 2
    assert len(files(receiver.around)) == 1


REFUSED = {
    "no page": (b"{}", "text/html", 422), "nothing": (b"", "text/html", 422), "JSON": (b"{}", "application/json", 415),
    "no text": (b"<!doctype html>\xff", "text/html", 422),
    "too large": (b"<!doctype html>".ljust(LIMIT + 1), "text/html", 413),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_page_of_a_fair_size_is_refused_and_leaves_nothing(receiver: Process, name: str) -> None:
    document, kind, status = REFUSED[name]
    assert put(receiver, document, kind=kind).status_code == status
    assert (attached(receiver), files(receiver.around)) == ([], [])


def test_a_page_of_the_largest_size_is_taken(receiver: Process) -> None:
    assert put(receiver, b"<!doctype html>".ljust(LIMIT)).status_code == 200


def test_only_operators_attach_and_only_to_what_there_is(receiver: Process) -> None:
    for headers in (VIEWER, HEADERS):
        assert put(receiver, HTML, headers).status_code == 403
    assert put(receiver, HTML, {}).status_code == 401
    assert put(receiver, HTML, action=99).status_code == 404
    assert get(receiver).status_code == 404
    assert get(receiver, "/actions/1/report").status_code == 404
    assert (attached(receiver), files(receiver.around)) == ([], [])
    assert put(receiver, HTML).status_code == 200
    assert requests.get(f"{receiver.url}/v1/actions/1/report", timeout=30).status_code == 401
    assert requests.get(f"{receiver.url}/v1/actions/1/report", headers=HEADERS, timeout=30).status_code == 403


def test_a_file_that_was_changed_is_not_shown(receiver: Process) -> None:
    put(receiver, HTML)
    [file] = files(receiver.around)
    file.write_text(HTML.replace("happened", "did not happen"))
    answer = get(receiver)
    assert (answer.status_code, "is not what olga attached" in answer.json()["detail"]) == (503, True)
    assert put(receiver, HTML).status_code == 200
    assert get(receiver).text == HTML


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = open_journal(tmp_path / "journal" / "journal.sqlite", KEY)
    found.lease.tend()
    yield found
    found.close()


def suppressed(journal: Journal, version: int, at: float) -> Action:
    """An action that ended at once."""
    order = Action(0, "", "s", "m", version, 0, "A", State.RECEIVED, 1, at + 60, received_at=at)
    action, _ = journal.actions.order(order, at)
    action = journal.actions.move(action, State.EVALUATING, at, "received", "")
    return journal.actions.move(action, State.SUPPRESSED, at, "good", "")


def test_a_report_goes_with_its_action_and_no_other_does(journal: Journal, tmp_path: Path) -> None:
    retention = Retention(journal.database, journal.audit, journal.deliveries, journal.reports.sweep)
    old = suppressed(journal, 1, 1000.0)
    journal.reports.attach(old.id, b"<!doctype html>old", "olga", 1010.0)
    new = suppressed(journal, 2, 9000.0)
    journal.reports.attach(new.id, b"<!doctype html>new", "olga", 9010.0)
    while retention.forget(10_000.0, keep_deliveries=5000.0, keep_actions=5000.0):
        pass
    assert journal.actions.get(old.id) is None
    assert (journal.reports.read(old.id), journal.reports.read(new.id)) == (None, b"<!doctype html>new")
    assert [each.name.partition("-")[0] for each in (tmp_path / "journal" / "reports").iterdir()] == [str(new.id)]


def test_an_action_whose_report_is_young_stays(journal: Journal) -> None:
    retention = Retention(journal.database, journal.audit, journal.deliveries, journal.reports.sweep)
    action = suppressed(journal, 1, 1000.0)
    journal.reports.attach(action.id, b"<!doctype html>", "olga", 9000.0)
    while retention.forget(10_000.0, keep_deliveries=5000.0, keep_actions=5000.0):
        pass
    assert journal.actions.get(action.id) is not None
    assert journal.reports.read(action.id) == b"<!doctype html>"


def test_without_room_the_report_before_stays(journal: Journal, tmp_path: Path) -> None:
    action = suppressed(journal, 1, 1000.0)
    journal.reports.attach(action.id, b"<!doctype html>", "olga", 1000.0)
    folder = tmp_path / "journal" / "reports"
    [kept] = folder.iterdir()
    hidden = folder.with_name("elsewhere")
    folder.rename(hidden)
    folder.write_text("no folder")
    with pytest.raises(JournalError, match="cannot keep reports in"):
        journal.reports.attach(action.id, b"<!doctype html>other", "olga", 1001.0)
    folder.unlink()
    hidden.rename(folder)
    assert journal.reports.read(action.id) == b"<!doctype html>"
    assert list(folder.iterdir()) == [kept]
