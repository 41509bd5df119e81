"""How a client of ours proves who it is and whom it trusts, named as in Prometheus' `http_config`.

One form for every way out: over HTTP, to Redis, and (the part `tls_config`) over gRPC to TensorFlow Serving.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import model_validator

from airbag.config import LocalPath, Section, load, written_as
from airbag.errors import ConfigError, Problem
from airbag.tls_files import load_authorities, load_pair, unreadable, untimely

HostName = Annotated[str, written_as(r"[A-Za-z0-9._:-]{1,253}", "a host name or an IP address")]


class TlsConfig(Section):
    """Whom to trust and what to show. Without `ca_file` the authorities that everybody trusts.

    `server_name` is the name that the server's certificate must hold, where that is not the host of its address.
    """

    ca_file: LocalPath | None = None
    cert_file: LocalPath | None = None
    key_file: LocalPath | None = None
    server_name: HostName | None = None

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("needs both `cert_file` and `key_file`, or neither")
        return self

    @property
    def files(self) -> list[Path]:
        """The files that it names."""
        return [path for path in (self.ca_file, self.cert_file, self.key_file) if path]

    def context(self) -> ssl.SSLContext:
        """For a client, from the files as they are now. ValueError saying what is wrong with them."""
        context = ssl.create_default_context() if self.ca_file is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file:
            load_authorities(context, self.ca_file)
        if self.cert_file and self.key_file:
            load_pair(context, self.cert_file, self.key_file)
        return context

    def problems(self, where: str) -> list[Problem]:
        """All that is wrong with the files now."""
        named = {"ca_file": self.ca_file, "cert_file": self.cert_file, "key_file": self.key_file}
        found = [Problem(f"{where}.{key}", why) for key, path in named.items() if path and (why := unreadable(path))]
        if found:
            return found
        try:
            self.context()
        except ValueError as error:
            return [Problem(where, str(error))]
        timed = {"ca_file": self.ca_file, "cert_file": self.cert_file}
        return [Problem(f"{where}.{key}", why) for key, path in timed.items() if path and (why := untimely(path))]


class BasicAuth(Section):
    """A name and, in a file, its password."""

    username: str
    password_file: LocalPath


class Authorization(Section):
    """A bearer token in a file."""

    type: Literal["Bearer"] = "Bearer"
    credentials_file: LocalPath


class HttpConfig(Section):
    """How to call a server over HTTP. Secrets and certificates are read anew when their files change."""

    tls_config: TlsConfig | None = None
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None

    @model_validator(mode="after")
    def _has_one_secret_at_most(self) -> Self:
        if self.basic_auth and self.authorization:
            raise ValueError("has both `basic_auth` and `authorization`, and a request carries one of them")
        return self

    def problems(self, where: str) -> list[Problem]:
        """All that is wrong with the files now, without a word of what is in them."""
        found = self.tls_config.problems(f"{where}.tls_config") if self.tls_config else []
        for key, path in self.secrets:
            try:
                secret_in(path)
            except ValueError as error:
                found.append(Problem(f"{where}.{key}", str(error)))
        return found

    @property
    def secrets(self) -> Iterator[tuple[str, Path]]:
        """The files that hold the secret, each with its key."""
        if self.basic_auth:
            yield "basic_auth.password_file", self.basic_auth.password_file
        if self.authorization:
            yield "authorization.credentials_file", self.authorization.credentials_file

    @property
    def secret_files(self) -> Iterator[tuple[str, Path]]:
        """The files that nobody else should read, each with its key."""
        if self.tls_config and self.tls_config.key_file:
            yield "tls_config.key_file", self.tls_config.key_file
        yield from self.secrets


def authorization(config: HttpConfig) -> dict[str, str]:
    """The header that says who we are, or none, from the files as they are now; ValueError when they cannot be used."""
    if config.basic_auth:
        both = f"{config.basic_auth.username}:{secret_in(config.basic_auth.password_file)}"
        return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
    if config.authorization:
        return {"Authorization": f"Bearer {secret_in(config.authorization.credentials_file)}"}
    return {}


def load_http_config(path: Path) -> HttpConfig:
    """A file that holds nothing else, as promtool's `--http.config.file`; ConfigError lists all problems."""
    config = load(path, HttpConfig)
    raise_for(str(path), config.problems("file"))
    return config


def secret_in(path: Path) -> str:
    """The one line in the file, without blanks around it; ValueError, which never shows it, when there is none."""
    if why := unreadable(path):
        raise ValueError(why)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text") from None
    if not text:
        raise ValueError(f"{path} is empty; put the secret there, mode 0600")
    if not text.isprintable():
        raise ValueError(f"{path} should hold one line")
    return text


def raise_for(source: str, problems: list[Problem]) -> None:
    """ConfigError with all of them, if there are any."""
    if problems:
        raise ConfigError(source, problems)
