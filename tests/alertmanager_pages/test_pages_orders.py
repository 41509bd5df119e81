"""What people order on the pages, by plain requests as a browser without JavaScript makes them."""

from __future__ import annotations

import re

import grpc
import pytest

from airbag_rollback.engine.states import State
from airbag_rollback.journal.pauses import Pause
from tests.alertmanager_pages.conftest import PASSWORD, TOKENS, Office
from tests.fakes.rollback import alert

ROLLBACK = {"serving": "main", "model": "digits", "from": "3", "to": "2", "because": "it is bad"}


def waiting(office: Office) -> None:
    """Action 1 waits for approval to go from 3 back to 2."""
    office.desk.around.write_policy(mode="approve")
    office.desk.receiver.reload()
    office.desk.post(alert())
    office.desk.settle()
    assert office.desk.actions()[0].state is State.AWAITING_APPROVAL


def pauses(office: Office) -> list[Pause]:
    return office.desk.receiver.journal.pauses.present(office.desk.clock.time)


def records(office: Office) -> list[tuple[str, object]]:
    """Kind and author of every audit record."""
    found = office.desk.receiver.journal.audit.records(limit=1000)
    return [(each.kind, each.fields.get("by")) for each in found if each.kind != "transition"]


def test_an_approved_action_goes_on_and_ends_under_the_name_of_who_approved(office: Office) -> None:
    waiting(office)
    page = office.browser("olga").send("/actions/1/approve", "/actions/1", target="2", because="looks right")
    assert page.url.endswith("/actions/1")
    assert "Action 1 is approved and goes on." in page.text
    action = office.desk.run_until_ended()
    assert (action.state, action.approved_by) == (State.SUCCEEDED, "olga")
    page = office.browser("vera").get("/actions/1")
    assert "approved by olga" in page.text
    assert "looks right" in page.text
    assert "Action 1 is approved and goes on." not in page.text


def test_a_message_is_told_once_and_to_nobody_else(office: Office) -> None:
    waiting(office)
    olga = office.browser("olga")
    form = {"form_token": olga.token("/"), "target": "2"}
    assert olga.session.post(f"{office.url}/actions/1/approve", form, allow_redirects=False).status_code == 303
    assert "goes on" not in office.browser("adam").get("/actions/1").text
    assert "goes on" not in olga.get("/parts/open").text
    assert "goes on" in olga.get("/").text
    assert "goes on" not in olga.get("/").text


def test_approving_twice_changes_nothing_more(office: Office) -> None:
    waiting(office)
    olga = office.browser("olga")
    olga.send("/actions/1/approve", "/actions/1", target="2")
    again = olga.send("/actions/1/approve", "/actions/1", target="2")
    assert again.status_code == 200
    assert "You approved action 1 already." in again.text
    other = office.browser("adam").send("/actions/1/approve", "/actions/1", target="2")
    assert other.status_code == 409
    assert "Action 1 was approved by olga already." in other.text
    assert records(office) == [("approved", "olga")]


def test_an_approval_of_another_target_than_the_page_showed_is_not_taken(office: Office) -> None:
    waiting(office)
    page = office.browser("olga").send("/actions/1/approve", "/actions/1", target="1")
    assert page.status_code == 409
    assert "would now go back to 2, not to 1 as the page showed" in page.text
    assert office.desk.actions()[0].approved_by == ""


def test_a_rejected_action_is_over_also_when_the_form_is_sent_twice(office: Office) -> None:
    waiting(office)
    olga = office.browser("olga")
    for _ in range(2):
        page = olga.send("/actions/1/reject", "/actions/1", because="known and harmless")
        assert "version 3 stays where it is" in page.text
    action = office.desk.actions()[0]
    assert (action.state, action.reason) == (State.CANCELLED, "rejected")
    assert "olga said no: known and harmless" in page.text
    assert office.browser("olga").send("/actions/1/approve", "/actions/1", target="2").status_code == 409


def test_what_ended_can_be_cleared_once(office: Office) -> None:
    waiting(office)
    olga = office.browser("olga")
    olga.send("/actions/1/reject", "/actions/1")
    for _ in range(2):
        assert "may be acted on again" in olga.send("/actions/1/clear", "/actions/1").text
    assert office.desk.actions()[0].cleared_by == "olga"
    assert records(office) == [("cleared", "olga")]


def test_a_manual_rollback_says_first_what_will_happen_and_then_does_it(office: Office) -> None:
    olga = office.browser("olga")
    page = olga.get("/rollback?serving=main&model=digits&to=2&because=it+is+bad")
    text = re.sub(r"<[^>]+>|\s+", " ", page.text)
    assert re.search(r"Version 3 is taken away and 2 serves again, by serving-version", re.sub(" +", " ", text))
    assert "What speaks against" not in page.text
    assert "one (serves 3)" in page.text
    assert 'value="it is bad"' in page.text
    assert not office.desk.actions()
    page = olga.send("/rollback", "/rollback?serving=main&model=digits", **ROLLBACK)
    assert page.url.endswith("/actions/1")
    action = office.desk.run_until_ended()
    assert (action.state, action.asked_by, action.asked_because) == (State.SUCCEEDED, "olga", "it is bad")
    assert office.desk.around.named() == (2,)


def test_the_confirmation_says_what_speaks_against_a_version(office: Office) -> None:
    page = office.browser("olga").get("/rollback?serving=main&model=digits&to=1")
    assert "What speaks against 1:</b> it served 0 s, proof takes 1 s." in page.text
    assert "which never served here" in page.text


def test_a_rollback_that_is_sent_twice_is_one(office: Office) -> None:
    olga = office.browser("olga")
    first = olga.send("/rollback", "/", **ROLLBACK)
    again = olga.send("/rollback", "/", **ROLLBACK)
    assert first.url == again.url
    assert "You ordered this rollback already" in again.text
    assert len(office.desk.actions()) == 1


def test_a_rollback_is_not_taken_when_something_else_serves_by_now(office: Office) -> None:
    olga = office.browser("olga")
    page = olga.send("/rollback", "/", **(ROLLBACK | {"from": "2", "to": "1"}))
    assert page.status_code == 409
    assert "3 serves main/digits now, not 2 as the page showed" in page.text
    assert olga.send("/rollback", "/", **(ROLLBACK | {"model": "else"})).status_code == 404
    assert not office.desk.actions()


def test_a_pause_is_shown_to_everybody_and_ended_by_anybody_who_may(office: Office) -> None:
    olga = office.browser("olga")
    page = olga.send("/pause", "/", serving="main", model="digits", seconds="3600", because="moving house")
    assert page.url.endswith("/#main/digits")
    assert "Rollbacks of main/digits are paused for 1 h." in page.text
    assert "by olga: moving house" in office.browser("vera").get("/").text
    (pause,) = pauses(office)
    assert (pause.by, pause.until) == ("olga", office.desk.clock.time + 3600)
    olga.send("/pause", "/", serving="main", model="digits", seconds="3600", because="moving house")
    assert pauses(office) == [pause]
    adam = office.browser("adam")
    for _ in range(2):
        assert "are not paused any more" in adam.send("/resume", "/", serving="main", model="digits").text
    assert not pauses(office)
    assert records(office) == [("paused", "olga"), ("resumed", "adam")]


def test_everything_can_be_paused_until_somebody_resumes(office: Office) -> None:
    olga = office.browser("olga")
    page = olga.send("/pause", "/", serving="*", model="*", seconds="", because="freeze")
    assert "All rollbacks are paused" in page.text
    assert pauses(office)[0].until is None
    olga.send("/resume", "/", serving="*", model="*")
    assert not pauses(office)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"seconds": "3600", "because": ""}, 409, "a pause needs a reason"),
        ({"seconds": "12", "because": "x"}, 409, "none of the times"),
        ({"seconds": "3600", "because": "x", "model": "else"}, 404, "has no model main/else"),
    ],
    ids=["reason", "time", "model"],
)
def test_a_pause_that_makes_no_sense_is_refused_in_a_sentence(
    office: Office, fields: dict[str, str], status: int, text: str
) -> None:
    page = office.browser("olga").send("/pause", "/", **({"serving": "main", "model": "digits"} | fields))
    assert page.status_code == status
    assert text.lower() in page.text.lower()
    assert not pauses(office)


ORDERS = {
    "/actions/1/approve": {"target": "2"}, "/actions/1/reject": {}, "/actions/1/clear": {}, "/rollback": ROLLBACK,
    "/pause": {"serving": "*", "model": "*", "seconds": "3600", "because": "x"},
    "/resume": {"serving": "main", "model": "digits"},
}  # fmt: skip


@pytest.mark.parametrize("path", ORDERS)
def test_viewers_order_nothing_and_are_told_so(office: Office, path: str) -> None:
    waiting(office)
    office.desk.receiver.people.pause("main", "digits", None, "olga", "x")
    before = office.desk.actions(), pauses(office), records(office)
    page = office.browser("vera").send(path, "/", **ORDERS[path])
    assert page.status_code == 403
    assert "vera has the role viewer; this takes the role operator or above." in page.text
    assert (office.desk.actions(), pauses(office), records(office)) == before


@pytest.mark.parametrize(
    "path", ["/actions/77/approve", "/actions/77/reject", "/actions/77/clear"], ids=["approve", "reject", "clear"]
)
def test_an_action_that_is_not_there_is_a_sentence(office: Office, path: str) -> None:
    page = office.browser("olga").send(path, "/", target="2")
    assert page.status_code == 404
    assert "There is no action 77." in page.text


def test_a_password_or_token_that_comes_with_each_request_needs_no_login(office: Office) -> None:
    waiting(office)
    uwe = office.browser()
    uwe.session.auth = ("uwe", PASSWORD)
    assert "uwe" in uwe.get("/").text
    assert uwe.send("/actions/1/approve", "/actions/1", target="2").ok
    assert office.desk.actions()[0].approved_by == "uwe"
    vera = office.browser()
    vera.session.headers["Authorization"] = f"Bearer {TOKENS['vera']}"
    assert vera.get("/actions/1").ok
    assert "<form" not in vera.get("/").text.replace('role="search"', "")


def test_the_servers_of_a_model_may_be_away_and_the_page_says_so(office: Office) -> None:
    office.desk.around.serving.refuse_with = (grpc.StatusCode.UNAVAILABLE, "gone <script>")
    olga = office.browser("olga")
    office.desk.clock.time += 2
    text = olga.get("/").text
    assert "Not seen:" in text
    assert "gone &lt;script&gt;" in text
    page = olga.get("/rollback?serving=main&model=digits&to=2")
    assert page.status_code == 409


def test_a_server_that_hangs_does_not_hang_the_page(office: Office) -> None:
    serving, olga = office.desk.around.serving, office.browser("olga")
    office.desk.clock.time += 2
    serving.hold.clear()
    try:
        page = olga.get("/")
    finally:
        serving.hold.set()
    assert page.elapsed.total_seconds() < 15
    assert page.text.count("Not seen:") == 2
    assert "<b>3</b> has served" in page.text
