"""Who is asking: tokens, passwords and certificates, and the roles behind them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import bcrypt
import pytest
from starlette.requests import Request

from airbag.errors import ConfigError
from airbag.http_limits import CLIENT_NAME
from airbag_rollback.access import Access, TooOften
from airbag_rollback.config import load_settings
from airbag_rollback.keys import Caller, Keys
from airbag_rollback.policy import Role
from tests.fakes.clock import SetClock
from tests.fakes.rollback import TOKENS, Surroundings

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()


@dataclass
class Gate:
    """An Access over the keys of a policy, and the reasons of those who were not let in."""

    keys: Keys
    clock: SetClock = field(default_factory=SetClock)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.access = Access(lambda: self.keys, self.refused.append, self.clock)

    def who(
        self, authorization: str | None = None, certificate: str | None = None, host: str = "10.0.0.1"
    ) -> Caller | None:
        return asyncio.run(self.access.caller(request(authorization, certificate, host)))


def request(
    authorization: str | None = None, certificate: str | None = None, host: str = "10.0.0.1",
    more: Mapping[str, str] = {},
) -> Request:  # fmt: skip
    headers = (
        {"host": "receiver:9815"} | dict(more) | ({"authorization": authorization} if authorization is not None else {})
    )
    raw = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": raw, "client": (host, 1),
             "query_string": b"", "server": ("receiver", 9815), "scheme": "http"}  # fmt: skip
    return Request(scope | ({"extensions": {CLIENT_NAME: {"name": certificate}}} if certificate else {}))


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def gate(around: Surroundings) -> Gate:
    (around.folder / "hash").write_text(HASH + "\n")
    tokens = ", ".join(f"{{name: {name}, role: viewer, token: {{file: token_{name}}}}}" for name in TOKENS)
    around.write_policy(
        access=f"{{tokens: [{tokens}], users: [{{name: otto, role: operator, password_hash: {{file: hash}}}}], "
        "certificates: [{name: ops-laptop, role: admin}]}"
    )
    return Gate(load_settings(around.policy_file).keys)


def test_each_way_in_gives_its_own_name_and_role(gate: Gate) -> None:
    assert gate.who(f"Bearer {TOKENS['olga']}") == Caller("olga", "viewer")
    assert gate.who(f"bearer  {TOKENS['olga']} ") == Caller("olga", "viewer")
    assert gate.who("Bearer correct-horse-battery") == Caller("alertmanager", "alertmanager")
    assert gate.who(basic("otto", "open sesame")) == Caller("otto", "operator")
    assert gate.who(certificate="ops-laptop") == Caller("ops-laptop", "admin")
    assert gate.refused == []


@pytest.mark.parametrize(
    ("authorization", "certificate", "reason"),
    [
        (None, None, "nobody"),
        ("", None, "nobody"),
        ("Bearer", None, "token"),
        ("Bearer wrong", None, "token"),
        ("Bearer \xe9\xff", None, "token"),
        ("Digest x", None, "token"),
        ("Basic", None, "password"),
        ("Basic not base64!", None, "password"),
        (basic("otto", "wrong"), None, "password"),
        (basic("nobody", "open sesame"), None, "password"),
        (basic("otto", ""), None, "password"),
        (None, "somebody else", "certificate"),
        ("Bearer wrong", "ops-laptop", "token"),
    ],
)
def test_whoever_is_not_known_is_nobody_and_counted(
    gate: Gate, authorization: str | None, certificate: str | None, reason: str
) -> None:
    assert gate.who(authorization, certificate) is None
    assert gate.refused == [reason]


def test_guessing_passwords_gets_slow_and_harms_neither_others_nor_who_was_let_in_before(gate: Gate) -> None:
    assert gate.who(basic("otto", "open sesame"), host="10.0.0.9") is not None
    for number in range(10):
        assert gate.who(basic("otto", f"guess {number}")) is None
    with pytest.raises(TooOften):
        gate.who(basic("otto", "guess 11"))
    assert gate.refused[-1] == "too_often"
    assert gate.who(basic("otto", "open sesame")) == Caller("otto", "operator")
    assert gate.who(f"Bearer {TOKENS['vera']}") == Caller("vera", "viewer")
    assert gate.who(basic("otto", "guess 12"), host="10.0.0.7") is None


def test_after_a_while_one_more_guess_is_looked_at(gate: Gate) -> None:
    for number in range(10):
        gate.who(basic("otto", f"guess {number}"))
    gate.clock.time += 3
    assert gate.who(basic("otto", "guess 10")) is None
    with pytest.raises(TooOften):
        gate.who(basic("otto", "guess 11"))


def test_addresses_that_tried_are_forgotten_when_there_are_too_many(gate: Gate) -> None:
    gate.keys = Keys(hashes={"otto": "no hash at all"}, users={"otto": Caller("otto", "viewer")})
    for number in range(1500):
        gate.who(basic("otto", "x"), host=f"host {number}")
    assert len(gate.access._tries) == 1024


def test_a_changed_password_or_token_counts_at_once(gate: Gate) -> None:
    assert gate.who(basic("otto", "open sesame"))
    gate.keys = Keys(hashes={"otto": bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()}, users=gate.keys.users)
    assert gate.who(basic("otto", "open sesame")) is None
    assert gate.who(f"Bearer {TOKENS['vera']}") is None


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", ["viewer"]), ("operator", ["viewer", "operator"]), ("admin", ["viewer", "operator", "admin"]),
        ("alertmanager", ["alertmanager"]),
    ],
)  # fmt: skip
def test_each_role_may_what_the_ones_before_it_may_and_alertmanager_stands_apart(role: Role, may: list[Role]) -> None:
    roles: tuple[Role, ...] = ("alertmanager", "viewer", "operator", "admin")
    assert [each for each in roles if Caller("x", role).may(each)] == may


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),
        ({"origin": "http://receiver:9815", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://receiver:9816"}, True),
        ({"origin": "http://[broken"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
    ],
    ids=str,
)
def test_a_page_of_another_site_is_recognised(gate: Gate, headers: dict[str, str], elsewhere: bool) -> None:
    assert gate.access.comes_from_elsewhere(request(more=headers)) is elsewhere
    assert gate.refused == (["cross_site"] if elsewhere else [])


def problems(around: Surroundings, access: str) -> str:
    around.write_policy(access=access)
    with pytest.raises(ConfigError) as refused:
        load_settings(around.policy_file)
    return str(refused.value)


def test_every_problem_with_secrets_is_told_at_once_and_none_of_them_is_shown(around: Surroundings) -> None:
    for name, text in {"short": "tiny", "blank": "with a blank inside it", "pw": "my-real-password"}.items():
        (around.folder / name).write_text(text)
    told = problems(
        around,
        "{tokens: [{name: a, role: viewer, token: {file: missing}}, {name: b, role: viewer, token: {file: short}}, "
        "{name: c, role: viewer, token: {file: blank}}, {name: d, role: viewer, token: {file: token}}, "
        "{name: e, role: viewer, token: {env: AIRBAG_NOT_SET_ANYWHERE}}], "
        "users: [{name: f, role: admin, password_hash: {file: pw}}]}",
    )
    for part in (
        "6 problems", "access.tokens[0]: ", "missing: cannot be read", "access.tokens[1]: should have 16 characters",
        "access.tokens[2]: should be printable ASCII", "access.tokens[3]: is the same secret as that of alertmanager",
        "access.tokens[4]: $AIRBAG_NOT_SET_ANYWHERE: is empty",
        "access.users[0].password_hash: should be a bcrypt hash",
    ):  # fmt: skip
        assert part in told
    assert not any(secret in told for secret in ("tiny", "blank inside", "my-real-password", "correct-horse"))


def test_keys_show_no_secret(gate: Gate) -> None:
    assert repr(gate.keys) == "Keys(4 tokens, 1 users, 1 certificates)"
