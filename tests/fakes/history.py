"""A real Prometheus with a past of a test's own: raw series, what the shipped rules make of them, and their alerts."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import requests
import yaml

from airbag.config import parse_duration
from airbag.rules import PROFILES
from airbag_rollback.signals import SIGNALS, fill
from tests.fakes import shipped
from tests.fakes.binaries import find
from tests.fakes.ports import free_port
from tests.fakes.wait import until

_RECORD = re.compile(r"\bmodel\w*:airbag_\w+:\w+")
_CHUNK = 7200
Sample = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One series; `times` are in whole seconds."""

    name: str
    labels: Mapping[str, str]
    times: Sequence[int]
    values: Sequence[float]


@dataclass
class History:
    """A Prometheus under `folder` that scrapes nothing. A sample is forgotten after two seconds, as after a scrape
    that misses it.
    """

    folder: Path
    url: str = ""

    @property
    def data(self) -> Path:
        """Where its blocks lie."""
        return self.folder / "data"

    def write(self, series: Iterable[Series]) -> None:
        """Add raw series as blocks; to be done while it does not run."""
        file = self.folder / "series.om"
        with file.open("w") as out:
            for name, same in groupby(sorted(series, key=lambda each: each.name), key=lambda each: each.name):
                for each in same:
                    labels = ",".join(f'{key}="{value}"' for key, value in each.labels.items())
                    head = f"{name}{{{labels}}}"
                    pairs = zip(each.times, each.values, strict=True)
                    out.writelines(f"{head} {value:.10g} {at}\n" for at, value in pairs)
            out.write("# EOF\n")
        _promtool("tsdb", "create-blocks-from", "openmetrics", file, self.data)
        file.unlink()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its address while it runs."""
        config, port = self.folder / "prometheus.yml", free_port()
        config.write_text("global: {}\n")
        command = [
            str(find("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={self.data}",
            "--storage.tsdb.retention.time=10y", f"--web.listen-address=127.0.0.1:{port}",
            "--query.lookback-delta=2s", "--query.max-samples=500000000", "--query.timeout=5m",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log)
        self.url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: requests.get(f"{self.url}/-/ready", timeout=1).ok, timeout=60, what="Prometheus")
            yield self.url
        finally:
            child.terminate()
            child.wait(60)

    def record(self, start: int, end: int, say: Callable[[str], None] = lambda _: None) -> None:
        """Add what the rules of the fast profile record between these times, and the rollback alerts that fire."""
        for number, level in enumerate(_levels(), 1):
            began = time.monotonic()
            file = self.folder / "rules.yml"
            rules = [{"record": name, "expr": expr} for name, expr in level]
            file.write_text(yaml.safe_dump({"groups": [{"name": "airbag", "interval": "1s", "rules": rules}]}))
            with self.running():
                _promtool(
                    "tsdb", "create-blocks-from", "rules", f"--start={start}", f"--end={end}", "--eval-interval=1s",
                    f"--url={self.url}", f"--output-dir={self.folder / 'new'}", file,
                )  # fmt: skip
            self._take_in()
            say(f"recorded {len(level)} rules of level {number} in {time.monotonic() - began:.0f} s")
        with self.running():
            alerts = [each for rule in _alerts() for each in self._fired(rule, start, end)]
        if alerts:
            self.write(alerts)

    def _take_in(self) -> None:
        for block in (self.folder / "new").iterdir():
            block.rename(self.data / block.name)

    def _fired(self, rule: dict[str, Any], start: int, end: int) -> Iterator[Series]:
        """ALERTS as Prometheus writes it: pending until the rule's `for` has passed."""
        labels = {"alertname": rule["alert"], **rule["labels"]}
        for about, samples in self.matrix(rule["expr"], start, end).items():
            states = list(_states([int(at) for at, _ in samples], parse_duration(rule["for"])))
            for state in ("pending", "firing"):
                times = [at for at, found in states if found == state]
                if times:
                    yield Series("ALERTS", {**dict(about), **labels, "alertstate": state}, times, [1.0] * len(times))

    def matrix(self, query: str, start: int, end: int) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
        """What answers, each second."""
        found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        for at in range(start, end + 1, _CHUNK):
            form = {"query": query, "start": at, "end": min(at + _CHUNK - 1, end), "step": 1}
            answer = requests.post(f"{self.url}/api/v1/query_range", form, timeout=300)
            assert answer.ok, answer.text
            for row in answer.json()["data"]["result"]:
                labels = {key: value for key, value in row["metric"].items() if key != "__name__"}
                samples = ((float(at), float(value)) for at, value in row["values"])
                found.setdefault(tuple(sorted(labels.items())), []).extend(samples)
        return found


def _states(times: Sequence[int], hold: float) -> Iterator[tuple[int, str]]:
    """Pending or firing at each moment at which the expression answered."""
    since = before = None
    for at in times:
        since = at if since is None or before is None or at - before > 1 else since
        before = at
        yield at, "firing" if at - since >= hold else "pending"


def _rules() -> list[tuple[str, str]]:
    return [
        (rule["record"], rule["expr"])
        for file in sorted(shipped.RULES.glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in shipped.alert_rules() if rule["labels"].get("airbag_action") == "rollback"]


def _levels() -> list[list[tuple[str, str]]]:
    """The rules that rollback alerts and the receiver's questions rest on, those first that rest on raw series."""
    known = dict(_rules())
    asked = [rule["expr"] for rule in _alerts()]
    for signal in SIGNALS.values():
        asked += [fill(text, "s", "m", 1, PROFILES["fast"]) for text in vars(signal).values() if isinstance(text, str)]
    depth: dict[str, int] = {}

    def descend(text: str) -> int:
        deepest = 0
        for name in _RECORD.findall(text):
            if name not in depth:
                depth[name] = 1 + descend(known[name])
            deepest = max(deepest, depth[name])
        return deepest

    for text in asked:
        descend(text)
    count = max(depth.values())
    return [[(name, known[name]) for name in sorted(depth) if depth[name] == level + 1] for level in range(count)]


def _promtool(*arguments: str | Path) -> None:
    done = subprocess.run([str(find("promtool")), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
