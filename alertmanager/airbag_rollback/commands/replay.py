"""`airbag replay`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from airbag.config import parse_duration
from airbag.process import http_config_option, log_options
from airbag_rollback.commands.moments import MomentType
from airbag_rollback.commands.texts import duration, moment, print_json
from airbag_rollback.replay.history import Wanted, settings_of
from airbag_rollback.replay.history import replay as run
from airbag_rollback.replay.rerun import Finding

WOULD_HAVE_ACTED = 3
"""The exit code when at least one rollback would have been made, or a person asked for it."""


def _step(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    try:
        return max(1.0, parse_duration(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog="Exits 0 when no rollback would have been made, 3 when one would have, 1 when it cannot be told.")
@click.option(
    "--from", "start", type=MomentType(), required=True, help="2026-01-31T08:00:00Z, or 2h for two hours ago."
)
@click.option("--to", "end", type=MomentType(), default="0s", help="As --from; until now by default.")
@click.option("--model", help="Only this one.")
@click.option("--step", callback=_step, default="1s", show_default=True, help="How often the past is looked at.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
              show_default=True, help="The policy to try; it names exporters.yml.")  # fmt: skip
@click.option("--prometheus.url", "prometheus_url", help="Another Prometheus than the policy's.")
@http_config_option
@click.option("--alerts-only", is_flag=True, help="Only what fired, not what a signal alone would have called for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the evidence of each decision.")
@log_options
@click.pass_context
def replay(
    ctx: click.Context, start: float, end: float, model: str | None, step: float, policy_file: Path,
    prometheus_url: str | None, http_config_file: Path | None, alerts_only: bool, as_json: bool,
) -> None:  # fmt: skip
    """Say what the policy would have done in the past, by Prometheus' history, and why not otherwise."""
    settings = settings_of(policy_file, prometheus_url, http_config_file)
    wanted = Wanted(start, end, step, model, not alerts_only)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        console=Console(stderr=True), transient=True,
    ) as progress:  # fmt: skip
        found = run(settings, wanted, _shown(progress))
    if as_json:
        print_json({"from": start, "to": end, "findings": [_document(each) for each in found]})
    else:
        for line in _lines(found, start, end, settings.policy.mode):
            click.echo(line)
    if any(each.would in ("roll back", "ask a person") for each in found):
        ctx.exit(WOULD_HAVE_ACTED)


def _shown(progress: Progress) -> Callable[[str, float], None]:
    tasks: dict[str, Any] = {}  # Any: rich's own

    def told(what: str, share: float) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=1.0)
        progress.update(tasks[what], completed=share)

    return told


def _lines(found: list[Finding], start: float, end: float, mode: str) -> list[str]:
    head = f"from {moment(start)} to {moment(end)} ({duration(end - start)}), mode {mode}"
    counts = Counter(each.would for each in found)
    summary = ", ".join(f"{_WOULD[would]} {count}" for would, count in counts.most_common()) or "no alert asked for it"
    return [f"{head}: {summary}", *(line for each in found for line in _finding(each))]


_WOULD = {
    "roll back": "would have rolled back", "ask a person": "would have asked a person",
    "call a person": "would have called a person", "nothing": "would have done nothing",
    "repeated": "had been answered already", "undecided": "was undecided at the end",
}  # fmt: skip


def _finding(each: Finding) -> list[str]:
    about = each.stretch
    by = "" if about.by == "alert" else " (no alert fired; by its signal)"
    what = f"{about.serving}/{about.model_name} {about.version}"
    lasted = f"{moment(about.start)}, {duration(about.end - about.start)}"
    to = f" to {each.target}" if each.target is not None else ""
    return [
        f"{lasted}  {about.alertname} on {what}{by}",
        f"    {_WOULD[each.would]}{to} after {each.after:.1f} s: {each.reason}",
        f"    {each.text}",
    ]


def _document(each: Finding) -> dict[str, Any]:
    return asdict(each) | {"after": each.after}
