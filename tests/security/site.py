"""The example of docs/examples/tls on this machine: its own certificates, the real programs, every hop with mTLS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airbag.config import replace_tokens
from airbag.errors import RemoteError
from airbag.http_config import TlsConfig
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint
from airbag_demo.binaries import need
from airbag_demo.processes import Processes, Program
from airbag_demo.stack import SHIPPED, Stack
from tests.fakes.binaries import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "tls"
DEPLOYED = "/etc/airbag/certificates"
FILES = {
    "exporters.yml": "exporters/exporters.yml",
    "policy.yml": "alertmanager/policy.yml",
    "prometheus.yml": "prometheus/prometheus.yml",
    "alertmanager.yml": "alertmanager/alertmanager.yml",
}
"""What the example has in the place of which shipped file."""


@dataclass(frozen=True)
class Site:
    """A prepared stack, and the folder of its certificates."""

    stack: Stack
    certificates: Path

    def own(self, part: str, shipped: str) -> Path:
        """A part's own copy of a file: each finds other certificates under the same path."""
        return self.stack.run / "site" / part / Path(shipped).name

    def url(self, part: str) -> str:
        return self.stack.url(part).replace("http://", "https://")

    def shown(self, part: str | None) -> dict[str, Any]:  # Any: arguments of several types
        """What `requests` wants in order to come as that part, or without a certificate."""
        authority = {"verify": str(self.certificates / "operator" / "http-ca.crt"), "timeout": 20}
        if part is None:
            return authority
        folder = self.certificates / part
        return authority | {"cert": (str(folder / "client.crt"), str(folder / "client.key"))}

    def get(self, part: str, path: str, caller: str | None = "prometheus", **more: Any) -> requests.Response:
        return requests.get(self.url(part) + path, **self.shown(caller), **more)  # noqa: S113 - `shown` has one

    def serving_tls(self, part: str) -> TlsConfig:
        folder = self.certificates / part
        return TlsConfig(
            ca_file=folder / "serving-ca.crt", cert_file=folder / "serving.crt", key_file=folder / "serving.key"
        )

    def endpoint(self, tls: TlsConfig | None) -> Endpoint:
        return Endpoint(self.stack.endpoint.grpc, tls=tls)

    def serves(self) -> int | None:
        """The version that answers by default; None while nobody says."""
        try:
            with Reader(self.endpoint(self.serving_tls("receiver"))) as reader:
                return reader.default_version("digits")
        except RemoteError:
            return None

    def token(self, name: str) -> dict[str, str]:
        """The header that shows one of the stack's tokens."""
        secret = self.stack.token_file.with_name(name).read_text().strip()
        return {"Authorization": f"Bearer {secret}"}

    def actions(self) -> list[dict[str, Any]]:
        headers = self.token("airbag_operator_token")
        answer = self.get("receiver", "/v1/actions", "operator", headers=headers)
        answer.raise_for_status()
        return list(answer.json()["actions"])

    def log(self, part: str) -> str:
        return (self.stack.run / "logs" / f"{part}.log").read_text(errors="replace")

    def airbag(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "airbag", *arguments], capture_output=True, text=True, timeout=120, check=False,
            env=os.environ | dict(env or {}),
        )  # fmt: skip


def prepare(stack: Stack) -> Site:
    """Certificates by the helper, and each part's own copies of the example's files."""
    site = Site(stack, stack.run / "certificates")
    made = site.airbag("certificates", str(site.certificates))
    assert made.returncode == 0, made.stderr
    for part in ("serving-exporter", "quality-exporter", "host-exporter", "receiver", "prometheus", "alertmanager"):
        tokens = stack.tokens() | {DEPLOYED: str(site.certificates / part)}
        for mine, shipped in FILES.items():
            target = site.own(part, shipped)
            target.parent.mkdir(parents=True, exist_ok=True)
            local = tokens | {SHIPPED["exporters/exporters.yml"]: str(site.own(part, "exporters.yml"))}
            target.write_text(replace_tokens((EXAMPLE / mine).read_text(), local))
        (target.parent / "web.yml").write_text(replace_tokens((EXAMPLE / "web.yml").read_text(), tokens))
    return site


@contextmanager
def running(site: Site) -> Iterator[Processes]:
    """Everything that the example speaks of but Grafana; ended whatever happens."""
    with Processes(site.stack.run / "logs") as processes:
        for program in _programs(site):
            processes.start(program)
        processes.wait_ready()
        yield processes


def _programs(site: Site) -> list[Program]:
    stack, found = site.stack, need("prometheus", "alertmanager")

    def ready(part: str) -> bool:
        return site.get(part, "/-/ready").ok

    def ours(part: str, config: str, *command: str) -> Program:
        flags = [
            f"--config.file={site.own(part, config)}", f"--web.config.file={site.own(part, 'web.yml')}",
            f"--web.listen-address=127.0.0.1:{stack.ports[part]}",
        ]  # fmt: skip
        return Program(part, [sys.executable, "-m", "airbag", *command, *flags], lambda: ready(part), 120.0)

    def theirs(part: str, *more: str) -> Program:
        flags = [
            f"--config.file={site.own(part, f'{part}.yml')}", f"--web.config.file={site.own(part, 'web.yml')}",
            f"--web.listen-address=127.0.0.1:{stack.ports[part]}", f"--web.external-url={site.url(part)}",
        ]  # fmt: skip
        return Program(part, [str(found[part]), *flags, *more], lambda: ready(part))

    [server] = [each for each in stack.programs() if each.name == "tf-serving"]
    ssl_config = f"--ssl_config_file={site.certificates / 'tf-serving' / 'ssl.config'}"
    return [
        Program("tf-serving", [*server.command, ssl_config], lambda: site.serves() is not None, 120.0),
        ours("serving-exporter", "exporters.yml", "exporter", "serving"),
        ours("quality-exporter", "exporters.yml", "exporter", "quality"),
        ours("host-exporter", "exporters.yml", "exporter", "host"),
        ours("receiver", "policy.yml", "receiver"),
        theirs("alertmanager", f"--storage.path={stack.run / 'alertmanager'}", "--cluster.listen-address="),
        theirs("prometheus", f"--storage.tsdb.path={stack.run / 'prometheus'}", "--rules.alert.resend-delay=5s"),
    ]
