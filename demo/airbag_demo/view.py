"""What the demo shows: a live panel on a terminal, one line a stage elsewhere, and the closing timeline."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import requests
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from airbag_demo.place import Place
from airbag_demo.releases import MODEL
from airbag_demo.report import Report

_OF_MODEL = f'{{model_name="{MODEL}"}}'
_QUERIES = {
    "serving version": (f"max(airbag_tfs_default_version{_OF_MODEL})", "{:.0f}"),
    "requests/s": (f"sum(rate(airbag_tfs_requests_total{_OF_MODEL}[5s]))", "{:.1f}"),
    "error ratio": (
        f'sum(rate(airbag_tfs_requests_total{{model_name="{MODEL}",status!="OK"}}[5s]))'
        f" / (sum(rate(airbag_tfs_requests_total{_OF_MODEL}[5s])) > 0)",
        "{:.1%}",
    ),
    "p99": (
        f"histogram_quantile(0.99, sum by (le) (rate(airbag_tfs_request_duration_seconds_bucket{_OF_MODEL}[5s])))",
        "{:.3f} s",
    ),
    "accuracy": (
        f'sum(rate(airbag_quality_outcomes_total{{model_name="{MODEL}",correct="true"}}[5s]))'
        f" / (sum(rate(airbag_quality_outcomes_total{_OF_MODEL}[5s])) > 0)",
        "{:.1%}",
    ),
}

_STAGES = (
    ("first_bad_at", "first bad response"),
    ("alert_at", "alert fires"),
    ("received_at", "receiver has it on disk"),
    ("decided_at", "decision to roll back"),
    ("acted_at", "configuration written, server told"),
    ("first_good_at", "first good response"),
    ("available_at", "switch verified on the server"),
)


class View:
    """Shows the stages as they come; on a terminal with a live table of numbers read from Prometheus."""

    def __init__(self, stack: Place, title: str, console: Console) -> None:
        self._stack = stack
        self._title = title
        self._console = console
        self._stages: list[tuple[float, str]] = []
        self._begun = time.monotonic()
        self._numbers: dict[str, str] = {}
        self._asked_at = 0.0
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def stage(self, text: str) -> None:
        """A stage is reached."""
        elapsed = time.monotonic() - self._begun
        self._stages.append((elapsed, text))
        self._console.print(f"[dim]{elapsed:6.1f} s[/dim]  {text}")
        self.tick()

    def tick(self) -> None:
        """Renew the numbers, once a second at most."""
        if time.monotonic() - self._asked_at < 1:
            return
        self._asked_at = time.monotonic()
        self._numbers = {name: self._ask(query, form) for name, (query, form) in _QUERIES.items()}
        if self._live:
            self._live.update(self._panel())
        elif self._stages:
            line = "  ".join(f"{name} {value}" for name, value in self._numbers.items())
            self._console.print(f"[dim]{time.monotonic() - self._begun:6.1f} s  {line}[/dim]")

    def _ask(self, query: str, form: str) -> str:
        try:
            url = self._stack.url("prometheus") + "/api/v1/query"
            result = requests.get(url, params={"query": query}, timeout=1).json()["data"]["result"]
            value = float(result[0]["value"][1])
        except (requests.RequestException, LookupError, ValueError):
            return "-"
        return "-" if value != value else form.format(value)

    def _panel(self) -> Panel:
        table = Table.grid(padding=(0, 3))
        table.add_row(*(Text(name, style="dim") for name in self._numbers))
        table.add_row(*(Text(value, style="bold") for value in self._numbers.values()))
        stage = self._stages[-1][1] if self._stages else "starting"
        return Panel(Group(table, Text(stage, style="cyan")), title=self._title)


def timeline(report: Report) -> Table:
    """The stages of one fault with seconds since the first bad response and since the stage before."""
    table = Table(title=f"{report.fault}: {report.outcome}", title_style="green" if report.passed else "bold red")
    for heading in ("stage", "at", "after"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    began = report.first_bad_at
    # A version that never loads gives no answers: the version before it goes on answering.
    stages = [stage for stage in _STAGES if report.fault != "load" or stage[0] != "first_good_at"]
    times = [(getattr(report, field), text) for field, text in stages]
    known = sorted((at, text) for at, text in times if at is not None)
    for index, (at, text) in enumerate(known):
        since = at - known[index - 1][0] if index else 0.0
        label = "bad version released" if report.fault == "load" and at == began else text
        table.add_row(label, f"{at - (began or known[0][0]):.2f} s", f"+{since:.2f} s")
    for text in (text for at, text in times if at is None):
        table.add_row(text, "-", "-", style="red")
    return table


def summary(report: Report) -> str:
    """One line of numbers."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    recovered = "never" if report.recovered_seconds is None else f"in {report.recovered_seconds:.1f} s"
    return (
        f"version {report.to_version} -> {report.from_version} {recovered}; "
        f"{report.requests_lost} of {report.requests_total} requests lost; accuracy {share(report.accuracy_before)} "
        f"-> {share(report.accuracy_bad)} -> {share(report.accuracy_after)}"
    )
