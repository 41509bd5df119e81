"""Writes a reference, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from airbag.disk import sync_folder
from airbag.errors import StartError
from airbag_exporters.quality.reference.value import FILE, Reference, load_reference


def in_version(folder: Path) -> Path:
    """Where a version keeps its reference; StartError when `folder` is no version's folder."""
    if not folder.is_dir():
        raise StartError(f"{folder} is no folder; give that of a version, such as /models/fraud/3")
    return folder / "assets.extra" / FILE


def write(reference: Reference, path: Path) -> None:
    """Replace `path`; what was written is read back before. OSError, or StartError when it reads as something else."""
    path.parent.mkdir(exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    try:
        with half.open("w", encoding="utf-8") as file:
            file.write(text(reference))
            file.flush()
            os.fsync(file.fileno())
        if load_reference(half) != reference:
            raise StartError(f"{path}: what was written reads back as something else; nothing was replaced")
        half.replace(path)
        sync_folder(path.parent)
    finally:
        half.unlink(missing_ok=True)


def text(reference: Reference) -> str:
    """As JSON, a feature a line, at the end."""
    document = reference.model_dump(mode="json")
    features = document.pop("features")
    lines = [*(f'"{key}": {_json(value)}' for key, value in document.items()), f'"features": {_object(features)}']
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _object(values: dict[str, object]) -> str:
    inner = ",\n  ".join(f"{_json(name)}: {_json(value)}" for name, value in values.items())
    return f"{{\n  {inner}\n}}" if values else "{}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
