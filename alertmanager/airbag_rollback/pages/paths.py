"""Which paths are pages."""

from __future__ import annotations

STATIC = "/static/"

_OWN = ("/actions", "/parts/", "/login", "/logout", "/rollback", "/pause", "/resume", STATIC)


def is_page(path: str) -> bool:
    """Whether a page answers there, which checks by itself who asks."""
    return path == "/" or path.startswith(_OWN)
