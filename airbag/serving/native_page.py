"""Fetching TF Serving's own metrics page. `requests` would do it too, for 6 MiB of memory more."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, cast

from airbag.errors import Garbled, Refused, Unreachable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATH = "/monitoring/prometheus/metrics"
PAGE_MAX = 64 << 20
"""Clients make the page grow with every model name that they invent."""
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity", "User-Agent": "airbag", "Connection": "close"}


def fetch(address: str, path: str, timeout: float) -> bytes:
    """The page at `address` (HOST:PORT), byte for byte: it may hold bytes that are no UTF-8.

    `timeout` bounds the whole transfer in seconds, also from a server that sends a little at a time. Raises Unreachable
    when no whole page came, Garbled when it is larger than PAGE_MAX, Refused with the HTTP status as its `code` for any
    answer but 200.
    """
    url = f"http://{address}{path}"  # never a query string: the server answers 400 to one
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.connect()
        with connection.sock as sock:
            connection.sock = cast(socket.socket, _Until(sock, deadline))
            connection.request("GET", path, headers=_HEADERS)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise Refused(_refusal(url, response.status), str(response.status))
            page = response.read(PAGE_MAX + 1)
            if len(page) > PAGE_MAX:
                raise Garbled(f"GET {url}: more than {PAGE_MAX >> 20} MiB; restart the server to be rid of its series")
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            return page
    except TimeoutError as error:
        raise Unreachable(f"GET {url}: no whole page within {timeout:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"GET {url}: {error or type(error).__name__}") from error


def _refusal(url: str, status: int) -> str:
    remedy = "; start the server with --monitoring_config_file that enables prometheus" if status == 404 else ""
    return f"GET {url}: HTTP {status}{remedy}"


class _Until(io.RawIOBase):
    """The part of a socket that http.client uses, none of it later than `deadline`."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._in_time().sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._in_time().recv_into(buffer)

    def close(self) -> None:
        """Nothing: http.client closes the socket while its answer is still to be read from it."""

    def _in_time(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock
