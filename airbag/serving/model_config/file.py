"""models.config on disk: read, lock, replace.

The server maps the file into memory while it reads, so writing in place can crash it. Every write here is a new file
that is renamed over the old one, which then stays as `models.config.previous`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from airbag.disk import sync_folder
from airbag.errors import AirbagError, ConfigError, Problem
from airbag.serving.model_config.policy import Policy, find_model, model_names, parse, policy_of
from airbag.serving.proto.tfs_pb2 import ModelConfig, ModelServerConfig

_HEAD = re.compile(r"\A# airbag: generation (\d{1,18})(?: fence (\d{1,18}))?(\r?\n|\Z)")
_REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space: the quota is used up",
    errno.EFBIG: "raise this process's file size limit",
    errno.EACCES: "let Airbag's user write to that folder",
    errno.EPERM: "run Airbag as the user who owns the file, or make the file Airbag's own",
    errno.EROFS: "mount that folder writable",
    errno.EBUSY: "mount the folder, not the single file: a mounted file cannot be replaced",
    errno.ENOENT: "check the path",
}


class FileError(AirbagError):
    """The disk refused. The file still holds what it held before."""

    reason = "file"


class Locked(AirbagError):
    """Another process held the lock for the whole waiting time."""

    reason = "locked"
    retryable = True


class StaleGeneration(AirbagError):
    """The file changed after it was read. Read it again and decide again."""

    reason = "stale"


class FencedOff(AirbagError):
    """A receiver with a higher fencing token has written the file: whoever holds the lower one must not act."""

    reason = "fenced"


@dataclass(frozen=True)
class Snapshot:
    """The file as it was read once. `config` belongs to this snapshot: copy it before changing it.

    `fence` is the fencing token of the last receiver that wrote it, 0 before the first. People leave it as it is.
    """

    path: Path
    text: str
    config: ModelServerConfig
    generation: int
    fence: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models, in the order of the file."""
        return model_names(self.config)

    def model(self, name: str) -> ModelConfig:
        """The whole entry of one model; ConfigError when it is not there."""
        return find_model(self.config, name, str(self.path))

    def policy(self, model: str) -> Policy:
        """What `model` should serve; ConfigError when it is not there."""
        return policy_of(self.model(model))

    def versions(self, model: str) -> tuple[int, ...]:
        """The versions that the policy of `model` names; empty for `latest` and `all`, which name none."""
        return self.policy(model).versions


class ModelConfigFile:
    """One models.config. Several processes and threads may use it; a symbolic link is followed and kept."""

    def __init__(self, path: Path | str, reached: Callable[[str], None] = lambda _place: None) -> None:
        """`reached` hears the name of every place of a replacement where a crash leaves something else behind."""
        self.path = Path(path)
        self._reached = reached
        self._mutex = threading.RLock()
        self._depth = 0

    @property
    def _target(self) -> Path:
        return Path(os.path.realpath(self.path))

    def read(self) -> Snapshot:
        """The file as it is now. Needs no lock: writers rename. ConfigError when it is missing or wrong."""
        try:
            text = self._target.read_bytes().decode()
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "")
            raise ConfigError(str(self.path), [Problem("file", error.strerror or str(error), remedy)]) from error
        except UnicodeDecodeError as error:
            raise ConfigError(str(self.path), [Problem("file", f"is not UTF-8 at byte {error.start}")]) from error
        return Snapshot(self.path, text, parse(text, str(self.path)), *_head(text))

    @contextmanager
    def locked(self, timeout: float = 10.0) -> Iterator[None]:
        """Keep every other writer out, in this process and in others. May be nested within one thread.

        Raises Locked after `timeout` seconds. The lock is the kernel's: it ends with the process that held it.
        """
        deadline = time.monotonic() + timeout
        if not self._mutex.acquire(timeout=timeout):
            raise self._busy(timeout)
        try:
            handle = self._take_lock(deadline, timeout) if self._depth == 0 else None
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if handle is not None:
                    os.close(handle)
        finally:
            self._mutex.release()

    def replace(self, snapshot: Snapshot, new_text: str, fence: int | None = None) -> Snapshot:
        """Put `new_text` in the place of what `snapshot` read, as the next generation, and return it as read back.

        Durable when it returns. The old file stays beside it as `NAME.previous`. Mode and owner are kept. Takes the
        lock unless this thread holds it. `fence` is the fencing token of a receiver; people have none, and the file's
        stays. Raises FencedOff when the file has seen a higher one, StaleGeneration when it is no longer the one in
        `snapshot`, ConfigError when `new_text` is no models.config, Locked, or FileError; then the file is untouched.
        """
        parse(new_text, str(self.path))
        with self.locked():
            now = self.read()
            if fence is not None and fence < now.fence:
                raise FencedOff(f"{self.path} was written under fence {now.fence}, this receiver has fence {fence}")
            if now.generation != snapshot.generation:
                raise StaleGeneration(
                    f"{self.path} is at generation {now.generation}, not at {snapshot.generation} as when it was read"
                )
            if now.text != snapshot.text:
                raise StaleGeneration(f"{self.path} was edited by something other than Airbag since it was read")
            head = f"# airbag: generation {now.generation + 1} fence {now.fence if fence is None else fence}"
            same = _with_head(new_text, "") == _with_head(now.text, "")
            self._write(_with_head(new_text, head).encode(), keep=not same)
            return self.read()

    def _write(self, data: bytes, *, keep: bool) -> None:
        """Replace the file; with `keep` what it held becomes `.previous`, which is only news when more than the head
        differs.
        """
        target = self._target
        new = target.with_name(f"{target.name}.new.{os.getpid()}")
        spare = target.with_name(f"{target.name}.previous.{os.getpid()}")
        self._reached("before models.config is written")
        try:
            _write_durably(new, data, target.stat())
            if keep:
                self._reached("before the old models.config is kept")
                try:
                    os.link(target, spare)
                except OSError:  # a file system without hard links, or a file of somebody else
                    _write_durably(spare, target.read_bytes(), target.stat())
                os.replace(spare, target.with_name(f"{target.name}.previous"))  # noqa: PTH105 - one word for both renames
            self._reached("before models.config is replaced")
            os.replace(new, target)  # noqa: PTH105
            self._reached("after models.config is replaced")
            sync_folder(target.parent)
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "see the system's log")
            raise FileError(f"cannot replace {target}: {error.strerror or error}; {remedy}") from error
        finally:
            for left in (new, spare):
                with suppress(OSError):
                    left.unlink()

    def _take_lock(self, deadline: float, timeout: float) -> int:
        path = self._target.with_name(f"{self._target.name}.lock")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "see the system's log")
            raise FileError(f"cannot open the lock {path}: {error.strerror}; {remedy}") from error
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(handle)
                    raise self._busy(timeout) from None
                time.sleep(0.01)
            except OSError as error:
                os.close(handle)
                raise FileError(f"cannot lock {path}: {error.strerror}; use a file system with flock") from error
            else:
                return handle

    def _busy(self, timeout: float) -> Locked:
        return Locked(f"another writer held {self.path} for {timeout:g} s; `fuser {self.path}.lock` shows which")


def _head(text: str) -> tuple[int, int]:
    """Generation and fence; files from before there were fences have none."""
    head = _HEAD.match(text)
    return (int(head.group(1)), int(head.group(2) or 0)) if head else (0, 0)


def _with_head(text: str, line: str) -> str:
    head = _HEAD.match(text)
    ending = "\r\n" if "\r\n" in text else "\n"
    return f"{line}{ending}{text[head.end() :] if head else text}"


def _write_durably(path: Path, data: bytes, like: os.stat_result) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(data)
        file.flush()
        mine = os.fstat(handle)
        if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(handle, like.st_uid, like.st_gid)
        os.fchmod(handle, like.st_mode & 0o7777)
        os.fsync(handle)
