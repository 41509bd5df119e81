"""The pages in a real browser, on a real receiver."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.alertmanager_pages.conftest import TOKENS, give_access
from tests.fakes import rollback
from tests.fakes.rollback import Process, alert
from tests.fakes.wait import until

SLOW = 60_000  # milliseconds: the machine may be busy
HEADERS = {"Authorization": f"Bearer {TOKENS['vera']}"}
STAGES = re.compile("approved .* s; acted .* s; available .* s; recovered .* s")
AUDIT = (Path(__file__).parent / "accessibility.js").read_text()


@dataclass
class Live:
    """A receiver, a browser, and what the browser complained about."""

    receiver: Process
    browser: Browser
    complaints: list[str] = field(default_factory=list)

    def get(self, path: str) -> Any:
        """What the API answers."""
        answer = requests.get(self.receiver.url + path, headers=HEADERS, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def serves(self, version: int) -> bool:
        models = self.get("/v1/serving")["models"]
        return any(each["model_name"] == "digits" and each["serves"] == [version] for each in models)

    def page(self, **how: Any) -> Page:
        """A new page of a browser that knows nobody; everything on its console is a complaint."""
        context = self.browser.new_context(**how)
        context.set_default_timeout(SLOW)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def logged_in(self, name: str = "olga", **how: Any) -> Page:
        """On the overview."""
        page = self.page(**how)
        self.log_in(page, name)
        return page

    def log_in(self, page: Page, name: str = "olga") -> None:
        """With the token of this person."""
        page.goto(self.receiver.url)
        page.get_by_label("Token or password").fill(TOKENS[name])
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview", timeout=SLOW)


@contextmanager
def receiver(folder: Path, mode: str) -> Iterator[Process]:
    """A receiver with version 3 released over 2; and bad."""
    with rollback.surroundings(folder) as around:
        give_access(around)
        around.write_policy(mode=mode, soak_min="1ms", switch_within="120s", recover_within="120s")
        with rollback.process(around) as found:
            live = Live(found, None)  # type: ignore[arg-type] # nobody looks yet
            until(lambda: live.serves(2), timeout=60, what="the ledger to see 2")
            around.release(2, 3)
            until(lambda: live.serves(3), timeout=60, what="the ledger to see 3")
            around.bad_release()
            yield found


@pytest.fixture
def live(tmp_path: Path, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Live]:
    """A receiver in mode approve. Nothing may be on the browser's console in the end."""
    with receiver(tmp_path, "approve") as process:
        found = Live(process, chromium)
        yield found
        for context in chromium.contexts:
            context.close()
        assert found.complaints == []


def wait_for_approval(live: Live) -> None:
    assert live.receiver.post(alert()) == 202
    until(
        lambda: [each for each in live.get("/v1/actions")["actions"] if each["state"] == "AWAITING_APPROVAL"],
        timeout=60, what="an action to wait for approval",
    )  # fmt: skip


def test_one_logs_in_sees_what_waits_approves_it_and_watches_it_end(live: Live) -> None:
    page = live.logged_in()
    expect(page.get_by_text("No action is open.")).to_be_visible()
    wait_for_approval(live)
    card = page.get_by_role("article", name="#1 main/digits")
    expect(card).to_be_visible(timeout=SLOW)  # without loading the page again
    expect(card).to_contain_text("from 3 back to 2")
    expect(card.get_by_role("row", name="3 bad 0.9 0.05 500 of 20")).to_be_visible()
    card.get_by_text("Approve…").click()
    card.get_by_label("Note for the audit (optional)").fill("seen on the page")
    card.get_by_role("button", name="Go from 3 back to 2 now").click()
    expect(page.get_by_text("Action 1 is approved and goes on.")).to_be_visible()
    expect(page.get_by_label("How it stands")).to_contain_text("succeeded", timeout=SLOW)
    expect(page.get_by_role("img")).to_have_attribute("aria-label", STAGES, timeout=SLOW)
    expect(page.get_by_role("list").filter(has_text="seen on the page")).to_be_visible()
    assert live.receiver.around.named() == (2,)
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("article", name="main/digits")).to_contain_text("2 has served for")
    assert live.get("/v1/actions")["actions"][0]["approved_by"] == "olga"


def test_a_manual_rollback_is_confirmed_before_it_happens(live: Live) -> None:
    page = live.logged_in()
    card = page.get_by_role("article", name="main/digits")
    card.get_by_text("Roll back…").click()
    card.get_by_label("Why?", exact=True).fill("customers complain")
    card.get_by_role("button", name="Show what would happen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Roll back main/digits?")
    expect(page.get_by_text("Version 3 is taken away and 2 serves again, by serving-version.")).to_be_visible()
    expect(page.get_by_label("Why?")).to_have_value("customers complain")
    assert live.get("/v1/actions")["actions"] == []
    page.get_by_role("button", name="Go from 3 back to 2").click()
    expect(page.get_by_text("The rollback is ordered as action 1.")).to_be_visible()
    expect(page.get_by_label("How it stands")).to_contain_text("succeeded", timeout=SLOW)
    assert live.receiver.around.named() == (2,)


def test_a_model_is_paused_and_resumed(live: Live) -> None:
    page = live.logged_in()
    card = page.get_by_role("article", name="main/other")
    card.get_by_text("Pause…").click()
    card.get_by_label("For how long").select_option("4 hours")
    card.get_by_role("button", name="Pause rollbacks of other").click()  # the browser asks for a reason first
    expect(page.get_by_text("are paused for")).to_have_count(0)
    card.get_by_label("Why?").fill("we move")
    card.get_by_role("button", name="Pause rollbacks of other").click()
    expect(page.get_by_text("Rollbacks of main/other are paused for 4 h.")).to_be_visible()
    expect(page.get_by_role("article", name="main/other")).to_contain_text("by olga: we move")
    page.get_by_role("article", name="main/other").get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Rollbacks of main/other are not paused any more.")).to_be_visible()


def test_without_javascript_everything_can_be_done_too(live: Live) -> None:
    wait_for_approval(live)
    page = live.logged_in(java_script_enabled=False)
    page.get_by_text("Approve…").click()
    page.get_by_role("button", name="Go from 3 back to 2 now").click()
    expect(page.get_by_text("Action 1 is approved and goes on.")).to_be_visible()
    until(lambda: live.get("/v1/actions/1")["state"] == "SUCCEEDED", timeout=60, what="the action to succeed")
    page.reload()
    expect(page.get_by_label("How it stands")).to_contain_text("succeeded")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_the_keyboard_is_enough(live: Live) -> None:
    wait_for_approval(live)
    page = live.logged_in()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.get_by_text("Reject…").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Why not? (optional)")).to_be_focused()
    page.keyboard.type("known")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Action 1 is rejected: version 3 stays where it is.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_every_page_fits_a_phone_and_can_be_read(shown: Live, width: int, scheme: str) -> None:
    page = shown.logged_in(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for path in ("/", "/actions", "/actions/1", "/rollback?serving=main&model=digits&to=1", "/actions/9", "/login"):
        shown.complaints.clear()  # a 404 is told on the console
        page.goto(shown.receiver.url + path)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.name = ''; each.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(AUDIT) == [], path
    page.context.close()


def test_what_one_types_into_is_not_taken_away_by_news(shown: Live) -> None:
    page = shown.page()
    page.clock.install()
    shown.log_in(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_text("Approve…").click()
    note = page.get_by_label("Note for the audit (optional)")
    note.fill("half a sen")
    page.clock.run_for(20_000)
    assert asked == []
    expect(note).to_have_value("half a sen")
    page.get_by_text("Approve…").click()
    page.get_by_role("main").focus()
    with page.expect_response("**/parts/open", timeout=SLOW):
        page.clock.run_for(20_000)
    page.context.close()


def test_a_receiver_that_is_gone_is_noticed(shown: Live) -> None:
    page = shown.page()
    page.clock.install()
    shown.log_in(page)
    page.route("**/parts/open", lambda route: route.abort())
    for _ in range(6):
        with page.expect_event("requestfailed", timeout=SLOW):
            page.clock.run_for(5_000)
    expect(page.get_by_text("the receiver does not answer; what you see is old")).to_be_visible()
    page.context.close()
    shown.complaints.clear()  # the browser tells of each request that failed


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Live]:
    """A receiver with an action that waits, to be looked at only."""
    with receiver(tmp_path_factory.mktemp("shown"), "approve") as process:
        found = Live(process, chromium)
        wait_for_approval(found)
        yield found


@contextmanager
def other_site(html: str) -> Iterator[str]:
    """A page of somebody else. `localhost` and `127.0.0.1` are two sites for a browser."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_link_in_a_chat_leads_straight_to_the_action(shown: Live) -> None:
    page = shown.logged_in()
    with other_site(f'<a href="{shown.receiver.url}/actions/1">action 1</a>') as elsewhere:
        page.goto(elsewhere)
        page.get_by_text("action 1").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Action 1: main/digits")
    page.context.close()


def test_a_form_on_another_site_does_nothing(shown: Live) -> None:
    page = shown.logged_in()
    form = (
        f'<form method="post" action="{shown.receiver.url}/pause"><input name="serving" value="*">'
        '<input name="model" value="*"><input name="seconds"><input name="because" value="x">'
        "<button>win</button></form>"
    )
    with other_site(form) as elsewhere:
        page.goto(elsewhere)
        page.get_by_role("button", name="win").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was done")
    assert shown.get("/v1/pauses")["pauses"] == []
    page.context.close()


def test_no_other_site_can_put_the_page_into_a_frame(shown: Live) -> None:
    page = shown.logged_in()
    with other_site(f'<iframe src="{shown.receiver.url}/login"></iframe>') as elsewhere:
        page.goto(elsewhere)
        expect(page.frame_locator("iframe").get_by_label("Token or password")).to_have_count(0)
    page.context.close()
