"""`airbag release`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from airbag.config import load
from airbag.errors import ConfigError, Problem
from airbag.process import log_options
from airbag.serving.groups import ServingGroup, Servings, load_servings
from airbag_rollback.actions.release import NotReleased
from airbag_rollback.actions.release import release as put_live
from airbag_rollback.commands.client import Way, with_receiver
from airbag_rollback.commands.gate import watch
from airbag_rollback.commands.pause import DurationType
from airbag_rollback.look import Lookout, ModelView
from airbag_rollback.policy import Policy

_OLD_NEWS = 5.0
"""Seconds in which a failure that stood there before the release may be left over from then."""


@click.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--serving", help="Server group; needed when more than one has the model.")
@click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
              show_default=True, help="policy.yml; it names exporters.yml.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Do not wait until the version answers.")
@click.option("--timeout", type=click.FloatRange(min=1), default=300.0, show_default=True, help="Seconds to wait.")
@click.option("--gate", type=DurationType(),
              help="Watch it for so long and go back when it is bad or was never shown good, e.g. 2m.")  # fmt: skip
@with_receiver
@log_options
def release(
    model: str, version: int, serving: str | None, config_file: Path, no_wait: bool, timeout: float,
    gate: float | None, receiver: Way,
) -> None:  # fmt: skip
    """Put VERSION of MODEL live beside the version that answers now, which stays loaded to go back to.

    With --gate no data goes back, too: the release has to be shown good. The receiver has to run for that.
    """
    if gate is not None and no_wait:
        raise click.UsageError("--gate has to wait for the version to answer; leave out --no-wait")
    client = receiver.client(config_file, "operator") if gate else None
    group = _group(load_servings(load(config_file, Policy).exporters_file), model, serving)
    if client:
        client.get("/v1/explain", serving=group.name, model=model)  # without a receiver nothing is released
    lookout = Lookout()
    try:
        before = lookout.look(group, model)
        both = put_live(lookout, group, model, version)
        click.echo(f"{model} on {group.name}: models.config names {' and '.join(map(str, sorted(both)))}")
        if not no_wait:
            for line in _progress(lookout, group, model, version, before, timeout):
                click.echo(line)
    finally:
        lookout.close()
    if client and gate:
        watch(client, group.name, model, version, max(before.serves, default=None), gate)


def _group(servings: Servings, model: str, name: str | None) -> ServingGroup:
    found = [group for group in servings.servings if group.model(model) and name in (None, group.name)]
    if len(found) == 1:
        return found[0]
    have = ", ".join(f"{group.name}: {' '.join(entry.name for entry in group.models)}" for group in servings.servings)
    what = "is on several servings; choose one with --serving" if found else "is on no such serving"
    raise ConfigError("exporters.yml", [Problem(f"model {model}", what, f"there: {have}")])


def _progress(
    lookout: Lookout, group: ServingGroup, model: str, version: int, before: ModelView, timeout: float
) -> Iterator[str]:
    """Lines until the version answers on every server; NotReleased with the server's own words when it fails."""
    old = {target.name: target.failure(version) for target in before.targets}
    start = time.monotonic()
    said = ""
    while True:
        view = lookout.look(group, model)
        waited = time.monotonic() - start
        for target in view.targets:
            failure = target.failure(version)
            if failure and (failure != old.get(target.name) or waited > _OLD_NEWS):
                raise NotReleased(f"{model} {version} failed on {target.name}: {failure}")
        sentence = _sentence(view, version)
        if sentence != said:
            said = sentence
            yield f"{waited:5.1f} s  {sentence}"
        if view.serves == {version} and version in view.available and not (view.unreachable or view.silent):
            return
        if waited > timeout:
            raise NotReleased(f"{model} {version} does not answer after {timeout:g} s: {sentence}")
        time.sleep(0.1)


def _sentence(view: ModelView, version: int) -> str:
    parts = []
    for target in view.targets:
        state = next((status.state.name for status in target.versions if status.version == version), "not seen yet")
        answers = target.error or f"{target.default if target.default is not None else 'nothing'} answers"
        parts.append(f"{target.name}: {version} {state}, {answers}")
    return "; ".join(parts)
