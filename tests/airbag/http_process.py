"""A process with the common HTTP surface, started as the real ones are: own interpreter, own port."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.fakes.ports import free_port
from tests.fakes.wait import until

GUARDED = """
import sys
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from airbag import log
from airbag.http import Address, Surface, Web, serve
from airbag.web_file import WebFile

log.setup()
surface = Surface("guarded", about="A <b>guarded</b> process.")
routes = [*surface.routes(), Route("/own", lambda _request: PlainTextResponse("own"))]
web = Web(Address.parse(sys.argv[2]), WebFile(Path(sys.argv[1]) / "web.yml"))
serve(Starlette(routes=routes), surface, web, own_auth=lambda path: path == "/own")
"""
"""A process that reads web.yml in its folder; /own is exempt from passwords."""


@dataclass(frozen=True)
class Running:
    """The process, where it answers, and what it wrote to its log."""

    child: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def value(self, metric: str, **options: object) -> float:
        """The one sample of a metric without labels."""
        page = requests.get(f"{self.url}/metrics", timeout=5).text
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{metric} "))


def running(source: str, folder: Path, *arguments: str) -> AbstractContextManager[Running]:
    """Run Python source as `python -c SOURCE FOLDER :PORT ARGUMENTS...` and wait until it listens."""
    port = free_port()
    return listening([sys.executable, "-c", source, str(folder), f":{port}", *arguments], port, folder)


@contextmanager
def listening(command: Sequence[str], port: int, folder: Path) -> Iterator[Running]:
    """Run one of our processes in `folder` and wait until its log says that it listens; end it whatever happens."""
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=folder) as child:
        try:
            until(lambda: "msg=listening" in log.read_text() or child.poll() is not None, timeout=60, what="listening")
            assert child.poll() is None, log.read_text()
            yield Running(child, port, log)
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
