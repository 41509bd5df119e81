"""The secrets behind `access` of policy.yml, read once: who a token, a password or a certificate stands for."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airbag.config import Secret
from airbag.errors import ConfigError, Problem
from airbag_rollback.policy import Policy, Role

ORDER: tuple[Role, ...] = ("viewer", "operator", "admin")
"""Each may do all that the ones before it may. `alertmanager` stands apart: it may hand in alerts and nothing else."""

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1\d)\$[./A-Za-z0-9]{53}")
_TOKEN = re.compile(r"[!-~]+")
_TOKEN_MIN = 16


@dataclass(frozen=True)
class Caller:
    """Who asks, under the name that the audit will show."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether what asks for `role` is open to this one."""
        if "alertmanager" in (role, self.role):
            return role == self.role
        return ORDER.index(self.role) >= ORDER.index(role)


@dataclass(frozen=True, repr=False)
class Keys:
    """Who is known. Tokens are kept as digests, passwords as the bcrypt hashes that they are given as."""

    tokens: tuple[tuple[bytes, Caller], ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, Caller] = field(default_factory=dict)
    certificates: Mapping[str, Caller] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Keys({len(self.tokens)} tokens, {len(self.users)} users, {len(self.certificates)} certificates)"

    def of_token(self, token: str) -> Caller | None:
        """Whose token it is. Takes as long for a wrong one as for a right one."""
        given, found = _digest(token), None
        for known, caller in self.tokens:
            if hmac.compare_digest(given, known):
                found = caller
        return found


def read_keys(policy: Policy, problems: list[Problem]) -> Keys:
    """Read every secret of `access`; what is wrong goes to `problems`, without any secret in it."""
    access, tokens = policy.access, dict[bytes, Caller]()
    secrets = [("webhook_token", policy.webhook_token, Caller("alertmanager", "alertmanager"))]
    secrets += [
        (f"access.tokens[{n}]", each.token, Caller(each.name, each.role)) for n, each in enumerate(access.tokens)
    ]
    for where, secret, caller in secrets:
        token = _read(where, secret, _checked_token if where != "webhook_token" else _any_token, problems)
        if token and tokens.setdefault(_digest(token), caller) is not caller:
            other = tokens[_digest(token)].name
            problems.append(Problem(where, f"is the same secret as that of {other}", "give each its own"))
    users = {each.name: Caller(each.name, each.role) for each in access.users}
    hashes = {
        each.name: hashed
        for n, each in enumerate(access.users)
        if (hashed := _read(f"access.users[{n}].password_hash", each.password_hash, _checked_hash, problems))
    }
    certificates = {each.name: Caller(each.name, each.role) for each in access.certificates}
    return Keys(tuple(tokens.items()), hashes, users, certificates)


def _read(where: str, secret: Secret, check: Callable[[str], str], problems: list[Problem]) -> str:
    try:
        text = secret.read()
    except ConfigError as error:
        if where != "webhook_token":  # whose own reading says so already
            problems += [Problem(f"{where}: {each.path}", each.what, each.remedy) for each in error.problems]
        return ""
    wrong = check(text)
    if wrong:
        problems.append(Problem(where, wrong))
    return "" if wrong else text


def _any_token(text: str) -> str:
    return "" if _TOKEN.fullmatch(text) else "should be printable ASCII without blanks, to fit into a header"


def _checked_token(text: str) -> str:
    if len(text) < _TOKEN_MIN:
        return f"should have {_TOKEN_MIN} characters or more; `openssl rand -hex 32` makes a good one"
    return _any_token(text)


def _checked_hash(text: str) -> str:
    fits = _BCRYPT.fullmatch(text)
    return "" if fits else "should be a bcrypt hash, such as `htpasswd -nBC 10 NAME` prints after the colon"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
