"""A TCP cable between a client and a server that a test can cut: bytes vanish, or connections are refused."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Literal, Self

Condition = Literal["whole", "silent", "refusing"]


class Cable:
    """Forwards to `target` on loopback. While it is silent nothing arrives, and nobody is told; connections stay."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._sockets: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._condition: Condition = "whole"
        self._ended = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def cut(self, how: Condition) -> None:
        """From now on. Connections that were there stay silent, or are reset."""
        self._condition = how
        self._whole.clear()
        if how == "refusing":
            self._reset()

    def mend(self) -> None:
        """What was on its way when it was cut is lost, as are the connections of that time."""
        self._reset()
        self._condition = "whole"
        self._whole.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended = True
        self._whole.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset()

    def _reset(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._condition == "refusing":
                client.close()
                continue
            self._sockets.append(client)
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        self._whole.wait()
        with client, contextlib.suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            server.settimeout(None)
            self._sockets.append(server)
            with server:
                back = threading.Thread(target=self._pump, args=(client, server), daemon=True)
                back.start()
                self._pump(server, client)
                back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._whole.is_set():
                    continue  # swallowed
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
