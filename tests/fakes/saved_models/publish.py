"""Copies of built models, and the rename that hands them over."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

WARMUP = "tf_serving_warmup_requests"


@functools.cache
def cache() -> Path:
    """Where built models live until the process ends."""
    root = Path(tempfile.mkdtemp(prefix="airbag-saved-models-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def publish(
    model: Path, base: Path, version: int, spoil: Callable[[Path], object] | None = None, name: str | None = None
) -> Path:
    """Copy under a name that is no number, spoil the copy, rename: the only safe way to hand it to a polling server."""
    base.mkdir(parents=True, exist_ok=True)
    final = base / (name or str(version))
    arriving = Path(tempfile.mkdtemp(prefix="arriving-", dir=base))
    shutil.copytree(model, arriving, dirs_exist_ok=True)
    if spoil is not None:
        spoil(arriving)
    for each in (base, arriving, *arriving.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    return arriving.rename(final)
