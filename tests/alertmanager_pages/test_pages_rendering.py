"""Every page in every state for every role: it is rendered, and nothing that somebody wrote becomes a part of it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from airbag_rollback.engine.states import CANCELLABLE, ENDED, REOPENS, TRANSITIONS, State
from airbag_rollback.journal import Journal
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.records import Action
from tests.alertmanager_pages.conftest import Office, give_access, serving_pages
from tests.fakes import rollback

HOSTILE = "</code></script><script>alert(1)</script><img src=x onerror=alert(1)>\" style='x' {{ 7*7 }} &amp;"
PEOPLE = ("vera", "olga", "adam")


class Reading(HTMLParser):
    """What a browser would make of the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def forms(self) -> set[str]:
        """Where the forms that change something go to, but for the logout."""
        posts = {at.get("action") or "" for tag, at in self.tags if tag == "form" and at.get("method") == "post"}
        return posts - {"/logout"}


def way_to(state: State) -> list[State]:
    """The shortest way there."""
    ways, waiting = {State.RECEIVED: [State.RECEIVED]}, deque([State.RECEIVED])
    while waiting:
        at = waiting.popleft()
        for following in sorted(TRANSITIONS[at] - set(ways)):
            ways[following] = [*ways[at], following]
            waiting.append(following)
    return ways[state][1:]


def put(journal: Journal, state: State, now: float, version: int = 3) -> Action:
    """An action in that state, on a model of its own, with hostile words in every place that takes words."""
    asked = Action(
        0, "", f"s{HOSTILE}", f"{state}{HOSTILE}", version, 0, HOSTILE, State.RECEIVED, 1, now + 60, received_at=now,
        alert_at=now - 1, source="person", asked_by=HOSTILE, asked_because=HOSTILE,
    )  # fmt: skip
    action, _ = journal.actions.order(asked, now)
    reading = {"query": HOSTILE, "asked_at": now, "outcome": HOSTILE, "value": 1.5, "error": HOSTILE}
    evidence = (
        *({"what": f"{what} of 3", **reading} for what in ("value", "age", HOSTILE)),
        {"what": "target", "target": None, "refused": [[2, HOSTILE]]}, {"what": HOSTILE, HOSTILE: HOSTILE},
    )  # fmt: skip
    for to in way_to(state):
        action = journal.actions.move(
            action, to, now, HOSTILE, HOSTILE, by=HOSTILE, evidence=evidence, plan={HOSTILE: HOSTILE}, tried=(2, 1),
            attempt=2, landing=HOSTILE, approved_by=HOSTILE if state in ENDED else "", decided_at=now, acted_at=now,
        )  # fmt: skip
    return action


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, dict[State, Action]]]:
    """One receiver with an action in each state, hostile pauses and a hostile note."""
    with rollback.surroundings(Path(tmp_path_factory.mktemp("office"))) as around:
        give_access(around)
        with rollback.bench(around) as desk:
            desk.released()
            journal, now = desk.receiver.journal, desk.clock.time
            actions = {state: put(journal, state, now) for state in State}
            cleared = journal.actions.clear(put(journal, State.CANCELLED, now, 4), HOSTILE, now)
            assert cleared.cleared_by == HOSTILE
            for scope in (("*", "*"), ("main", "digits"), ("*", "other")):
                journal.pauses.begin(Pause(*scope, now, None, HOSTILE, HOSTILE))
            journal.quarantine.put("main", "digits", 1, HOSTILE, HOSTILE, now)
            with serving_pages(desk) as url:
                yield Office(desk, url), actions


def check(text: str) -> Reading:
    """Whether the words stayed words."""
    found = Reading(text)
    scripts = [at for tag, at in found.tags if tag == "script"]
    assert all(re.fullmatch(r"/static/page-[0-9a-f]{16}\.js", at["src"] or "") for at in scripts)
    assert not [tag for tag, _ in found.tags if tag in ("img", "style", "iframe", "object", "base")]
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("href", "action", "src", "data-refresh"):
            assert re.match(r"[/#]([^/\\]|$)", attributes.get(name) or "/"), attributes
    assert "49 &" not in text, "a word was taken for a template"
    return found


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("state", list(State))
def test_an_action_shows_what_it_has_and_the_orders_that_fit_and_nothing_else(
    office: tuple[Office, dict[State, Action]], state: State, who: str
) -> None:
    pages, actions = office
    browser = pages.browser(who)
    path = f"/actions/{actions[state].id}"
    page = browser.get(path)
    assert page.status_code == 200
    fitting = {
        f"{path}/approve": state in (State.AWAITING_APPROVAL, State.BLOCKED),
        f"{path}/reject": state in CANCELLABLE,
        f"{path}/clear": state in ENDED - REOPENS,
    }
    orders = {order for order, fits in fitting.items() if fits and who != "vera"}
    assert check(page.text).forms() == orders
    assert "&lt;script&gt;alert(1)" in page.text
    part = browser.get(f"/parts{path}")
    assert check(part.text).forms() == orders
    assert ("data-refresh" in page.text) == (state not in ENDED)


@pytest.mark.parametrize("who", PEOPLE)
def test_the_overview_and_the_history_hold_hostile_words_too(
    office: tuple[Office, dict[State, Action]], who: str
) -> None:
    pages, _ = office
    browser = pages.browser(who)
    for path in ("/", "/parts/open", "/actions", "/rollback?serving=main&model=digits&because=<script>1</script>"):
        page = browser.get(path)
        assert page.status_code == 200, path
        forms = check(page.text).forms()
        assert "&lt;script&gt;" in page.text or (who == "vera" and path.startswith("/rollback"))
        assert bool(forms) == (who != "vera" and path != "/actions"), path


@pytest.mark.parametrize(
    "path",
    ["/actions?model=<script>x</script>&outcome=<script>x", "/actions/<script>x", "/rollback?serving=<script>&model=x",
     "/login?to=/<script>x</script>", "/actions?before=x&after=-1", "/actions/99999999999999999999999"],
    ids=["filter", "number", "model", "login", "paging", "large"],
)  # fmt: skip
def test_what_stands_in_the_address_is_not_a_part_of_the_page_either(
    office: tuple[Office, dict[State, Action]], path: str
) -> None:
    pages, _ = office
    page = pages.browser("olga").get(path)
    assert page.status_code in (200, 404)
    check(page.text)


def test_all_open_actions_are_on_the_first_page_and_who_waits_for_a_person_comes_first(
    office: tuple[Office, dict[State, Action]],
) -> None:
    pages, actions = office
    text = pages.browser("vera").get("/parts/open").text
    shown = [int(number) for number in re.findall(r'id="open-(\d+)"', text)]
    assert shown[0] == actions[State.AWAITING_APPROVAL].id
    assert set(shown) == {action.id for state, action in actions.items() if state not in ENDED}


def test_the_history_can_be_filtered_by_outcome_and_turned_page_by_page(
    office: tuple[Office, dict[State, Action]],
) -> None:
    pages, actions = office
    browser = pages.browser("vera")

    def numbers(path: str) -> list[int]:
        return [int(each) for each in re.findall(r'href="/actions/(\d+)"><b>', browser.get(path).text)]

    assert numbers("/actions?outcome=failed") == [actions[State.FAILED].id]
    assert numbers("/actions?model=nothing") == []
    everything = numbers("/actions")
    assert everything == sorted(everything, reverse=True)
    assert numbers(f"/actions?before={everything[2]}") == everything[3:]
    assert numbers(f"/actions?after={everything[2]}") == everything[:2]
