"""Style and script, under names that hold their content: a browser may keep them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from airbag_rollback.pages.paths import STATIC

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One file."""

    content: bytes
    content_type: str


class Assets:
    """The files of the folder `static`, read once."""

    def __init__(self) -> None:
        self._by_path: dict[str, Asset] = {}
        self._paths: dict[str, str] = {}
        for entry in (files("airbag_rollback.pages") / "static").iterdir():
            stem, _, suffix = entry.name.rpartition(".")
            if suffix in _TYPES:
                content = entry.read_bytes()
                path = f"{STATIC}{stem}-{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
                self._paths[entry.name] = path
                self._by_path[path] = Asset(content, _TYPES[suffix])

    def path(self, name: str) -> str:
        """Where the file is served; KeyError for one that is not there."""
        return self._paths[name]

    async def serve(self, request: Request) -> Response:
        """The file, for anybody."""
        asset = self._by_path.get(request.url.path)
        if asset is None:
            return PlainTextResponse("there is no such file\n", 404)
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(asset.content, headers=headers, media_type=asset.content_type)
