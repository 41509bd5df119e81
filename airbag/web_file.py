"""The web configuration in force, and when it is read again."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext

from airbag.certificate import validities
from airbag.clock import Clock, SystemClock
from airbag.errors import ConfigError, Problem
from airbag.tls_files import stamp
from airbag.web_config import WebConfig, load_web_config

_TRY_AGAIN = 5.0  # seconds; a refused file may wait for a file that nobody watches yet


class WebFile:
    """Reads the file at once, and again when it or a file it names changes.

    A file that is refused later changes nothing: the last good configuration stays in force. `on_read` is told of
    every later reading that nobody asked for, with the refusal or None.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Raises ConfigError."""
        self._path = path
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()  # reentrant: a signal may interrupt a reading
        self._refused_at: float | None = None
        self.on_read: Callable[[str | None], None] = lambda _refusal: None
        named = load_web_config(path).files
        self._stamp = stamp([path, *named])  # before the reading that counts: what changes meanwhile is read again
        self._config = load_web_config(path)

    @property
    def encrypts(self) -> bool:
        """Whether the process speaks TLS; this cannot change while it runs."""
        return self._config.tls_server_config is not None

    def current(self) -> WebConfig:
        """The configuration in force now. Costs a few calls of stat(2); reads only what changed."""
        with self._lock:
            if self._is_stale():
                try:
                    self.reload()
                except ConfigError as error:
                    self.on_read(str(error))
                else:
                    self.on_read(None)
            return self._config

    def context(self) -> SSLContext:
        """The TLS context in force now. Only for a process that encrypts."""
        tls = self.current().tls_server_config
        if tls is None:
            raise TypeError(f"{self._path} has no tls_server_config")
        return tls.context

    def certificate_ends(self) -> float:
        """When the certificate ends that is shown now, in seconds since the epoch; NaN while its file is not there."""
        tls = self._config.tls_server_config
        try:
            return validities(tls.cert_file)[0].ends if tls else math.nan
        except (OSError, ValueError):
            return math.nan

    def reload(self) -> None:
        """Read now. ConfigError when the file is refused; the old configuration then stays in force."""
        with self._lock:
            self._refused_at = self._clock.monotonic()
            self._stamp = stamp(self._watched())
            new = load_web_config(self._path)
            if (new.tls_server_config is None) is self.encrypts:
                problem = "cannot be added or removed while the process runs"
                raise ConfigError(str(self._path), [Problem("tls_server_config", problem, "restart the process")])
            self._config, self._refused_at = new, None

    def _is_stale(self) -> bool:
        if self._refused_at is not None and self._clock.monotonic() - self._refused_at >= _TRY_AGAIN:
            return True
        return stamp(self._watched()) != self._stamp

    def _watched(self) -> list[Path]:
        return [self._path, *self._config.files]
