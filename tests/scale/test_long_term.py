"""Prometheus with docs/examples/long-term and the real VictoriaMetrics: all arrives, and no alert ever waits for it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from airbag_demo.processes import Processes, Program
from tests.fakes import shipped
from tests.fakes.binaries import RELEASES, ROOT, Release, find
from tests.fakes.faulty_model import FaultyModel, faulty_model
from tests.fakes.ports import free_port
from tests.fakes.real_alertmanager import alertmanager, configuration
from tests.fakes.victoria_metrics import VictoriaMetrics, samples, victoria_metrics
from tests.fakes.wait import until
from tests.fakes.webhooks import Webhooks, webhooks

LONG_TERM = ROOT / "docs" / "examples" / "long-term" / "prometheus.yml"
PAGE = ROOT / "docs" / "long-term.md"
ALERT = "AirbagErrorRatioHigh"
COUNTER = 'airbag_tfs_requests_total{status="OK"}'
SITE = ("site", "main")


@dataclass(frozen=True)
class Place:
    """Prometheus, what it scrapes, where its alerts end, and the store that it writes to."""

    url: str
    store: VictoriaMetrics
    model: FaultyModel
    receiver: Webhooks

    def number(self, query: str, url: str = "") -> float:
        """The one value of an instant query, 0 for none."""
        found = requests.get(f"{url or self.url}/api/v1/query", params={"query": query}, timeout=10).json()
        rows = found["data"]["result"]
        return float(rows[0]["value"][1]) if rows else 0.0

    def behind(self) -> float:
        """Seconds that the store is behind, as the page says to ask for it."""
        [query] = re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL)
        found = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=10).json()
        return float(found["data"]["result"][0]["value"][1])

    def waits(self) -> None:
        """Until Prometheus had to send something again."""
        tried = "sum(prometheus_remote_storage_samples_retried_total)"
        before = self.number(tried)
        until(lambda: self.number(tried) > before, timeout=60, what="samples that nobody took")
        until(lambda: self.behind() > 1, timeout=60, what="seconds that the store is behind")

    def stored(self) -> dict[float, float]:
        """Each sample of one counter in the store."""
        [found] = samples(self.store.url, COUNTER).values()
        return found

    def scraped(self) -> dict[float, float]:
        """The same in Prometheus."""
        [found] = samples(self.url, COUNTER).values()
        return found

    def missing(self) -> list[float]:
        """When those samples were, up to the store's newest one, of which the two do not say the same.

        What came later than another can be seen earlier there: it collects for a second, in several places at once.
        """
        stored, scraped = self.stored(), self.scraped()
        return [at for at in scraped | stored if at <= max(stored) and stored.get(at) != scraped.get(at)]

    def caught_up(self) -> None:
        """Wait until the store has what Prometheus has now."""
        newest = max(self.scraped())
        until(lambda: max(self.stored()) >= newest, timeout=60, what="the newest sample in the store")


def files(folder: Path, store: str, targets: dict[str, str], rules: set[str]) -> Path:
    """The example with the shipped rules and local addresses; jobs without a target scrape nothing.

    What waits for seconds to be thrifty waits for one.
    """
    etc = shipped.copied("prometheus", folder, {"/etc/prometheus": str(folder)})
    text = LONG_TERM.read_text().replace("/etc/prometheus", str(etc)).replace("victoria-metrics:8428", store)
    (etc / "prometheus.yml").write_text(
        re.sub(r"(scrape_interval|batch_send_deadline|max_backoff): \d+s", r"\1: 1s", text)
    )
    for file in (etc / "targets").glob("*.yml"):
        file.write_text(yaml.safe_dump([{"targets": [targets[file.stem]]}] if file.stem in targets else []))
    for file in (etc / "rules").glob("*.yml"):
        if file.stem not in rules:
            file.unlink()
    return etc / "prometheus.yml"


def prometheus(config: Path, release: Release, address: str) -> Program:
    """Not yet started, with the flags of docker-compose.yml that matter here."""
    command = [
        str(find("prometheus", release)), f"--config.file={config}", f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address={address}", "--rules.alert.resend-delay=5s",
    ]  # fmt: skip
    return Program("prometheus", command, lambda: requests.get(f"http://{address}/-/ready", timeout=1).ok)


@contextmanager
def place(folder: Path, release: Release) -> Iterator[Place]:
    with ExitStack() as held:
        receiver, model = held.enter_context(webhooks()), held.enter_context(faulty_model())
        processes = held.enter_context(Processes(folder))
        store = victoria_metrics(folder, processes)
        store.start()
        tokens = {"receiver:9815": receiver.address, "people:9820": receiver.address}
        (folder / "alertmanager").mkdir()
        alerts = alertmanager(configuration(folder / "alertmanager", tokens), release=release)
        processes.start(alerts.program)
        address = f"127.0.0.1:{free_port()}"
        targets = {
            "airbag-serving": f"127.0.0.1:{model.port}", "alertmanager": alerts.url.removeprefix("http://"),
            "prometheus": address,
        }  # fmt: skip
        config = files(folder / "prometheus", store.address, targets, {"serving"})
        processes.start(prometheus(config, release, address))
        processes.wait_ready()
        yield Place(f"http://{address}", store, model, receiver)


@pytest.mark.parametrize("release", RELEASES)
def test_no_alert_waits_for_the_store_and_the_store_misses_nothing(release: Release, tmp_path: Path) -> None:
    with place(tmp_path, release) as here:
        until(lambda: len(here.stored()) > 3, timeout=60, what="samples in the store")
        for series in samples(here.store.url, '{__name__=~"airbag_.+"}'):
            assert SITE in series
            assert ("job", "airbag-serving") in series

        here.store.freeze()  # until the alert is there: whatever waits for the store waits for ever
        begun = here.model.go_bad()
        firing = until(lambda: here.receiver.alerts("/v1/alerts", ALERT), timeout=90, what="the alert")
        print(f"{release}: the rollback was asked for after {time.monotonic() - begun:.1f} s without a store")
        assert firing[0].body["commonLabels"]["airbag_action"] == "rollback"
        assert "site" not in firing[0].body["commonLabels"]
        here.store.thaw()

        here.store.stop()
        here.waits()
        here.store.start()
        here.caught_up()
        until(lambda: not here.missing(), timeout=30, what="every sample in the store")

        here.store.kill()
        killed = time.time()
        here.waits()
        here.store.start()
        here.caught_up()
        written = "all but what it had not written to disk"
        until(lambda: all(killed - 30 < at < killed for at in here.missing()), timeout=30, what=written)
        print(f"{release}: {len(here.missing())} samples are missing after a SIGKILL of the store")
        fired = f'max_over_time(ALERTS{{alertname="{ALERT}",alertstate="firing",site="main"}}[10m])'
        assert here.number(fired, here.store.url) == 1
