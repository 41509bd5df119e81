"""The real `airbag receiver` from outside: its HTTP contract, crashes, a full disk, a clean end."""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.exporters.processes import assert_golden, shape
from tests.fakes.alertmanager_api import alert, message
from tests.fakes.binaries import find
from tests.fakes.rollback import HEADERS, TOKEN, VIEWER, Process, Surroundings, process, surroundings
from tests.fakes.wait import until

LAST = "airbag_rollback_watchdog_last_received_timestamp_seconds"
TAKEN = 'airbag_rollback_alerts_total{result="watchdog"}'


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A receiver in observe mode, shared by the tests that only talk HTTP to it."""
    with surroundings(tmp_path_factory.mktemp("quiet")) as around:
        around.write_policy(mode="observe", drill="{every: 24h, model: digits}")
        with process(around) as found:
            yield found


def post(receiver: Process, body: bytes, **headers: str) -> requests.Response:
    return requests.post(f"{receiver.url}/v1/alerts", data=body, headers=HEADERS | headers, timeout=10)


def sample(receiver: Process, line: str) -> float:
    """The value of one sample of the scrape."""
    page = requests.get(f"{receiver.url}/metrics", timeout=5).text
    found = re.search(rf"^{re.escape(line)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else -1.0


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer \xe9"])
def test_a_wrong_or_missing_token_is_401_everywhere_and_nothing_is_taken(quiet: Process, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    body = json.dumps(message(alert())).encode()
    before = quiet.actions()
    assert requests.post(f"{quiet.url}/v1/alerts", data=body, headers=headers, timeout=5).status_code == 401
    for path in ("/v1/actions", "/v1/actions/1", "/v1/serving"):
        assert requests.get(f"{quiet.url}{path}", headers=headers, timeout=5).status_code == 401
    assert quiet.actions() == before


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"version": "4"}', b'{"version": 4, "alerts": []}',
        b'{"version": "3", "alerts": []}', b'{"version": "4", "alerts": [{"status": "burning", "labels": {}}]}',
        b'{"version": "4", "alerts": [{"status": "firing", "labels": {"a": 1}}]}',
    ],
)  # fmt: skip
def test_what_is_no_alertmanager_message_is_400(quiet: Process, body: bytes) -> None:
    assert post(quiet, body).status_code == 400


def test_fields_of_newer_alertmanagers_are_welcome(quiet: Process) -> None:
    body = json.dumps(message(notification_reason="repeat interval elapsed", routeLabels={"team": "x"})).encode()
    assert post(quiet, body).status_code == 202


def test_a_body_over_the_limit_is_413_however_it_is_sent(quiet: Process) -> None:
    large = b" " * (4 * 1024 * 1024 + 1)
    assert post(quiet, large).status_code == 413

    def parts() -> Iterator[bytes]:
        yield from (large[:1_000_000] for _ in range(5))

    chunked = requests.post(f"{quiet.url}/v1/alerts", data=parts(), headers=HEADERS, timeout=10)
    assert chunked.status_code == 413


@pytest.mark.parametrize("path", ["/v1/alerts", "/v1/alerts/"])
def test_a_get_on_the_webhook_is_never_a_success_and_nothing_redirects(quiet: Process, path: str) -> None:
    answer = requests.get(f"{quiet.url}{path}", headers=HEADERS, timeout=5, allow_redirects=False)
    assert answer.status_code == (405 if path == "/v1/alerts" else 404)
    redirected = requests.post(f"{quiet.url}{path}/", headers=HEADERS, timeout=5, allow_redirects=False)
    assert redirected.status_code == 404


def test_the_api_is_described_and_every_counter_starts_at_zero(quiet: Process) -> None:
    api = requests.get(f"{quiet.url}/openapi.json", timeout=5).json()
    assert {"/v1/alerts", "/v1/actions", "/v1/actions/{action_id}", "/v1/serving"} <= set(api["paths"])
    assert "$defs" not in str(api)
    assert set(api["components"]["securitySchemes"]) == {"bearer", "password", "certificate"}
    assert all(operation["security"] for path in api["paths"].values() for operation in path.values())
    assert sample(quiet, 'airbag_rollback_actions_total{outcome="succeeded",reason="recovered"}') == 0
    assert sample(quiet, 'airbag_rollback_stage_duration_seconds_count{stage="recovered"}') == 0
    assert sample(quiet, 'airbag_rollback_stage_duration_seconds_bucket{le="300.0",stage="acted"}') == 0
    assert sample(quiet, 'airbag_rollback_mode{mode="observe"}') == 1
    assert sample(quiet, "airbag_rollback_journal_writable") == 1
    assert requests.get(f"{quiet.url}/v1/actions/99999", headers=VIEWER, timeout=5).status_code == 404


def test_the_token_stands_in_no_log(quiet: Process) -> None:
    post(quiet, b"{}")
    post(quiet, json.dumps(message(alert())).encode(), Authorization=f"Bearer {TOKEN}x")
    assert TOKEN not in (quiet.around.folder / "receiver.log").read_text()


def test_the_scrape_is_clean_by_promtool(quiet: Process) -> None:
    page = requests.get(f"{quiet.url}/metrics", timeout=5).content
    done = subprocess.run(
        [find("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scrape_is_what_it_was(quiet: Process) -> None:
    until(lambda: len(quiet.get("/v1/serving")["models"]) == 2, what="the ledger to see both models", timeout=60)
    page = requests.get(f"{quiet.url}/metrics", timeout=5).text
    assert_golden("receiver.prom", shape(page))


def watchdog(**changes: str) -> dict[str, Any]:
    labels = dict.fromkeys(("airbag_action", "serving", "model_name", "model_version"))
    return alert(name="AirbagWatchdog", **labels | {"severity": "info"} | changes)  # type: ignore[arg-type]


def test_the_watchdog_is_noted_and_not_journaled(quiet: Process) -> None:
    journal = quiet.around.folder / "journal" / "journal.sqlite"
    before = _deliveries(journal), sample(quiet, LAST), sample(quiet, TAKEN)
    assert post(quiet, json.dumps(message(watchdog())).encode()).json() == {"detail": "the way works"}
    assert sample(quiet, LAST) > before[1]
    assert sample(quiet, TAKEN) == before[2] + 1
    assert _deliveries(journal) == before[0]


def test_a_watchdog_that_resolves_or_is_not_authorized_is_not_the_watchdog(quiet: Process) -> None:
    before = sample(quiet, LAST), sample(quiet, TAKEN)
    assert quiet.post(watchdog(status="resolved")) == 202
    body = json.dumps(message(watchdog())).encode()
    assert post(quiet, body, Authorization="Bearer wrong").status_code == 401
    assert (sample(quiet, LAST), sample(quiet, TAKEN)) == before


def test_a_message_with_the_watchdog_and_with_alerts_is_both(quiet: Process) -> None:
    before = sample(quiet, LAST), sample(quiet, TAKEN)
    journal = quiet.around.folder / "journal" / "journal.sqlite"
    deliveries = _deliveries(journal)
    assert quiet.post(watchdog(), alert(version=99)) == 202
    assert sample(quiet, LAST) > before[0]
    assert _deliveries(journal) == deliveries + 1
    until(lambda: sample(quiet, TAKEN) == before[1] + 1, what="the watchdog to be counted")
    until(lambda: 99 in {action["bad_version"] for action in quiet.actions()}, what="the action")


def _deliveries(journal: Path) -> int:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM deliveries").fetchone()[0])


def test_when_the_watchdog_stays_away_alertmanager_is_told_until_it_comes(around: Surroundings) -> None:
    around.write_policy(watchdog_within="2s")
    with process(around) as receiver:
        assert receiver.post(watchdog()) == 202
        until(lambda: around.alertmanager.names() == ["AirbagAlertPathBroken"], timeout=30, what="the alert")
        [broken] = around.alertmanager.alerts
        assert broken["labels"] == {"alertname": "AirbagAlertPathBroken", "severity": "critical"}
        assert receiver.post(watchdog()) == 202
        until(lambda: len(around.alertmanager.alerts) > 1, timeout=30, what="its end")
        assert around.alertmanager.alerts[1]["startsAt"] == broken["startsAt"]
        assert around.alertmanager.alerts[1]["endsAt"] < broken["endsAt"]
        assert receiver.actions() == []


def test_a_full_disk_does_not_hide_a_broken_way(around: Surroundings) -> None:
    around.write_policy(watchdog_within="4s")
    with process(around) as receiver:
        pid = receiver.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        assert receiver.post(alert()) == 503
        assert receiver.post(watchdog()) == 202
        until(lambda: "AirbagAlertPathBroken" in around.alertmanager.names(), timeout=30, what="the alert")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def bad_release(receiver: Process) -> None:
    """Version 2 is proven, version 3 serves and is bad."""
    until(lambda: receiver.sees(2), what="the ledger to see 2")
    until(lambda: receiver.get("/v1/serving")["models"][0]["epoch"] >= 1, what="the first epoch")
    receiver.around.release(2, 3)
    until(lambda: receiver.sees(3), what="the ledger to see 3")
    receiver.around.bad_release()


def switched(around: Surroundings) -> bool:
    return around.serving.switches == [("digits", (2,))] and around.named() == (2,)


def reached(receiver: Process, *states: str) -> bool:
    return [action["state"] for action in receiver.actions()] == list(states)


def test_killed_after_the_202_and_before_the_effect_it_rolls_back_once(around: Surroundings) -> None:
    around.write_policy(soak_min="200ms")
    with process(around) as first:
        bad_release(first)
        around.prometheus.open.clear()
        assert first.post(alert()) == 202
        until(lambda: around.prometheus.asked, what="a question to Prometheus")
        first.kill()
    assert around.serving.reloads == 0
    with process(around) as second:
        around.prometheus.open.set()
        until(lambda: switched(around), timeout=20, what="the rollback")
        assert second.post(alert()) == 202
        until(lambda: any(a["state"] == "SUCCEEDED" for a in second.actions()), timeout=40, what="success")
    assert switched(around)
    assert around.serving.reloads == 1


def test_killed_while_the_server_holds_the_reload_it_reads_reality_and_acts_once(around: Surroundings) -> None:
    around.write_policy(soak_min="200ms")
    with process(around) as first:
        bad_release(first)
        around.serving.reloads_open.clear()
        assert first.post(alert()) == 202
        until(lambda: around.serving.reloads == 1, what="the reload")
        assert [action["state"] for action in first.actions()] == ["EXECUTING"]
        first.kill()
    around.serving.reloads_open.set()  # the server goes on although its caller is gone
    until(lambda: around.serving.switches, what="the server to apply the reload")
    with process(around) as second:
        until(lambda: reached(second, "VERIFY_OUTCOME") or reached(second, "SUCCEEDED"), timeout=20, what="the switch")
        (action,) = second.actions()
        events = [event["after"] for event in second.get(f"/v1/actions/{action['id']}")["events"]]
        assert events[6:8] == ["UNKNOWN", "VERIFY_MECHANISM"]
    assert switched(around)
    assert around.serving.reloads == 1


def test_a_full_disk_is_503_and_without_effect_until_there_is_room_again(around: Surroundings) -> None:
    around.write_policy(soak_min="200ms")
    with process(around) as receiver:
        bad_release(receiver)
        pid = receiver.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))  # every write fails from now on
        assert receiver.post(alert()) == 503
        assert sample(receiver, "airbag_rollback_journal_writable") == 0
        assert requests.get(f"{receiver.url}/-/ready", timeout=5).status_code == 503
        assert around.serving.reloads == 0
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        assert receiver.post(alert()) == 202
        until(lambda: switched(around), timeout=20, what="the rollback")


def test_a_clean_end_waits_for_a_reload_in_progress_and_writes_down_what_came_of_it(around: Surroundings) -> None:
    around.write_policy(soak_min="200ms")
    with process(around) as receiver:
        bad_release(receiver)
        around.serving.reloads_open.clear()
        receiver.post(alert())
        until(lambda: around.serving.reloads == 1, what="the reload")
        receiver.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            receiver.process.wait(1)
        around.serving.reloads_open.set()
        assert receiver.process.wait(20) == 0
    with process(around) as again:
        (action,) = again.actions()
        path = f"/v1/actions/{action['id']}"
        until(lambda: len(again.get(path)["events"]) > 7, what="the first turn")
        events = [each["after"] for each in again.get(path)["events"]][5:8]
        assert events == ["EXECUTING", "VERIFY_MECHANISM", "UNKNOWN"]
        until(lambda: again.actions()[0]["available_at"], timeout=20, what="the switch")
    assert around.serving.reloads == 1


def test_a_second_receiver_on_the_journal_stands_by_takes_alerts_for_the_leader_and_follows_it(
    around: Surroundings,
) -> None:
    around.write_policy(mode="observe")
    with process(around) as leader, process(around) as standby:
        assert requests.get(f"{leader.url}/-/ready", timeout=5).text == "airbag receiver is ready.\n"
        ready = requests.get(f"{standby.url}/-/ready", timeout=5)
        assert (ready.status_code, ready.text) == (200, "airbag receiver is ready, as standby.\n")
        leads = "airbag_rollback_leader"
        until(lambda: (sample(leader, leads), sample(standby, leads)) == (1, 0), timeout=30, what="one to lead")
        assert standby.post(alert(version=99)) == 202
        until(
            lambda: standby.actions()[0]["state"] not in ("RECEIVED", "EVALUATING"),
            timeout=30,
            what="the leader to act",
        )
        leader.kill()
        until(lambda: sample(standby, leads) == 1, timeout=30, what="the standby to lead")
        assert sample(standby, "airbag_rollback_fence") >= 2
        assert "ready.\n" in requests.get(f"{standby.url}/-/ready", timeout=5).text


def test_the_check_of_the_configuration_starts_nothing(around: Surroundings) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airbag", "receiver", "--config.check", "--config.file", str(around.policy_file)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, Path(around.folder / "journal").exists()) == (0, False)
