"""The two services that an audit asks, each a real HTTP server: OSV's API, and a package index."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.fakes.http_server import serving_http

Known = Mapping[tuple[str, str], list[dict[str, object]]]


def vulnerability(name: str, *aliases: str, package: str, fixed: str) -> dict[str, object]:
    """As OSV writes one of PyPI's."""
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]
    affected = [{"package": {"name": package, "ecosystem": "PyPI"}, "ranges": ranges}]
    return {"id": name, "aliases": list(aliases), "summary": "a leak", "schema_version": "1.6.0", "affected": affected}


class _Quiet(BaseHTTPRequestHandler):
    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def osv(known: Known, *, status: int = 200) -> Iterator[str]:
    """Its URL. `known` is what it knows by package and version."""

    class Osv(_Quiet):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["package"]["ecosystem"] == "PyPI"
            found = known.get((asked["package"]["name"], asked["version"]), [])
            self.answer(json.dumps({"vulns": found} if found else {}).encode(), "application/json", status)

    with serving_http(Osv) as port:
        yield f"http://127.0.0.1:{port}/v1/query"


def wheel(name: str, version: str) -> bytes:
    """The smallest wheel."""
    about = f"{name}-{version}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return packed.getvalue()


def sha256(name: str, version: str) -> str:
    return hashlib.sha256(wheel(name, version)).hexdigest()


@contextmanager
def index(name: str, version: str, yanked: str | None = None) -> Iterator[str]:
    """The URL of an index with this one version; `yanked` is why its authors withdrew it."""
    file = f"{name}-{version}-py3-none-any.whl"
    page = {
        "meta": {"api-version": "1.1"},
        "name": name,
        "versions": [version],
        "files": [{"filename": file, "url": f"../../files/{file}", "hashes": {"sha256": sha256(name, version)},
                   "size": len(wheel(name, version)), "yanked": yanked or False}],
    }  # fmt: skip

    class Index(_Quiet):
        def do_GET(self) -> None:
            if self.path == f"/simple/{name}/":
                self.answer(json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json")
            elif self.path == f"/files/{file}":
                self.answer(wheel(name, version), "application/octet-stream")
            else:
                self.answer(b"none", "text/plain", 404)

        def do_HEAD(self) -> None:
            self.do_GET()

    with serving_http(Index) as port:
        yield f"http://127.0.0.1:{port}/simple/"
