"""gRPC channels to one server: in plain text one for good, with TLS a new one when a certificate was renewed."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

import grpc

from airbag import tls_words
from airbag.errors import Unreachable
from airbag.tls_files import Stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airbag.http_config import TlsConfig

OPTIONS = (
    # A server that comes back is found within about a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Despite its name, how long one connection attempt may take. The default of 20 s is spent on every lost host.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # These two set TCP_USER_TIMEOUT: a peer that acknowledges nothing for 2 s is gone. Pings as such stay rare, since
    # servers close connections that ping more often than every 5 minutes.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 2000),
    # Signatures and outputs may be larger than the default of 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A new channel starts without the back-off of an older one, and goes straight to the host that was named.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
_LOOK_EVERY = 1.0
"""Seconds between two looks at the files."""
_ASK_EVERY = 10.0
_ASK_SECONDS = 1.0
_CLOSED = ("Socket closed", "reset by peer", "Broken pipe", "GOAWAY", "Connection aborted")
"""What gRPC says when a connection was made and ended at once: it leaves open who wanted what."""
_WORDS = {
    "certificate has expired": tls_words.SERVER_EXPIRED,
    "certificate is not yet valid": tls_words.SERVER_EXPIRED,
    "CERTIFICATE_VERIFY_FAILED": tls_words.NOT_TRUSTED,
    "Hostname Verification Check failed": tls_words.WRONG_NAME,
    "is not in peer certificate": tls_words.WRONG_NAME,
    "WRONG_VERSION_NUMBER": tls_words.NO_TLS,
}
SPEAKS_TLS = "the server speaks TLS, and exporters.yml has no grpc_tls for it"


class Channel(Protocol):
    """Leases a gRPC channel for one call."""

    def lease(self) -> AbstractContextManager[grpc.Channel]:
        """Hold it while the block lasts. Unreachable when there are no files to make one from."""

    def trouble(self, details: str) -> str:
        """What TLS has to do with a call that got no answer, in words; "" for nothing."""

    def close(self) -> None:
        """End the channel. Calls in progress fail."""


def open_channel(target: str, tls: TlsConfig | None) -> Channel:
    """Connects at the first call."""
    return _Following(target, tls) if tls else _Plain(target)


class _Plain:
    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target, options=OPTIONS)
        self._leased = nullcontext(self._channel)
        self._doubt = _Doubt(target, None)

    def lease(self) -> AbstractContextManager[grpc.Channel]:
        return self._leased

    def trouble(self, details: str) -> str:
        return self._doubt.ask() if any(each in details for each in _CLOSED) else ""

    def close(self) -> None:
        self._channel.close()


class _Line:
    """One channel and how many calls are on it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.calls = 0
        self.is_retired = False


class _Following:
    """Makes a new channel when a file changed; calls that are under way end on the old one, which then closes.

    Files that cannot be used, such as a certificate whose key is still to come, leave the old channel in force.
    """

    def __init__(self, target: str, tls: TlsConfig) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else a line past our log for each failed handshake
        self._target = target
        self._tls = tls
        self._lock = threading.Lock()
        self._is_closed = False
        self._looked_at = float("-inf")
        self._stamp: Stamp = ()
        self._line: _Line | None = None
        self._doubt = _Doubt(target, tls)

    @contextmanager
    def lease(self) -> Iterator[grpc.Channel]:
        with self._lock:
            line = self._current()
            line.calls += 1
        try:
            yield line.channel
        finally:
            with self._lock:
                line.calls -= 1
                is_over = line.is_retired and not line.calls
            if is_over:
                line.channel.close()

    def trouble(self, details: str) -> str:
        found = next((words for part, words in _WORDS.items() if part in details), "")
        return found or (self._doubt.ask() if any(each in details for each in _CLOSED) else "")

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._line:
                self._line.channel.close()

    def _current(self) -> _Line:
        now = time.monotonic()
        if self._is_closed or (self._line and now - self._looked_at < _LOOK_EVERY):
            return self._open()
        self._looked_at, found = now, stamp(self._tls.files)
        if found != self._stamp:
            try:
                new = self._new()
            except ValueError as error:
                return self._open(str(error))  # looked at again in a second
            old, self._line, self._stamp = self._line, new, found
            if old:
                old.is_retired = True
                if not old.calls:
                    old.channel.close()
        return self._open()

    def _open(self, problem: str = "") -> _Line:
        if self._line is None:
            raise Unreachable(f"{self._target}: {problem or 'the channel was closed'}")
        return self._line

    def _new(self) -> _Line:
        tls = self._tls
        tls.context()  # whether the files fit each other, which gRPC tells nobody
        try:
            root, cert, key = (
                path.read_bytes() if path else None for path in (tls.ca_file, tls.cert_file, tls.key_file)
            )
        except OSError as error:
            raise ValueError(f"{error.filename} cannot be read ({error.strerror})") from error
        credentials = grpc.ssl_channel_credentials(root, key, cert)
        named = (("grpc.ssl_target_name_override", tls.server_name),) if tls.server_name else ()
        return _Line(grpc.secure_channel(self._target, credentials, options=(*OPTIONS, *named)))


class _Doubt:
    """Finds out why a server ended a connection at once, which gRPC does not say: by a handshake of its own.

    At most every ten seconds and for at most one; in between the last answer holds.
    """

    def __init__(self, target: str, tls: TlsConfig | None) -> None:
        host, _, port = target.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._tls = tls
        self._asked_at = float("-inf")
        self._answer = ""

    def ask(self) -> str:
        now = time.monotonic()
        if now - self._asked_at >= _ASK_EVERY:
            self._asked_at = now
            self._answer = self._handshake() if self._tls else self._is_tls()
        return self._answer

    def _handshake(self) -> str:
        """A gRPC server that does not like a client certificate, or the lack of one, hangs up without an alert."""
        assert self._tls is not None  # noqa: S101 - `ask` looked
        shown = tls_words.REFUSED_CERTIFICATE if self._tls.cert_file else tls_words.NEEDS_CERTIFICATE
        try:
            with self._connected(self._tls.context(), self._tls.server_name or self._host) as secured:
                return "" if secured.recv(1) else shown  # a server that lets us in greets first
        except ConnectionRefusedError:
            return ""  # it has gone away meanwhile
        except (ssl.SSLEOFError, ConnectionError):
            return shown  # with TLS 1.2 before the handshake ends
        except (OSError, ValueError) as error:
            return tls_words.tls_trouble(error)

    def _is_tls(self) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only whether there is TLS at all
        try:
            with self._connected(context, None):
                return SPEAKS_TLS
        except (OSError, ValueError):
            return ""

    @contextmanager
    def _connected(self, context: ssl.SSLContext, name: str | None) -> Iterator[ssl.SSLSocket]:
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((self._host, self._port), timeout=_ASK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            yield secured
