"""Removing versions from disk: out of the servers' sight first, in one step, then file by file."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from airbag.disk import sync_folder
from airbag.errors import AirbagError
from airbag.repository import PRUNED
from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.store import Survey

LOCK_TIMEOUT = 10.0

_OURS = re.compile(re.escape(PRUNED) + r"-?\d+-[0-9a-f]{8}")
_REMEDIES = {
    errno.EACCES: "run this as a user who may write there",
    errno.EPERM: "run this as the user who owns it",
    errno.EROFS: "run this where the model store is mounted writable",
}


@dataclass(frozen=True)
class Removal:
    """What became of one version, or of a leftover. `failed` when a person has to look."""

    name: str
    size: int
    removed: bool
    text: str
    failed: bool = False


def leftovers(survey: Survey) -> tuple[Path, ...]:
    """What an interrupted prune left behind: already out of sight, still taking space."""
    return tuple(survey.base / name for name in survey.repository.listing.leftovers if _OURS.fullmatch(name))


def finish(survey: Survey) -> Iterator[Removal]:
    """Delete the leftovers."""
    for path in leftovers(survey):
        yield _deleted(path, path.name, 0, "left by an interrupted prune, now removed")


def prune(survey: Survey, look_again: Callable[[Survey, int], Survey]) -> Iterator[Removal]:
    """Remove what `survey` lets go, oldest first.

    Before each one everything is looked at anew with `look_again`, while no one else may write models.config: what is
    needed by then stays. Raises Locked when another writer holds the file, and ConfigError as the survey does.
    """
    for version in survey.goes:
        with ExitStack() as locks:
            for path in survey.files:
                locks.enter_context(ModelConfigFile(path).locked(LOCK_TIMEOUT))
            now = look_again(survey, version)
            fate = now.fate(version)
            if fate is None:
                yield Removal(str(version), 0, False, "is not there any more")
                continue
            if not fate.goes:
                yield Removal(str(version), 0, False, f"stays after all: {fate}")
                continue
            size, path = now.repository.versions[version].size, now.repository.listing.path(version)
            hidden = now.base / f"{PRUNED}{version}-{secrets.token_hex(4)}"
            try:
                path.rename(hidden)
                sync_folder(now.base)
            except OSError as error:
                yield Removal(str(version), 0, False, _refusal("stays", path, error), failed=True)
                continue
        yield _deleted(hidden, str(version), size, str(fate))


def _deleted(path: Path, name: str, size: int, text: str) -> Removal:
    try:
        _delete(path)
    except OSError as error:
        return Removal(name, 0, False, _refusal("is out of the servers' sight, but", path, error), failed=True)
    return Removal(name, size, True, text)


def _delete(path: Path) -> None:
    """A link goes itself, never what it leads to. Somebody else's deleting of the same is no error."""
    if path.is_symlink() or not path.is_dir():
        with suppress(FileNotFoundError):
            path.unlink()
        return
    while os.path.lexists(path):
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def _refusal(state: str, path: Path, error: OSError) -> str:
    remedy = _REMEDIES.get(error.errno or 0, "see the system's log")
    return f"{state} {error.filename or path} cannot be removed: {error.strerror or error}; {remedy}"


class Unfinished(AirbagError):
    """The command did what it could; the message lists what it could not."""

    reason = "prune"
