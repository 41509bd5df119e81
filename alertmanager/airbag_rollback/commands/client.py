"""Speaks to the receiver for the commands, and finds a token to do so."""

from __future__ import annotations

import functools
import ipaddress
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import requests

from airbag.config import load
from airbag.errors import ConfigError, Garbled, Problem, Refused, Unreachable
from airbag.http_config import HttpConfig, TlsConfig, raise_for
from airbag.http_session import new_session, trouble
from airbag.process import log_options
from airbag_rollback.keys import ORDER, Caller
from airbag_rollback.policy import Policy, Role

R = TypeVar("R")

URL = "http://127.0.0.1:9815"
_TLS_REMEDY = "Look at --receiver.ca-file, --receiver.cert-file, --receiver.key-file and --receiver.server-name"
_SECONDS = 30.0  # an explanation asks Prometheus many questions, each with its own limit


class Client:
    """One receiver, as one caller. Every call raises Unreachable, Refused or Garbled with a sentence for people."""

    def __init__(self, url: str, token: str | None, tls: TlsConfig | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = new_session(HttpConfig(tls_config=tls))
        if token is not None:
            self._http.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: str | int | None) -> Any:  # JSON of several shapes
        """What the API answers."""
        return self._call("GET", path, params=query)

    def post(self, path: str, **order: object) -> Any:
        """Give an order; what has no value is left out. An order that got no answer is given once more, by its key."""
        given = {name: value for name, value in order.items() if value is not None}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        try:
            return self._call("POST", path, json=given, headers=headers)
        except Unreachable:
            return self._call("POST", path, json=given, headers=headers)

    def put(self, path: str, document: bytes, media_type: str) -> Any:  # JSON of several shapes
        """Let the document be what is there; twice is the same as once."""
        return self._call("PUT", path, data=document, headers={"Content-Type": media_type})

    def delete(self, path: str) -> None:
        """Undo something."""
        self._call("DELETE", path)

    def _call(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._http.request(method, self.url + path, timeout=_SECONDS, allow_redirects=False, **more)
        except (requests.RequestException, UnicodeError) as error:
            if said := trouble(error, self._http):
                raise Refused(f"the receiver at {self.url}: {said}. {_TLS_REMEDY}") from error
            text = f"the receiver at {self.url} gives no answer ({type(error).__name__}); start it, or name another"
            raise Unreachable(f"{text} with --receiver.url") from error
        if answer.ok:
            return self._json(answer) if answer.content else None
        detail = self._detail(answer)
        if answer.status_code == requests.codes.unauthorized:
            detail = f"does not know this token; give one with --token-file or AIRBAG_TOKEN ({detail})"
        raise Refused(f"the receiver at {self.url} says no: {detail}", str(answer.status_code))

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise Garbled(f"{self.url} answers something that is no JSON; is it the receiver?") from error

    def _detail(self, answer: requests.Response) -> str:
        try:
            return str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            return f"{answer.status_code} {answer.reason}"


def for_receiver(needs: Role) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Add the options with which a command finds the receiver, and `--json`; the command gets `client` and `as_json`.

    `needs` is the role that the command takes.
    """

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def with_client(*, receiver: Way, config_file: Path, **options: object) -> R:
            return command(client=receiver.client(config_file, needs), **options)

        wrapped: Callable[..., R] = with_receiver(log_options(with_client))
        for option in reversed(_OPTIONS):
            wrapped = option(wrapped)
        return wrapped

    return decorate


config_option = click.option(
    "--config.file", "config_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
    show_default=True, help="policy.yml, for a token on the receiver's own host.",
)  # fmt: skip
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_RECEIVER_OPTIONS = [
    click.option("--receiver.url", "receiver_url", default=URL, show_default=True, envvar="AIRBAG_RECEIVER_URL",
                 help="Where the receiver answers; also AIRBAG_RECEIVER_URL."),
    click.option("--token-file", type=click.Path(path_type=Path),
                 help="File with your token; AIRBAG_TOKEN holds one, too."),
    click.option("--receiver.ca-file", "ca_file", type=_FILE, envvar="AIRBAG_RECEIVER_CA_FILE",
                 help="Authority of the receiver's certificate, when it speaks TLS; also AIRBAG_RECEIVER_CA_FILE."),
    click.option("--receiver.cert-file", "cert_file", type=_FILE, envvar="AIRBAG_RECEIVER_CERT_FILE",
                 help="Your client certificate; also AIRBAG_RECEIVER_CERT_FILE."),
    click.option("--receiver.key-file", "key_file", type=_FILE, envvar="AIRBAG_RECEIVER_KEY_FILE",
                 help="Its key; also AIRBAG_RECEIVER_KEY_FILE."),
    click.option("--receiver.server-name", "server_name",
                 help="The name in the receiver's certificate, where it is not the host of the URL."),
]  # fmt: skip
_OPTIONS = [config_option, click.option("--json", "as_json", is_flag=True, help="Print JSON.")]


@dataclass(frozen=True)
class Way:
    """How to reach the receiver, as the command line says."""

    url: str
    token_file: Path | None
    tls: TlsConfig

    def client(self, config_file: Path, needs: Role) -> Client:
        """Somebody with that role. ConfigError when nothing says who it is."""
        token = find_token(self.url, self.token_file, config_file, needs, has_certificate=bool(self.tls.cert_file))
        return Client(self.url, token, self.tls)


def with_receiver(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options that say where the receiver is and who asks; the command gets them as `receiver: Way`."""

    @functools.wraps(command)
    def with_way(
        *, receiver_url: str, token_file: Path | None, ca_file: Path | None, cert_file: Path | None,
        key_file: Path | None, server_name: str | None, **options: object,
    ) -> R:  # fmt: skip
        if (cert_file is None) != (key_file is None):
            raise click.UsageError("give both --receiver.cert-file and --receiver.key-file, or neither")
        tls = TlsConfig(ca_file=ca_file, cert_file=cert_file, key_file=key_file, server_name=server_name)
        raise_for("airbag", tls.problems("--receiver"))
        return command(receiver=Way(receiver_url, token_file, tls), **options)

    wrapped: Callable[..., R] = with_way
    for option in reversed(_RECEIVER_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def find_token(
    url: str, token_file: Path | None, config_file: Path, needs: Role, *, has_certificate: bool = False
) -> str | None:
    """The token to use: of the file, of AIRBAG_TOKEN, or, on the receiver's host, of policy.yml.

    Of policy.yml that is the readable one with the least role that suffices, and it goes to a receiver on this very
    host only: no address given by mistake can draw it out. ConfigError when there is none; a certificate takes its
    place, and then nothing is taken from policy.yml.
    """
    if token_file is not None:
        return _written(token_file)
    given = os.environ.get("AIRBAG_TOKEN", "").strip()
    if given:
        return given
    if has_certificate:
        return None
    if not _is_here(url):
        problem = Problem("token", f"is missing, and {url} is not this host", "give --token-file or AIRBAG_TOKEN")
        raise ConfigError("airbag", [problem])
    return _of_policy(config_file, needs)


def _of_policy(config_file: Path, needs: Role) -> str:
    remedy = "give --token-file or AIRBAG_TOKEN"
    try:
        policy = load(config_file, Policy)
    except ConfigError as error:
        if config_file.exists():
            raise
        problem = Problem("token", f"is missing, and there is no {config_file} to take one from", remedy)
        raise ConfigError("airbag", [problem]) from error
    fitting = [each for each in policy.access.tokens if Caller(each.name, each.role).may(needs)]
    for each in sorted(fitting, key=lambda each: ORDER.index(each.role)):
        try:
            return each.token.read()
        except ConfigError:
            continue  # somebody else's: only its reader may use it
    what = f"is missing: {config_file} has none for the role {needs} under access.tokens that you may read"
    raise ConfigError("airbag", [Problem("token", what, remedy)])


def _written(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem("token", f"cannot be read: {error}", "name another file")]) from error
    if not token:
        raise ConfigError(str(path), [Problem("token", "is empty", "put your token there")])
    return token


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
