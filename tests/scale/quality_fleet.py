"""The quality exporters of docs/examples/ha on this machine: real replicas, Redis, nginx, Prometheus; shipped files."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from airbag.config import replace_tokens
from airbag.errors import StartError
from airbag_demo.processes import Processes, Program
from tests.exporters.processes import command
from tests.fakes import shipped
from tests.fakes.binaries import ROOT, find
from tests.fakes.cable import Cable
from tests.fakes.ports import free_port
from tests.fakes.redis_server import RedisServer, redis_server
from tests.fakes.wait import until

HA = ROOT / "docs" / "examples" / "ha"
REPLICAS = ("quality-exporter", "quality-exporter-2")
BALANCER = "quality-balancer"
_NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx"


@dataclass
class Fleet:
    """Two replicas behind nginx, which share one Redis; the first one reaches it by a cable."""

    folder: Path
    processes: Processes
    redis: RedisServer
    cable: Cable
    ports: dict[str, int] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def kill(self, name: str) -> None:
        """SIGKILL for it and its children, as when its container dies: nginx' workers outlive their master."""
        os.killpg(self.processes.pid(name), signal.SIGKILL)
        self.processes.kill(name)

    def stop(self, name: str) -> None:
        """SIGTERM, as for an upgrade, and wait for the end."""
        self.signal(name, signal.SIGTERM)

        def has_ended() -> bool:
            try:
                self.processes.check()
            except StartError:
                return True
            return False

        until(has_ended, timeout=30, what=f"the end of {name}")

    def restart(self, name: str) -> None:
        """The same process anew, under the same name."""
        self.processes.restart(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.processes.pid(name), number)

    def counted(self, name: str, *, replica: str = "", **of: str) -> Counter[tuple[str, ...]]:
        """The counters of that name and labels on the page of one replica, or of all added up, by their labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for each in [replica] if replica else REPLICAS:
            page = requests.get(f"{self.url(each)}/metrics", timeout=20).text
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    if sample.name == name and of.items() <= sample.labels.items():
                        found[_key(sample.labels)] += sample.value
        return +found

    def asked(self, query: str) -> Counter[tuple[str, ...]]:
        """What Prometheus answers, by labels."""
        answer = requests.get(f"{self.url('prometheus')}/api/v1/query", params={"query": query}, timeout=20).json()
        return +Counter({_key(each["metric"]): float(each["value"][1]) for each in answer["data"]["result"]})


def _key(labels: dict[str, str]) -> tuple[str, ...]:
    """Values in the order of the labels' names, without what every series has."""
    return tuple(labels[name] for name in sorted(labels) if name not in ("serving", "__name__"))


@contextmanager
def fleet(folder: Path, *, is_plain: bool = False) -> Iterator[Fleet]:
    """All of it, running and ready; plain, for measurements, without Prometheus, and nothing of ours on the way."""
    with ExitStack() as held:
        redis = held.enter_context(redis_server(folder / "redis"))
        here = Fleet(folder, held.enter_context(Processes(folder)), redis, held.enter_context(Cable(redis.port)))
        here.ports = {name: free_port() for name in (*REPLICAS, BALANCER, "prometheus")}
        for name in REPLICAS:
            here.processes.start(_exporter(here, name, redis.port if is_plain else here.cable.port))
        here.processes.start(_nginx(here))
        if not is_plain:
            here.processes.start(_prometheus(here))
        here.processes.wait_ready()
        yield here


def _exporter(here: Fleet, name: str, first: int) -> Program:
    """One replica; `first` is where the first one finds Redis.

    In a container the host's name is the replica's. Here both have one host, so it is written down.
    """
    document = yaml.safe_load((HA / "exporters.yml").read_text())
    assert "replica" not in document["quality"]
    port = first if name == REPLICAS[0] else here.redis.port
    document["quality"] |= {"replica": name, "redis": {"url": f"redis://127.0.0.1:{port}/0"}}
    config = here.folder / f"{name}.yml"
    config.write_text(yaml.safe_dump(document))
    line = command("quality", config, f"--web.listen-address=127.0.0.1:{here.ports[name]}")
    return Program(name, line, lambda: requests.get(f"{here.url(name)}/-/healthy", timeout=2).ok)


def _nginx(here: Fleet) -> Program:
    """The shipped file; only its addresses and folders are local."""
    text = (HA / "balancer.conf").read_text().replace("/tmp/", f"{here.folder}/nginx/")
    (here.folder / "nginx").mkdir()
    config = here.folder / "nginx.conf"
    text = re.sub(r"(?m)^(    server) ([\w-]+):9811", lambda m: f"{m[1]} 127.0.0.1:{here.ports[m[2]]}", text)
    config.write_text(text.replace("listen 9811", f"listen 127.0.0.1:{here.ports[BALANCER]}"))
    line = [_NGINX, "-p", str(here.folder), "-c", str(config), "-e", "stderr", "-g", "daemon off;"]
    return Program(BALANCER, line, lambda: requests.get(f"{here.url(BALANCER)}/-/ready", timeout=2).ok)


def _prometheus(here: Fleet) -> Program:
    """The shipped configuration with the targets of `ha`; of the rules those of quality."""
    etc = shipped.copied("prometheus", here.folder / "prometheus", {"/etc/prometheus": str(here.folder / "prometheus")})
    for rules in (etc / "rules").glob("*.yml"):
        if rules.name != "quality.yml":
            rules.unlink()
    local = {f"{name}:9811": f"127.0.0.1:{here.ports[name]}" for name in REPLICAS}
    for file in (HA / "targets").glob("*.yml"):
        text = file.read_text()
        text = replace_tokens(text, local) if file.stem == "airbag-quality" else "[]"
        (etc / "targets" / file.name).write_text(text)
    address = f"127.0.0.1:{here.ports['prometheus']}"
    line = [
        str(find("prometheus")), f"--config.file={etc / 'prometheus.yml'}", f"--web.listen-address={address}",
        f"--storage.tsdb.path={here.folder / 'tsdb'}",
    ]  # fmt: skip
    return Program("prometheus", line, lambda: requests.get(f"http://{address}/-/ready", timeout=2).ok)


def agrees(here: Fleet, query: str, wanted: Counter[tuple[str, ...]]) -> Any:
    """Wait until Prometheus has scraped what the pages show."""
    return until(lambda: here.asked(query) == wanted, timeout=60, what=f"{query} = {wanted} in Prometheus")
