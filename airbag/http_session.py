"""A `requests` session that shows and trusts what an HttpConfig says."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airbag.http_config import HttpConfig, authorization
from airbag.tls_words import tls_trouble


def new_session(config: HttpConfig | None = None) -> requests.Session:
    """Proxies and certificates of the environment have no say in it: they are meant for the internet.

    Certificates are read at every new connection, secrets at every request: what is renewed on disk is used.
    """
    session = requests.Session()
    session.trust_env = False
    if config is None:
        return session
    if tls := config.tls_config:
        session.verify = str(tls.ca_file) if tls.ca_file else True
        if tls.cert_file and tls.key_file:
            session.cert = (str(tls.cert_file), str(tls.key_file))
        session.mount("https://", _Tls(tls.server_name))
    if config.basic_auth or config.authorization:
        session.auth = _Secret(config)
    return session


def why(error: Exception, session: requests.Session) -> str:
    """Why no answer came, in a few words that hold no secret: what TLS has to do with it, or the name of the error."""
    return trouble(error, session) or type(error).__name__


def trouble(error: Exception, session: requests.Session) -> str:
    """What TLS has to do with it, or ""."""
    asked: Any = getattr(error, "request", None)  # Any: a request, prepared or not
    is_tls = str(getattr(asked, "url", "")).startswith("https:")
    return tls_trouble(error, shown=bool(session.cert) if is_tls else None)


class _Tls(HTTPAdapter):
    """Wants `name` in the server's certificate, whatever the host of the address is, when there is one."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:  # Any: as in the base class
        if self._name:
            more["server_hostname"] = self._name
        super().init_poolmanager(*args, **more)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # Any: as in the base class
        """A file that has gone is no answer, too: requests lets it out as an error of the disk."""
        try:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # the base class is not typed
        except OSError as error:
            raise requests.exceptions.SSLError(str(error)) from error


class _Secret(AuthBase):
    """The secret as its file has it now; the last good one while that cannot be read."""

    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._last: dict[str, str] = {}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            self._last = authorization(self._config)
        except ValueError as error:
            if not self._last:
                raise requests.exceptions.InvalidHeader(str(error)) from error
        request.headers.update(self._last)
        return request
