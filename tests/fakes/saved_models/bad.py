"""Versions that do not load, or should not have."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fakes.saved_models.graphs import built
from tests.fakes.saved_models.publish import WARMUP, publish


def failing_load(base: Path, version: int) -> Path:
    """A version whose init operation fails: an assertion."""
    return publish(built("failing_load"), base, version)


def truncated(base: Path, version: int) -> Path:
    """A version whose load fails: its variables were cut short in the copying."""
    return publish(built("linear"), base, version, lambda copy: _cut(_data(copy), 1))


def cut_graph(base: Path, version: int) -> Path:
    """A version whose `saved_model.pb` was cut in the middle."""
    return publish(built("linear"), base, version, lambda copy: _cut(copy / "saved_model.pb", 300))


def without_graph(base: Path, version: int) -> Path:
    """A version directory that holds no `saved_model.pb`: the load fails with NOT_FOUND."""
    return publish(built("linear"), base, version, lambda copy: (copy / "saved_model.pb").unlink())


def half_copied(base: Path, version: int) -> Path:
    """A version whose graph and index of variables are there, and their data not yet."""
    return publish(built("linear"), base, version, lambda copy: _data(copy).unlink())


def without_variables(base: Path, version: int) -> Path:
    """A version that loads without its `variables` folder; every request then gets FAILED_PRECONDITION."""
    return publish(built("linear"), base, version, lambda copy: shutil.rmtree(copy / "variables"))


def without_index(base: Path, version: int) -> Path:
    """A version whose variables lack their index: it loads as if it had none."""
    return publish(built("linear"), base, version, lambda copy: (copy / "variables" / "variables.index").unlink())


def corrupt_warmup(base: Path, version: int) -> Path:
    """A good version with a warm-up file that is no TFRecord."""
    return publish(built("linear"), base, version, _write_nonsense)


def stray_file(base: Path, version: int) -> Path:
    """A plain file whose name is a version."""
    base.mkdir(parents=True, exist_ok=True)
    file = base / str(version)
    file.touch(mode=0o644)
    return file


def _write_nonsense(model: Path) -> None:
    folder = model / "assets.extra"
    folder.mkdir()
    (folder / WARMUP).write_bytes(b"this is not a record" * 10)


def _data(model: Path) -> Path:
    return next((model / "variables").glob("variables.data-*"))


def _cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
