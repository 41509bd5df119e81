"""`--web.config.file`: TLS, passwords, headers and a rate limit, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import dataclasses
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from airbag.config import LocalPath, Section, load, parse_duration
from airbag.errors import ConfigError, Problem
from airbag.tls_files import unreadable
from airbag.web_tls import CIPHERS, ClientAuth, Version, server_context

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")

_NOT_USERS = "should be names with bcrypt hashes"

_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}

_UNSUPPORTED = {
    "tls_server_config.cert": "put it into a file and name that in cert_file",
    "tls_server_config.key": "put it into a file, mode 0600, and name that in key_file",
    "tls_server_config.client_ca": "put it into a file and name that in client_ca_file",
    "tls_server_config.client_allowed_sans": "use a certificate authority of its own for the clients that may come in",
    "tls_server_config.curve_preferences": "remove it; OpenSSL's order holds",
}


def _readable(path: Path) -> Path:
    if why := unreadable(path):
        raise ValueError(why)
    return path


def _verifying(name: object) -> object:
    if name in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"):
        raise ValueError("takes certificates without verifying them, which Airbag does not do; "
                         "should be RequireAndVerifyClientCert or VerifyClientCertIfGiven")  # fmt: skip
    return name


def _cipher(name: str) -> str:
    if name not in CIPHERS:
        raise ValueError(f"should be one of {', '.join(CIPHERS)}")
    return name


def _users(given: object) -> object:
    """All at once, and never with the value: it may be a password."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ValueError(_NOT_USERS)  # noqa: TRY004 - pydantic collects these
    wrong = [name for name, hashed in given.items() if not (isinstance(hashed, str) and _BCRYPT.fullmatch(hashed))]
    problems = [f"the value of {name!r} should be a bcrypt hash, such as $2y$10$ and 53 characters" for name in wrong]
    problems += [f"the name {name!r} should have no colon" for name in given if ":" in name]
    if problems:
        raise ValueError("; ".join(problems))
    return given


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    problems = [f"{name!r} should be one of {', '.join(_HEADERS)}" for name in given if name not in _HEADERS]
    for name, text in given.items():
        allowed = _HEADERS.get(name, ())
        if not (text.isascii() and text.isprintable()):
            problems.append(f"{name!r} should be printable ASCII")
        elif text and allowed and text.lower() not in allowed:
            problems.append(f"{name!r} should be {' or '.join(allowed)}, not {text!r}")
    if problems:
        raise ValueError("; ".join(problems))
    return {name: text for name, text in given.items() if text}


File = Annotated[LocalPath, AfterValidator(_readable)]


class Tls(Section):
    """Reading one reads its files too, so that a checked one can be used."""

    cert_file: File
    key_file: File
    client_ca_file: File | None = None
    client_auth_type: Annotated[ClientAuth, BeforeValidator(_verifying)] = "NoClientCert"
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True
    _context: ssl.SSLContext = PrivateAttr()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        verifies = self.client_auth_type != "NoClientCert"
        if verifies and not self.client_ca_file:
            raise ValueError(f"client_auth_type {self.client_auth_type} needs a client_ca_file")
        if self.client_ca_file and not verifies:
            raise ValueError("client_ca_file has no effect without client_auth_type: RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError(f"min_version {self.min_version} is above max_version {self.max_version}")
        self._context = server_context(
            self.cert_file, self.key_file, self.client_ca_file, self.client_auth_type,
            (self.min_version, self.max_version), self.cipher_suites, prefer_ours=self.prefer_server_cipher_suites,
        )  # fmt: skip
        return self

    @property
    def context(self) -> ssl.SSLContext:
        """Made from the files as they were when the configuration was read."""
        return self._context


class HttpServer(Section):
    """`http2` is accepted and has no effect: clients negotiate, and get HTTP/1.1."""

    http2: bool = True
    headers: Annotated[Mapping[str, str], AfterValidator(_headers)] = Field(default_factory=dict)


class RateLimit(Section):
    """One request per `interval` seconds on average, `burst` at once; an interval of 0 is no limit."""

    interval: Annotated[float, BeforeValidator(lambda given: 0.0 if given == 0 else parse_duration(given))] = 0.0
    burst: int = Field(1, ge=1)


class WebConfig(Section):
    """The file."""

    tls_server_config: Tls | None = None
    http_server_config: HttpServer = Field(default_factory=HttpServer)
    basic_auth_users: Annotated[Mapping[str, str], BeforeValidator(_users)] = Field(default_factory=dict)
    rate_limit: RateLimit = Field(default_factory=RateLimit)

    @property
    def files(self) -> list[Path]:
        """The files that the configuration names."""
        tls = self.tls_server_config
        return [path for path in (tls.cert_file, tls.key_file, tls.client_ca_file) if path] if tls else []


def load_web_config(path: Path) -> WebConfig:
    """Read and check the file and the files it names; ConfigError lists every problem and shows no secret."""
    try:
        return load(path, WebConfig)
    except ConfigError as error:
        raise ConfigError(str(path), [_reworded(problem, path) for problem in error.problems]) from None


def _reworded(problem: Problem, path: Path) -> Problem:
    remedy = _UNSUPPORTED.get(problem.path)
    if remedy:
        return Problem(problem.path, "is a key of exporter-toolkit that Airbag does not have", remedy)
    if problem.what.startswith(_NOT_USERS):
        return Problem(problem.path, _NOT_USERS)  # without the value: it may be a password
    if problem.path == str(path):
        return dataclasses.replace(problem, remedy="give a file that can be read with --web.config.file")
    return problem
