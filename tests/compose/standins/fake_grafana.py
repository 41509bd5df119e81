"""Stand-in for grafana-server. Renders and queries nothing; reads its provisioning as strictly as Grafana, or ends."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import re
import socketserver


def provisioned(kind: str) -> list[str]:
    """The text of every provisioning file of that kind; there has to be one, and without tabs, which YAML forbids."""
    found = sorted(pathlib.Path("/etc/grafana/provisioning", kind).glob("*.y*ml"))
    texts = [path.read_text() for path in found]
    if not texts or any("\t" in text or not text.strip().splitlines() for text in texts):
        raise SystemExit(f"provisioning/{kind}: nothing to read, or not YAML")
    return texts


def dashboards(folder: pathlib.Path) -> dict[str, str]:
    """Title by uid; ends on what Grafana refuses: broken JSON, no title, one uid twice."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            document = json.loads(path.read_text())
            uid, title = document["uid"], document["title"]
        except (ValueError, KeyError) as error:
            raise SystemExit(f"failed to load dashboard from {path}: {error!r}") from error
        if uid in found:
            raise SystemExit(f"the same UID is used more than once: {uid}")
        found[uid] = title
    if not found:
        raise SystemExit(f"no dashboards in {folder}")
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Health, the list of dashboards, and the addresses of data sources."""

    def do_GET(self) -> None:
        answer = ANSWERS.get(self.path.partition("?")[0])
        self.send_response(404 if answer is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Takes several at once."""


if not pathlib.Path(os.environ["GF_SECURITY_ADMIN_PASSWORD__FILE"]).read_text().strip():
    raise SystemExit("the administrator has no password")
SOURCES = "\n".join(provisioned("datasources"))
[FOLDER] = {m for text in provisioned("dashboards") for m in re.findall(r"^\s*path: (\S+)", text, re.M)}
pathlib.Path("/var/lib/grafana/grafana.db").touch()
ANSWERS = {
    "/api/health": {"database": "ok", "version": "stand-in: renders nothing"},
    "/api/search": [{"uid": uid, "title": title} for uid, title in dashboards(pathlib.Path(FOLDER)).items()],
    "/api/datasources": [{"url": url} for url in re.findall(r"^\s*url: (\S+)", SOURCES, re.M)],
}
print("stand-in for Grafana: renders nothing", flush=True)
Server(("", 3000), Handler).serve_forever()
