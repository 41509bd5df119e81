"""`airbag report`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from airbag.clock import SystemClock
from airbag.disk import replace_file
from airbag.errors import ConfigError, Problem, RemoteError
from airbag.process import http_config_option, log_options
from airbag_rollback.commands.client import Client, Way, config_option, with_receiver
from airbag_rollback.commands.moments import MomentType
from airbag_rollback.config import Settings
from airbag_rollback.replay.history import settings_of
from airbag_rollback.replay.past import PastPrometheus
from airbag_rollback.report import acts, draw, page, past
from airbag_rollback.report.incident import Incident, NothingToReport

_BEFORE, _AFTER = 300.0, 300.0
"""Seconds before the alert and after the end of an action that its report shows."""


@dataclass(frozen=True)
class Wanted:
    """What the report is about; of an action or of a span."""

    serving: str
    model: str
    start: float
    end: float
    action: int | None = None


def _output(_ctx: click.Context, _param: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in paths:
        if path.suffix.lower() not in _WRITERS:
            raise click.BadParameter(f"{path} ends neither in .html nor in .png")
    return paths


@click.command(
    epilog="Examples: airbag report digits --from 2h -o report.html; airbag report --action 7 -o report.png --attach"
)
@click.argument("model", required=False)
@click.option("--model", "model_option", help="The same as MODEL.")
@click.option("--serving", help="Server group; needed when more than one has the model.")
@click.option("--from", "start", type=MomentType(), help="2026-01-31T08:00:00Z, or 2h for two hours ago.")
@click.option("--to", "end", type=MomentType(), help="As --from; until now by default.")
@click.option("--action", "action_id", type=click.IntRange(1), help="Model and span are those of this action.")
@click.option("-o", "--output", "outputs", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
              callback=_output, help="report.html or report.png; may be given several times.")  # fmt: skip
@click.option("--attach", is_flag=True, help="Keep it with the records of the actions; takes the role operator.")
@click.option("--prometheus.url", "prometheus_url", help="Another Prometheus than the policy's.")
@http_config_option
@config_option
@with_receiver
@log_options
def report(
    model: str | None, model_option: str | None, serving: str | None, start: float | None, end: float | None,
    action_id: int | None, outputs: tuple[Path, ...], attach: bool, prometheus_url: str | None, config_file: Path,
    http_config_file: Path | None, receiver: Way,
) -> None:  # fmt: skip
    """Write what happened to MODEL in a span of time, or around one action: one HTML file, or a picture."""
    if not outputs and not attach:
        raise click.UsageError("name a file with -o report.html, or keep it with --attach")
    if model and model_option and model != model_option:
        raise click.UsageError("MODEL and --model name two models")
    draw.check()
    settings = settings_of(config_file, prometheus_url, http_config_file)
    client = receiver.client(config_file, "operator" if attach else "viewer")
    now = time.time()
    policy = settings.policy
    past = PastPrometheus(policy.prometheus_url, SystemClock(), 30.0, policy.prometheus_http_config)
    with closing(past) as prometheus:
        if action_id is None:
            wanted = _asked_for(
                settings, prometheus, model or model_option, serving, start, now if end is None else end
            )
        else:
            if model or model_option or serving:
                raise click.UsageError("--action says which model it is; leave the others out")
            wanted = _around(acts.one(client, action_id), start, end, now)
        incident = _gather(settings, prometheus, client, wanted)
    source = page.Source(now, settings.policy.prometheus_url, client.url)
    for path in outputs:
        document = _WRITERS[path.suffix.lower()](incident, source)
        replace_file(path, document)
        click.echo(f"{path}: {len(document) / 1024:.0f} KiB")
    if attach:
        _attach(client, incident, source)


def _asked_for(
    settings: Settings, prometheus: PastPrometheus, model: str | None, serving: str | None, start: float | None,
    end: float,
) -> Wanted:  # fmt: skip
    """The span given on the command line, of a model that is known: by exporters.yml, or by Prometheus then."""
    if model is None or start is None:
        raise click.UsageError("name MODEL and --from, or an --action")
    if end <= start:
        raise click.UsageError("--to does not lie after --from")
    known = {(group.name, entry.name) for group in settings.servings.servings for entry in group.models}
    with suppress(RemoteError):  # the report says so itself
        known |= past.places(prometheus, start, end)
    found = sorted(each for each in known if each[1] == model and serving in (None, each[0]))
    if len(found) == 1:
        return Wanted(*found[0], start, end)
    there = "there: " + ", ".join(f"{group}/{name}" for group, name in sorted(known))
    what = "is on several servings; choose one with --serving" if found else "is on no such serving"
    raise ConfigError("report", [Problem(f"model {model}", what, there)])


def _around(told: acts.Told, start: float | None, end: float | None, now: float) -> Wanted:
    action = told.action
    start = told.start - _BEFORE if start is None else start
    end = min(now, (action.ended_at or now) + _AFTER) if end is None else end
    if end <= start:
        raise click.UsageError("--to does not lie after --from")
    return Wanted(action.serving, action.model_name, start, end, action.id)


def _gather(settings: Settings, prometheus: PastPrometheus, client: Client, wanted: Wanted) -> Incident:
    """Both sources. NothingToReport when neither tells anything: an empty report would look like a calm time."""
    rules, place = settings.servings.rules, (wanted.serving, wanted.model)
    with Console(stderr=True).status("asking Prometheus") as status:
        seen = past.look(
            prometheus, place, wanted.start, wanted.end, rules,
            lambda what, share: status.update(f"asking Prometheus: {what} {share:.0%}"),
        )  # fmt: skip
        status.update("asking the receiver")
        done = acts.within(client, *place, wanted.start, wanted.end)
    for problem in (seen.problem, done.problem):
        if problem:
            click.echo(f"part of the report is missing: {problem}", err=True)
    if seen.nothing and not done.told:
        why = "; ".join(each for each in (seen.problem, done.problem) if each)
        what = f"nothing to report of {wanted.model} on {wanted.serving} in that time"
        raise NothingToReport(
            f"{what}: no number in Prometheus, no action of the receiver" + (f" ({why})" if why else "")
        )
    return Incident(*place, wanted.start, wanted.end, seen, done, wanted.action)


def _html(incident: Incident, source: page.Source) -> bytes:
    return page.html(incident, draw.charts(incident), source).encode()


def _png(incident: Incident, _source: page.Source) -> bytes:
    return draw.picture(incident, page.title(incident), draw.told_of(incident))


_WRITERS: dict[str, Callable[[Incident, page.Source], bytes]] = {".html": _html, ".png": _png}


def _attach(client: Client, incident: Incident, source: page.Source) -> None:
    """Keep it with the action that was asked for, or with all that the span shows."""
    meant = [each.action.id for each in incident.told] if incident.about is None else [incident.about]
    if not meant:
        raise NothingToReport("there is no action in that time that the report could be attached to")
    document = _html(incident, source)
    for number in meant:
        client.put(f"/v1/actions/{number}/report", document, "text/html; charset=utf-8")
        click.echo(f"attached to action {number}: {client.url}/actions/{number}/report")
