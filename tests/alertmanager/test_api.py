"""The receiver's API from outside: who may what, what it says, and what it never shows."""

from __future__ import annotations

import base64
import json
import resource
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import bcrypt
import pytest
import requests
from fastapi import FastAPI

from airbag.http import Surface
from airbag_rollback.api.rules import ROLES
from airbag_rollback.app import create_app
from airbag_rollback.pages.paths import is_page
from tests.fakes.alertmanager_api import alert, message
from tests.fakes.rollback import (
    ACCESS,
    ADMIN,
    AUDIT_KEY,
    HEADERS,
    OPERATOR,
    TOKEN,
    TOKENS,
    VIEWER,
    Bench,
    Process,
    Surroundings,
    process,
    surroundings,
)
from tests.fakes.schema_walk import walk
from tests.fakes.wait import until

NOBODY: dict[str, str] = {}
STRANGER = {"Authorization": "Bearer a-token-that-nobody-has"}
CALLERS = {
    "nobody": NOBODY, "stranger": STRANGER, "alertmanager": HEADERS, "viewer": VIEWER, "operator": OPERATOR,
    "admin": ADMIN,
}  # fmt: skip
RANK = ("viewer", "operator", "admin")
PLACES = {"action_id": "1", "serving": "main", "model": "digits", "version": "1", "name": "page.css"}
BODIES: Mapping[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/alerts"): message(alert(3)),
    ("POST", "/v1/rollbacks"): {"model_name": "digits", "because": "test"},
    ("POST", "/v1/drills"): {"model_name": "digits"},
    ("POST", "/v1/pauses"): {"serving": "main", "model_name": "digits", "because": "test"},
    ("POST", "/v1/quarantine/{serving}/{model}/{version}"): {"because": "test"},
}
REPORT = ("PUT", "/v1/actions/{action_id}/report")
HTML = b"<!doctype html><title>what happened</title>"
OPEN = {
    ("GET", "/metrics"), ("GET", "/-/healthy"), ("GET", "/-/ready"), ("POST", "/-/reload"), ("GET", "/openapi.json"),
    ("GET", "/docs"), ("GET", "/docs/oauth2-redirect"), ("GET", "/redoc"),
}  # fmt: skip
"""What every process has, open unless the web configuration asks for a password. None of it changes an action."""


def waiting(around: Surroundings, receiver: Process) -> None:
    """Version 3 was released, is bad, and an action waits for a person's word."""
    until(lambda: receiver.sees(2), what="the ledger to see 2", timeout=60)
    around.release(2, 3)
    until(lambda: receiver.sees(3), what="the ledger to see 3", timeout=60)
    around.bad_release()
    assert receiver.post(alert()) == 202
    until(
        lambda: [each["state"] for each in receiver.actions()] == ["AWAITING_APPROVAL"], what="the question", timeout=60
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A receiver in which one action waits for approval; nobody in these tests gives it."""
    with surroundings(tmp_path_factory.mktemp("api")) as around:
        around.write_policy(mode="approve", soak_min="200ms", approve_within="1h", watchdog_within="0s")
        with process(around) as found:
            waiting(around, found)
            yield found


def journal(around: Surroundings) -> list[tuple[Any, ...]]:
    """All that an order could change, row by row; what the watcher and the lease write by themselves is left out."""
    path = around.folder / "journal" / "journal.sqlite"
    tables = ("actions", "audit", "deliveries", "effects", "pauses", "quarantine", "wants")
    files = [(each.name, each.read_bytes()) for each in sorted(path.parent.glob("reports/*"))]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return files + [row for table in tables for row in connection.execute(f"SELECT '{table}', * FROM {table}")]  # noqa: S608


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every route, HEAD aside, which is a GET without its body."""
    return {(method, each.path) for each in app.routes for method in each.methods if method != "HEAD"}  # type: ignore[attr-defined] # every route here has both


@pytest.fixture
def app(desk: Bench) -> FastAPI:
    return create_app(desk.receiver, Surface("airbag receiver"))


def test_every_route_has_a_rule_or_is_open_or_is_a_page(app: FastAPI) -> None:
    known = routes(app)
    assert set(ROLES) <= known, "a rule without a route"
    unknown = {each for each in known - set(ROLES) - OPEN if not is_page(each[1].replace("{name}", "x"))}
    assert not unknown, "routes that nobody decided about"


def filled(path: str) -> str:
    for name, text in PLACES.items():
        path = path.replace(f"{{{name}}}", text)
    return path


def ask(receiver: Process, method: str, path: str, headers: Mapping[str, str]) -> requests.Response:
    body: dict[str, Any] = {"json": BODIES.get((method, path))}
    if (method, path) == REPORT:
        body, headers = {"data": HTML}, {**headers, "Content-Type": "text/html"}
    return requests.request(
        method, receiver.url + filled(path), headers=headers, timeout=60, allow_redirects=False, **body,
        params={"serving": "main", "model": "digits"} if path == "/v1/explain" else None,
    )  # fmt: skip


def may(caller: str, needs: str) -> bool:
    if "alertmanager" in (caller, needs):
        return caller == needs
    return caller in RANK and RANK.index(caller) >= RANK.index(needs)


@pytest.mark.parametrize("caller", CALLERS)
def test_without_the_right_role_no_route_changes_anything(asked: Process, app: FastAPI, caller: str) -> None:
    before = journal(asked.around)
    for method, path in sorted(routes(app)):
        needs = ROLES.get((method, path))
        if needs is not None and may(caller, needs):
            continue
        answer = ask(asked, method, path, CALLERS[caller])
        if needs is None:
            assert answer.status_code < 500, (method, path)
        elif caller in ("nobody", "stranger"):
            assert answer.status_code == 401, (method, path)
            assert answer.raw.headers.getlist("www-authenticate") == [
                'Bearer realm="airbag"', 'Basic realm="airbag", charset="UTF-8"',
            ]  # fmt: skip
        else:
            assert (answer.status_code, f"this takes the role {needs}" in answer.text) == (403, True), (method, path)
        assert journal(asked.around) == before, f"{caller} changed something by {method} {path}"


@pytest.mark.parametrize("caller", ["viewer", "operator", "admin"])
def test_reading_changes_nothing(asked: Process, caller: str) -> None:
    before = journal(asked.around)
    for (method, path), needs in ROLES.items():
        if method == "GET" and may(caller, needs):
            assert ask(asked, method, path, CALLERS[caller]).status_code in (200, 404), path
            assert journal(asked.around) == before, path


def test_with_the_right_role_every_order_of_the_walk_does_change_something(around: Surroundings) -> None:
    around.write_policy(mode="approve", soak_min="200ms", approve_within="1h", watchdog_within="0s")
    order = [
        ("POST", "/v1/alerts", HEADERS), ("POST", "/v1/pauses", OPERATOR),
        ("DELETE", "/v1/pauses/{serving}/{model}", OPERATOR),
        ("POST", "/v1/quarantine/{serving}/{model}/{version}", ADMIN),
        ("DELETE", "/v1/quarantine/{serving}/{model}/{version}", ADMIN),
        ("POST", "/v1/actions/{action_id}/reject", OPERATOR),
        ("POST", "/v1/actions/{action_id}/clear", OPERATOR), ("POST", "/v1/rollbacks", OPERATOR), (*REPORT, OPERATOR),
    ]  # fmt: skip
    with process(around) as receiver:
        waiting(around, receiver)
        for method, path, headers in order:
            before = journal(around)
            answer = ask(receiver, method, path, headers)
            assert answer.ok, (method, path, answer.text)
            assert journal(around) != before, (method, path)


def test_an_approval_by_the_api_lets_the_action_go_on_under_the_name_of_who_gave_it(around: Surroundings) -> None:
    around.write_policy(mode="approve", soak_min="200ms", approve_within="1h")
    with process(around) as receiver:
        waiting(around, receiver)
        answer = ask(receiver, "POST", "/v1/actions/{action_id}/approve", OPERATOR)
        assert (answer.status_code, answer.json()["approved_by"]) == (200, "olga")
        again = ask(receiver, "POST", "/v1/actions/{action_id}/approve", OPERATOR)
        assert again.status_code == 409
        until(lambda: receiver.actions()[0]["state"] == "SUCCEEDED", timeout=90, what="the rollback")
        assert around.named() == (2,)
        records = requests.get(f"{receiver.url}/v1/audit", headers=ADMIN, timeout=10).json()["records"]
        assert [json.loads(each["text"])["by"] for each in records if each["kind"] == "approved"] == ["olga"]


def test_what_is_wrong_with_an_order_is_told_all_at_once_and_without_what_was_given(asked: Process) -> None:
    wrong = {"becuase": "x", "seconds": -1, "model_name": "a b", "serving": 7}
    answer = requests.post(f"{asked.url}/v1/pauses", json=wrong, headers=OPERATOR, timeout=10)
    assert answer.status_code == 422
    problems = answer.json()["problems"]
    assert [each.partition(":")[0] for each in problems] == [
        "body.serving", "body.model_name", "body.seconds", "body.because", "body.becuase",
    ]  # fmt: skip
    assert "a b" not in answer.text
    for body in (b"{", b"\xff", b"[" * 15_000, b"null", b"7"):
        refused = requests.post(f"{asked.url}/v1/pauses", data=body, headers=OPERATOR, timeout=10)
        assert refused.status_code == 422, body[:10]


def test_orders_are_json_and_small(asked: Process) -> None:
    form = requests.post(f"{asked.url}/v1/pauses", data={"because": "x"}, headers=OPERATOR, timeout=10)
    assert form.status_code == 415
    large = requests.post(f"{asked.url}/v1/pauses", json={"because": "x" * 20_000}, headers=OPERATOR, timeout=10)
    assert large.status_code == 413


def test_a_browser_gives_no_orders_for_another_site(asked: Process) -> None:
    before = journal(asked.around)
    order = {"model_name": "digits", "because": "x"}
    for more in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = requests.post(f"{asked.url}/v1/pauses", json=order, headers=OPERATOR | more, timeout=10)
        assert (answer.status_code, answer.json()["detail"]) == (403, "orders are not taken from pages of other sites")
    assert journal(asked.around) == before


def test_a_method_that_a_path_has_not_is_405_with_all_that_it_has(asked: Process) -> None:
    answer = requests.put(f"{asked.url}/v1/quarantine/main/digits/1", headers=ADMIN, timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, POST")
    assert requests.get(f"{asked.url}/v1/alerts", headers=HEADERS, timeout=10).headers["Allow"] == "POST"


def test_the_same_order_with_the_same_key_is_given_once(around: Surroundings) -> None:
    around.write_policy(mode="observe")

    def pause(receiver: Process, key: str, because: str, headers: Mapping[str, str] = OPERATOR) -> requests.Response:
        return requests.post(
            f"{receiver.url}/v1/pauses",
            json={"because": because},
            headers={**headers, "Idempotency-Key": key},
            timeout=10,
        )

    with process(around) as receiver:
        until(lambda: receiver.sees(2), what="the first look, which writes what is wanted", timeout=60)
        first = pause(receiver, "k1", "moving racks")
        kept = journal(around)
        assert (pause(receiver, "k1", "moving racks").json(), journal(around)) == (first.json(), kept)
        other = pause(receiver, "k1", "another reason")
        assert (other.status_code, journal(around)) == (409, kept)
        assert pause(receiver, "k1", "moving racks", ADMIN).json()["by"] == "anna"
        changed = journal(around)
    with process(around) as again:
        assert pause(again, "k1", "moving racks").json() == first.json()
        assert journal(around) == changed


def test_explain_says_what_would_be_done_and_what_each_other_version_lacks(asked: Process) -> None:
    found = requests.get(
        f"{asked.url}/v1/explain", params={"serving": "main", "model": "digits"}, headers=VIEWER, timeout=60
    ).json()
    assert (found["suspect"], found["target_version"], found["open_action"]["id"]) == (3, 2, 1)
    signals = {each["alertname"]: each for each in found["signals"]}
    errors = signals["AirbagErrorRatioHigh"]
    assert (errors["kind"], errors["verdict"], errors["target_version"]) == ("ask", "bad", 2)
    assert any("errors_per_request" in each.get("query", "") for each in errors["evidence"])
    assert signals["AirbagLatencyHigh"]["verdict"] == "no data"
    assert "served 0 s" in found["refused"]["1"]
    assert found["text"].startswith("by AirbagErrorRatioHigh: ask: waits for approval to go back to 2")


def test_explain_shows_every_guard_that_holds(around: Surroundings) -> None:
    around.write_policy(guards="{freeze: [{name: party, from: 2020-01-01T00:00:00Z, to: 2099-01-01T00:00:00Z}]}")
    with process(around) as receiver:
        until(lambda: receiver.sees(2), what="the ledger to see 2", timeout=60)
        requests.post(f"{receiver.url}/v1/pauses", json={"because": "x"}, headers=OPERATOR, timeout=10)
        found = requests.get(
            f"{receiver.url}/v1/explain", params={"serving": "main", "model": "digits"}, headers=VIEWER, timeout=60
        ).json()
    assert [each["reason"] for each in found["guards"]] == ["paused", "frozen"]


def test_versions_say_where_one_could_go_back_to_and_why_not(asked: Process) -> None:
    path = f"{asked.url}/v1/models/main/digits/versions"
    found = requests.get(path, headers=VIEWER, timeout=10).json()
    shown = {each["version"]: each for each in found["versions"]}
    assert (list(shown), found["target"], found["serves"]) == ([3, 2, 1], 2, [3])
    assert (shown[3]["serves"], shown[3]["refused"], shown[2]["is_target"]) == (True, "it serves now", True)
    assert (shown[2]["loaded_on"], shown[2]["refused"]) == (["one"], "")
    assert "proof takes" in shown[1]["refused"]
    assert requests.get(path.replace("digits", "nothing"), headers=VIEWER, timeout=10).status_code == 404


@pytest.mark.parametrize("caller", ["nobody", "alertmanager", "viewer", "operator", "admin"])
def test_every_answer_to_anything_is_as_described_and_none_is_a_failure_of_ours(
    around: Surroundings, caller: str
) -> None:
    around.write_policy(mode="approve", soak_min="200ms", approve_within="1h")
    with process(around) as receiver:
        waiting(around, receiver)
        headers = CALLERS[caller]
        phases = "coverage,fuzzing" if caller == "admin" else "fuzzing"  # who may do all comes by all of the code
        done = walk(receiver.url, headers, around.folder, examples=3, phases=phases)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        if caller == "admin":
            # A record of the audit may name no action, and schemathesis then asks for the action None.
            skipped = "positive_data_acceptance"
            done = walk(receiver.url, headers, around.folder, examples=3, phases="stateful", skipped=skipped)
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Traceback" not in (around.folder / "receiver.log").read_text()


def test_a_journal_that_cannot_be_written_is_503_to_orders_and_nothing_else_breaks(around: Surroundings) -> None:
    around.write_policy(mode="observe")
    with process(around) as receiver:
        before = resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        answer = requests.post(f"{receiver.url}/v1/pauses", json={"because": "x"}, headers=OPERATOR, timeout=10)
        assert answer.status_code == 503
        assert requests.get(f"{receiver.url}/v1/models", headers=VIEWER, timeout=10).json()["journal_error"]
        resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, before)


PASSWORD = "the-password-of-otto"


def test_no_secret_is_ever_shown(around: Surroundings) -> None:
    """Everything is asked by everybody, a rollback goes its whole way, and then all that was said is searched."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (around.folder / "hash").write_text(hashed)
    users = "users: [{name: otto, role: admin, password_hash: {file: hash}}]"
    around.write_policy(soak_min="200ms", access=f"{{tokens: [{ACCESS}], {users}}}")
    otto = {"Authorization": "Basic " + base64.b64encode(f"otto:{PASSWORD}".encode()).decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(f"{PASSWORD}:{TOKEN}".encode()).decode()}
    said: list[str] = []
    with process(around) as receiver:
        until(lambda: receiver.sees(2), what="the ledger to see 2", timeout=60)
        around.release(2, 3)
        until(lambda: receiver.sees(3), what="the ledger to see 3", timeout=60)
        around.bad_release()
        assert receiver.post(alert()) == 202
        until(lambda: receiver.actions()[0]["state"] == "SUCCEEDED", timeout=90, what="the rollback")
        reachable = requests.get(f"{receiver.url}/openapi.json", timeout=10).json()["paths"]
        for headers in (*CALLERS.values(), otto, wrong):
            for path, ways in reachable.items():
                said += [_said(ask(receiver, way.upper(), path, headers)) for way in ways]
            for path in (
                "/",
                "/actions",
                "/actions/1",
                "/login",
                "/docs",
                "/openapi.json",
                "/metrics",
                "/-/ready",
                "/no",
            ):
                said.append(_said(requests.get(receiver.url + path, headers=headers, timeout=20)))
            for secret in (TOKEN, PASSWORD):
                body = {"because": 7, "token": secret, "model_name": secret + " "}
                said.append(_said(requests.post(f"{receiver.url}/v1/pauses", json=body, headers=headers, timeout=10)))
                form = {"name": "otto", "secret": secret}
                said.append(_said(requests.post(f"{receiver.url}/login", data=form, headers=headers, timeout=10)))
        (around.folder / "token_vera").unlink()
        said.append(_said(requests.post(f"{receiver.url}/-/reload", timeout=10)))
        kept = around.folder / "journal"
        said += [path.read_bytes().decode("latin-1") for path in kept.rglob("*") if path.is_file()]
    said += [(around.folder / "receiver.log").read_text(), json.dumps(around.alertmanager.alerts)]
    said += [path.read_bytes().decode("latin-1") for path in kept.rglob("*") if path.is_file()]
    secrets = [TOKEN, PASSWORD, hashed, AUDIT_KEY, *TOKENS.values()]
    secrets += [otto["Authorization"].partition(" ")[2], wrong["Authorization"].partition(" ")[2]]
    assert [secret for secret in secrets if any(secret in text for text in said)] == []


def _said(answer: requests.Response) -> str:
    return f"{answer.status_code} {dict(answer.headers)} {answer.text}"
