"""The suite's own folder of models, under a path that the server sees too."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path


class Store:
    """`root` is the folder here, `seen` the same folder as the server names it."""

    def __init__(self, models: Path, seen: str | None = None) -> None:
        name = f"conformance-{secrets.token_hex(4)}"
        self.root = models / name
        self._seen = f"{seen or models}/{name}"
        self.root.mkdir(parents=True)
        self.root.chmod(0o755)

    def base(self, model: str) -> Path:
        """Where the versions of a model lie. Nothing is created."""
        return self.root / model

    def empty(self, model: str) -> Path:
        """The base path of a model, made as an empty folder."""
        base = self.base(model)
        base.mkdir()
        base.chmod(0o755)
        return base

    def seen(self, path: Path) -> str:
        """The server's name for a path in here, as it stands in messages and labels."""
        return f"{self._seen}/{path.relative_to(self.root)}"

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def replace(file: Path, text: str | None) -> None:
    """Give a file a new content by rename, so that no reader sees half of it; None removes it."""
    if text is None:
        file.unlink(missing_ok=True)
        return
    arriving = file.with_name(f"{file.name}.arriving")
    arriving.write_text(text, encoding="utf-8")
    arriving.chmod(0o644)
    arriving.rename(file)
