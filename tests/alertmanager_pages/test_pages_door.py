"""Who gets in, for how long, and what a page of another site can do: nothing."""

from __future__ import annotations

import re

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from airbag_rollback.pages.door import let_in
from airbag_rollback.pages.frame import own_place, redirect
from airbag_rollback.pages.sessions import ABSOLUTE, IDLE, FormTokens, Messages, Sessions
from tests.alertmanager_pages.conftest import PASSWORD, TOKENS, Office
from tests.fakes.clock import SetClock
from tests.fakes.rollback import TOKEN

PAUSE = {"serving": "*", "model": "*", "seconds": "3600", "because": "x"}


def paused(office: Office) -> bool:
    return bool(office.desk.receiver.journal.pauses.present(office.desk.clock.time))


@pytest.mark.parametrize("path", ["/", "/actions", "/actions/1", "/rollback?serving=main&model=digits"])
def test_strangers_are_sent_to_the_login_and_after_it_to_where_they_wanted(office: Office, path: str) -> None:
    stranger = office.browser()
    page = stranger.get(path)
    assert page.url.startswith(f"{office.url}/login")
    wanted = re.search(r'name="to" value="([^"]*)"', page.text)
    assert wanted
    assert wanted[1].replace("&amp;", "&") == path
    found = stranger.send("/login", page.url.removeprefix(office.url), to=path, secret=TOKENS["olga"])
    assert found.url == office.url + path


def test_strangers_see_nothing_of_the_parts_and_change_nothing(office: Office) -> None:
    stranger = office.browser()
    assert stranger.get("/parts/open").status_code == 401
    assert "digits" not in stranger.get("/").text
    assert stranger.session.post(f"{office.url}/pause", PAUSE).status_code == 401
    assert not paused(office)


@pytest.mark.parametrize(
    ("name", "secret"), [("", "wrong-token-of-nobody"), ("uwe", "wrong"), ("else", PASSWORD), ("", TOKEN)],
    ids=["token", "password", "name", "alertmanager"],
)  # fmt: skip
def test_a_wrong_secret_lets_nobody_in_and_is_not_shown_again(office: Office, name: str, secret: str) -> None:
    stranger = office.browser()
    page = stranger.send("/login", "/login", name=name, secret=secret)
    if secret == TOKEN:  # Alertmanager is known, and may not look
        assert page.status_code == 403
    else:
        assert page.status_code == 401
        assert stranger.get("/").url.startswith(f"{office.url}/login")
    assert secret not in page.text


def test_a_name_with_its_password_logs_in(office: Office) -> None:
    uwe = office.browser()
    assert "uwe" in uwe.send("/login", "/login", name="uwe", secret=PASSWORD).text
    assert uwe.get("/").url == f"{office.url}/"


def test_many_wrong_passwords_have_to_wait(office: Office) -> None:
    stranger = office.browser()
    codes = {stranger.send("/login", "/login", name="uwe", secret=f"guess {n}").status_code for n in range(12)}
    assert codes == {401, 429}


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(office: Office) -> None:
    olga = office.browser()
    form = {"form_token": olga.token("/login"), "secret": TOKENS["olga"]}
    answer = olga.session.post(f"{office.url}/login", form, allow_redirects=False)
    cookie = answer.headers["Set-Cookie"]
    assert re.match(r"airbag=[\w-]{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=strict$", cookie)
    assert TOKENS["olga"] not in cookie


def test_under_tls_the_cookie_never_travels_without_it() -> None:
    scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b"", "headers": [],
             "server": ("airbag", 443)}  # fmt: skip
    response = Response()
    let_in(Request(scope), response, "identifier")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-airbag=identifier;")
    assert "; Secure" in cookie


def test_a_login_begins_a_new_session_and_ends_the_one_before(office: Office) -> None:
    olga = office.browser("olga")
    before = olga.session.cookies["airbag"]
    olga.log_in("olga")
    assert olga.session.cookies["airbag"] != before
    assert requests.get(f"{office.url}/parts/open", cookies={"airbag": before}, timeout=10).status_code == 401


def test_who_logged_out_is_out_whatever_the_browser_kept(office: Office) -> None:
    olga = office.browser("olga")
    kept = olga.session.cookies["airbag"]
    assert olga.send("/logout").url == f"{office.url}/login"
    assert "airbag" not in olga.session.cookies
    assert requests.get(f"{office.url}/parts/open", cookies={"airbag": kept}, timeout=10).status_code == 401


def test_another_page_cannot_log_somebody_out(office: Office) -> None:
    olga = office.browser("olga")
    assert olga.session.post(f"{office.url}/logout", {"form_token": "0"}).status_code == 403
    assert olga.get("/parts/open").ok


def test_a_session_ends_when_nobody_clicks_and_a_page_that_refreshes_is_no_click(office: Office) -> None:
    olga = office.browser("olga")
    for _ in range(3):
        office.desk.clock.time += IDLE / 2
        assert olga.get("/").url == f"{office.url}/"
    office.desk.clock.time += IDLE / 2
    assert olga.get("/parts/open").ok
    office.desk.clock.time += IDLE / 2
    assert olga.get("/parts/open").status_code == 401


def test_a_session_ends_after_half_a_day_in_any_case(office: Office) -> None:
    olga = office.browser("olga")
    for _ in range(int(ABSOLUTE / IDLE * 2) - 1):
        office.desk.clock.time += IDLE / 2
        assert olga.get("/parts/open").ok
        assert olga.get("/actions").ok
    office.desk.clock.time += IDLE / 2
    assert olga.get("/parts/open").status_code == 401


def test_a_token_that_is_taken_away_takes_its_sessions_along(office: Office) -> None:
    around, olga, uwe = office.desk.around, office.browser("olga"), office.browser()
    assert uwe.send("/login", "/login", name="uwe", secret=PASSWORD).ok
    (around.folder / "token_olga").write_text("another-token-of-olga")
    office.desk.receiver.reload()
    assert olga.get("/parts/open").status_code == 401
    assert uwe.get("/parts/open").ok
    around.write_policy(access=around.policy["access"].replace("name: uwe, role: operator", "name: uwe, role: viewer"))
    office.desk.receiver.reload()
    assert uwe.send("/pause", "/", **PAUSE).status_code == 403
    around.write_policy(access="{}")
    office.desk.receiver.reload()
    assert uwe.get("/parts/open").status_code == 401


def test_a_form_without_the_token_of_this_session_does_nothing(office: Office) -> None:
    olga, other = office.browser("olga"), office.browser("olga")
    for token in ("", "0" * 64, other.token("/"), office.browser().token("/login"), "é"):
        page = olga.session.post(f"{office.url}/pause", PAUSE | {"form_token": token})
        assert page.status_code == 403
        assert "This page is out of date" in page.text
    assert not paused(office)
    assert olga.send("/pause", "/", **PAUSE).ok


def test_a_password_that_the_browser_adds_by_itself_is_no_permission_for_other_sites(office: Office) -> None:
    uwe = office.browser()
    uwe.session.auth = ("uwe", PASSWORD)
    assert uwe.session.post(f"{office.url}/pause", PAUSE).status_code == 403
    assert not paused(office)
    assert uwe.send("/pause", "/", **PAUSE).ok


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}],
    ids=["origin", "hidden", "cross-site", "same-site"],
)  # fmt: skip
def test_a_form_from_another_site_does_nothing_even_with_the_token(office: Office, headers: dict[str, str]) -> None:
    olga = office.browser("olga")
    form = PAUSE | {"form_token": olga.token("/")}
    page = olga.session.post(f"{office.url}/pause", form, headers=headers)
    assert page.status_code == 403
    assert "from another site" in page.text
    assert not paused(office)
    mine = {"Origin": office.url, "Sec-Fetch-Site": "same-origin"}
    assert olga.session.post(f"{office.url}/pause", form, headers=mine).ok


def test_another_site_cannot_log_somebody_in(office: Office) -> None:
    stranger = office.browser()
    form = {"secret": TOKENS["olga"], "form_token": "0"}
    assert stranger.session.post(f"{office.url}/login", form).status_code == 403
    assert "airbag" not in stranger.session.cookies


def test_a_link_from_a_chat_is_followed_once_more_so_that_the_cookie_comes_along(office: Office) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    page = office.browser().get("/actions?model=a&outcome=b", headers=link)
    assert page.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/actions?model=a&amp;outcome=b">' in page.text


def test_every_page_tells_browsers_to_be_strict_and_to_keep_nothing(office: Office) -> None:
    olga = office.browser("olga")
    for page in (olga.get("/"), olga.get("/actions/9"), office.browser().get("/login"), olga.get("/parts/open")):
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "same-origin"


def test_style_and_script_are_kept_for_ever_under_names_that_hold_their_content(office: Office) -> None:
    stranger = office.browser()
    names = re.findall(r"/static/[\w.-]+", stranger.get("/login").text)
    assert {name.rpartition(".")[2] for name in names} == {"css", "js", "svg"}
    for name in names:
        asset = stranger.get(name)
        assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert asset.headers["X-Content-Type-Options"] == "nosniff"
    assert stranger.get("/static/page-0000000000000000.css").status_code == 404
    assert stranger.get("/static/..%2f..%2fassets.py").status_code == 404


def test_a_form_of_any_size_is_not_read(office: Office) -> None:
    olga = office.browser("olga")
    form = PAUSE | {"form_token": olga.token("/"), "because": "x" * 20_000}
    assert olga.session.post(f"{office.url}/pause", form).status_code == 413
    assert not paused(office)


@given(st.text() | st.text("/\\:@.?#ae \t\n", max_size=8).map(lambda tail: f"/{tail}"))
def test_after_the_login_one_stays_on_this_site(to: str) -> None:
    place = own_place(to)
    target = redirect(place).headers["location"]
    assert re.match(r"/([^/\\]|$)", target)


def test_with_too_many_sessions_the_first_one_ends() -> None:
    sessions = Sessions(SetClock())
    first, *_, last = [sessions.begin(lambda: None) for _ in range(1001)]
    assert sessions.find(first) is None
    assert sessions.find(last) is not None


def test_messages_do_not_pile_up() -> None:
    messages = Messages()
    for number in range(300):
        messages.leave(f"session {number}", "good", "text")
    assert messages.take("session 0") == []
    assert messages.take("session 299") == [("good", "text")]


def test_the_tokens_of_two_receivers_differ() -> None:
    assert FormTokens().of("session x") != FormTokens().of("session x")
