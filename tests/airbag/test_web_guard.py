"""Passwords, headers and the rate limit, as a client meets them."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
import requests

from airbag.web_config import RateLimit
from airbag.web_guard import Bucket, Busy, Passwords
from tests.airbag.http_process import GUARDED, Running, running
from tests.fakes.clock import SetClock
from tests.fakes.wait import until

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nowhere")
ALICE, BOB = ("alice", "secret: ü"), ("bob", "other")


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def users(*pairs: tuple[str, str]) -> str:
    return "basic_auth_users:\n" + "".join(f"  {name}: {hashed(password)}\n" for name, password in pairs)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("guarded")
    headers = "http_server_config: {headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff}}\n"
    (folder / "web.yml").write_text(users(ALICE, BOB) + headers)
    with running(GUARDED, folder) as process:
        yield process


def status(process: Running, path: str = "/-/healthy", authorization: str | None = None, method: str = "GET") -> int:
    headers = {"authorization": authorization} if authorization is not None else {}
    return requests.request(method, process.url + path, headers=headers, timeout=10).status_code


@pytest.mark.parametrize("path", PATHS)
def test_every_path_asks_for_a_password(guarded: Running, path: str) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        answer = requests.request(method, guarded.url + path, timeout=10)
        assert (answer.status_code, "airbag_" in answer.text) == (401, False)
        assert answer.headers["www-authenticate"] == 'Basic realm="airbag", charset="UTF-8"'


def test_a_user_comes_in_and_meets_the_usual_answers(guarded: Running) -> None:
    expected = {"/": 200, "/metrics": 200, "/-/healthy": 200, "/-/ready": 200, "/-/reload": 405, "/nowhere": 404}
    assert {path: status(guarded, path, basic(*ALICE)) for path in PATHS} == expected
    assert status(guarded, "/metrics", basic(*BOB), "HEAD") == 200
    assert status(guarded, "/metrics", basic(*BOB), "POST") == 405


@pytest.mark.parametrize(
    "authorization",
    [
        "", "Basic", "Basic ", "Basic !!!", "Basic YWxpY2U=", "Bearer secret: ü".encode().decode("latin-1"),
        basic("alice", "wrong"), basic("alice", ""), basic("ALICE", ALICE[1]), basic("alice", BOB[1]),
        basic("nobody", ALICE[1]), basic("", ALICE[1]), basic("alice", ALICE[1] + "\0"), basic("alice", "x" * 5000),
    ],
)  # fmt: skip
def test_nobody_else_comes_in(guarded: Running, authorization: str) -> None:
    assert status(guarded, authorization=authorization) == 401
    assert status(guarded, authorization=authorization) == 401


def test_a_path_with_its_own_check_is_exempt_and_no_other_spelling_of_it(guarded: Running) -> None:
    assert status(guarded, "/own") == 200
    assert [status(guarded, path) for path in ("/own/", "/OWN", "/own/x", "//own")] == [401] * 4


def test_headers_are_on_every_answer(guarded: Running) -> None:
    for path in ("/own", "/metrics"):
        headers = requests.get(guarded.url + path, timeout=10).headers
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("deny", "nosniff")


def test_the_landing_page_says_what_the_process_is_for(guarded: Running) -> None:
    page = requests.get(guarded.url, auth=("bob", BOB[1]), timeout=10).text
    assert "<p>A &lt;b&gt;guarded&lt;/b&gt; process.</p>" in page
    assert "prefers-color-scheme:dark" in page
    assert "<script" not in page


def test_a_changed_file_holds_from_the_next_request_and_a_broken_one_shows_in_the_metric(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(users(ALICE))
    metric = "airbag_config_last_reload_successful"

    def successful() -> float:
        page = requests.get(f"{process.url}/metrics", auth=("bob", BOB[1]), timeout=10).text
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(metric + " "))

    with running(GUARDED, tmp_path) as process:
        assert status(process, authorization=basic(*ALICE)) == 200
        file.write_text(users(BOB))
        assert (status(process, authorization=basic(*ALICE)), status(process, authorization=basic(*BOB))) == (401, 200)
        file.write_text("basic_auth_users: {bob: plain}")
        assert (status(process, authorization=basic(*BOB)), successful()) == (200, 0)
        assert process.log.read_text().count("the old one stays in force") == 1
        reload = requests.post(f"{process.url}/-/reload", auth=("bob", BOB[1]), timeout=10)
        assert (reload.status_code, "'bob' should be a bcrypt hash" in reload.text) == (500, True)
        file.write_text(users(BOB))
        assert (status(process, authorization=basic(*BOB)), successful()) == (200, 1)
        assert requests.post(f"{process.url}/-/reload", auth=("bob", BOB[1]), timeout=10).status_code == 200


def test_a_password_is_computed_once_and_off_the_event_loop() -> None:
    slow = {"alice": hashed("secret", cost=11)}

    async def ask() -> tuple[int, float, float]:
        passwords = Passwords()
        begun = time.monotonic()
        asked = asyncio.create_task(passwords.accepts(slow, basic("alice", "secret")))
        turns = 0
        while not asked.done():
            await asyncio.sleep(0.002)
            turns += 1
        assert asked.result()
        first = time.monotonic() - begun
        for _ in range(50):
            assert await passwords.accepts(slow, basic("alice", "secret"))
        return turns, first, time.monotonic() - begun - first

    turns, first, fifty_more = asyncio.run(ask())
    assert turns > 5
    assert fifty_more < 10 * first


def test_a_remembered_password_is_worth_nothing_under_another_hash_or_name() -> None:
    async def ask() -> list[bool]:
        passwords = Passwords()
        old, new = {"alice": hashed("secret")}, {"alice": hashed("changed")}
        asked = [(old, "alice"), (new, "alice"), (old, "mallory"), (old, "alice")]
        return [await passwords.accepts(known, basic(name, "secret")) for known, name in asked]

    assert asyncio.run(ask()) == [True, False, False, True]


def test_what_is_remembered_is_bounded_and_holds_no_password() -> None:
    async def fill() -> Passwords:
        passwords = Passwords()
        for number in range(300):
            assert await passwords.accepts({"alice": hashed(f"secret{number}")}, basic("alice", f"secret{number}"))
        return passwords

    remembered = vars(asyncio.run(fill()))["_right"]
    assert len(remembered) == 256
    assert not [key for key in remembered if b"secret" in key]


def test_a_flood_of_passwords_is_turned_away_and_locks_out_nobody_known() -> None:
    known = {"alice": hashed("secret", cost=9)}

    async def flood() -> tuple[int, bool]:
        passwords = Passwords()
        assert await passwords.accepts(known, basic("alice", "secret"))
        wrong = [asyncio.create_task(passwords.accepts(known, basic("alice", f"wrong{n}"))) for n in range(60)]
        await asyncio.sleep(0)
        still = await passwords.accepts(known, basic("alice", "secret"))
        results = await asyncio.gather(*wrong, return_exceptions=True)
        assert True not in results
        return sum(isinstance(each, Busy) for each in results), still

    turned_away, still = asyncio.run(flood())
    assert turned_away == 44
    assert still


def test_passwords_are_computed_one_at_a_time() -> None:
    known = {"alice": hashed("secret", cost=9)}

    async def ask() -> int:
        passwords = Passwords()
        await asyncio.gather(*(passwords.accepts(known, basic("alice", f"wrong{n}")) for n in range(8)))
        return sum(thread.name == "AnyIO worker thread" for thread in threading.enumerate())

    assert asyncio.run(ask()) == 1


def test_a_long_password_counts_as_htpasswd_counts_it() -> None:
    known = {"alice": hashed("a" * 72)}
    assert asyncio.run(Passwords().accepts(known, basic("alice", "a" * 100)))
    assert not asyncio.run(Passwords().accepts(known, basic("alice", "a" * 71)))


def test_the_rate_limit_lets_a_burst_through_and_then_one_per_interval() -> None:
    clock = SetClock()
    bucket, limit = Bucket(clock), RateLimit.model_validate({"interval": "2s", "burst": 3})
    assert [bucket.take(limit) for _ in range(4)] == [True, True, True, False]
    clock.sleep(1.9)
    assert not bucket.take(limit)
    clock.sleep(0.2)
    assert [bucket.take(limit), bucket.take(limit)] == [True, False]
    clock.sleep(3600)
    assert [bucket.take(limit) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(RateLimit())


def test_too_many_requests_are_429_except_where_the_path_checks_for_itself(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("rate_limit: {interval: 1h, burst: 2}")
    with running(GUARDED, tmp_path) as process:
        assert [status(process) for _ in range(4)] == [200, 200, 429, 429]
        assert [status(process, "/own") for _ in range(4)] == [200] * 4
        (tmp_path / "web.yml").write_text("rate_limit: {interval: 0s}")
        until(lambda: status(process) == 200, what="the limit is gone")
