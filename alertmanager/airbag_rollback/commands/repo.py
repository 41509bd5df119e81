"""`airbag repo`: what lies in the model store, and taking away what nobody needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from airbag.config import load, parse_duration
from airbag.errors import AirbagError
from airbag.process import log_options
from airbag.repository import Changed, checksum
from airbag.serving.groups import load_servings
from airbag_rollback import prune as pruning
from airbag_rollback.commands import repo_text as text
from airbag_rollback.look import Lookout
from airbag_rollback.policy import Policy
from airbag_rollback.prune import Removal, Unfinished
from airbag_rollback.store import Store, Survey

R = TypeVar("R")


class DurationType(click.ParamType[float]):
    """A duration such as 30d on the command line."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return value if isinstance(value, float) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _options(command: Callable[..., R]) -> Callable[..., R]:
    options = [
        click.option("--serving", help="Server group; all of them without it."),
        click.option("--config.file", "config_file", type=click.Path(path_type=Path),
                     default="alertmanager/policy.yml", show_default=True,
                     help="policy.yml; it names exporters.yml and the receiver's journal."),
        click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True),
    ]  # fmt: skip
    wrapped: Callable[..., R] = log_options(command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


@click.group()
def repo() -> None:
    """Show what lies in the model store, and take away what nobody needs."""


@repo.command("list")
@click.argument("model", required=False)
@click.option("--checksum", "with_checksum", is_flag=True, help="Read every file for its checksum.")
@_options
def list_(model: str | None, with_checksum: bool, serving: str | None, config_file: Path, form: str) -> None:
    """List the versions of MODEL, or of every model."""
    documents: list[dict[str, Any]] = []
    problems: list[str] = []
    with _store(config_file) as store:
        for group, name in store.models(model, serving):
            try:
                survey = store.survey(group, name)
            except AirbagError as error:
                problems.append(str(error))
                continue
            documents.append(text.document(survey, store.serving_signatures(survey), _sums(survey, with_checksum)))
            if form == "table":
                _console().print(text.listing(survey, documents[-1], store.now()))
                _notes(survey)
    _end(documents, problems, form)


@repo.command()
@click.argument("model")
@click.argument("version", type=int)
@_options
def show(model: str, version: int, serving: str | None, config_file: Path, form: str) -> None:
    """Show all that is known of VERSION of MODEL; reads every file of it for the checksum."""
    with _store(config_file) as store:
        for group, name in store.models(model, serving):
            survey = store.survey(group, name)
            if version not in survey.repository.versions:
                there = ", ".join(map(str, survey.repository.versions)) or "none"
                raise click.ClickException(f"{name} has no version {version} in {survey.base}; there: {there}")
            sums = {version: _sum(survey, version)}
            document = text.document(survey, store.serving_signatures(survey), sums, only=version)
            click.echo(text.as_json(document) if form == "json" else text.details(document))


@repo.command()
@click.argument("model", required=False)
@click.option("--yes", is_flag=True, help="Do it; without this nothing is removed.")
@click.option("--keep-last", type=click.IntRange(min=1), help="Keep this many of the newest complete versions.")
@click.option("--keep-for", type=DurationType(), help="Keep what changed within this time, such as 30d.")
@_options
def prune(
    model: str | None, yes: bool, keep_last: int | None, keep_for: float | None, serving: str | None,
    config_file: Path, form: str,
) -> None:  # fmt: skip
    """Show which versions of MODEL, or of every model, `retention` lets go; with --yes remove them from disk.

    What serves, is loaded, has a label, is asked for by models.config or is what one would go back to always stays.
    """
    keep = {key: value for key, value in (("keep_last", keep_last), ("keep_for", keep_for)) if value is not None}
    documents: list[dict[str, Any]] = []  # Any: JSON
    problems: list[str] = []
    with _store(config_file) as store:
        for group, name in store.models(model, serving):
            try:
                survey = store.survey(group, name, keep)
                removals = _remove(store, survey, keep) if yes and not survey.refusal else []
            except AirbagError as error:
                problems.append(str(error))
                continue
            where = f"{group.name}/{name}"
            if survey.refusal:
                problems.append(f"{where}: nothing may be removed: {survey.refusal}")
            problems += [f"{where}: {each.name} {each.text}" for each in removals if each.failed]
            documents.append(text.plan(survey, removals, dry_run=not yes))
            if form == "table":
                _console().print(text.pruning(survey, removals, dry_run=not yes))
                _notes(survey)
    _end(documents, problems, form)


def _end(documents: list[dict[str, Any]], problems: list[str], form: str) -> None:
    if form == "json":
        click.echo(text.as_json(documents))
    if problems:
        raise Unfinished("\nairbag: ".join(problems))


def _remove(store: Store, survey: Survey, keep: dict[str, float]) -> list[Removal]:
    def look_again(before: Survey, version: int) -> Survey:
        return store.survey(before.group, before.model, keep, before, (version,))

    return [*pruning.finish(survey), *pruning.prune(survey, look_again)]


@contextmanager
def _store(config_file: Path) -> Iterator[Store]:
    policy = load(config_file, Policy)
    lookout = Lookout()
    try:
        yield Store(policy, load_servings(policy.exporters_file), lookout, time.time)
    finally:
        lookout.close()


def _sums(survey: Survey, wanted: bool) -> dict[int, str]:
    return {version: _sum(survey, version) for version in survey.repository.versions} if wanted else {}


def _sum(survey: Survey, version: int) -> str:
    """The checksum; "" for what cannot be read whole."""
    try:
        return checksum(survey.repository.listing.path(version), {})
    except (Changed, OSError):
        return ""


def _console() -> Console:
    return Console(highlight=False)


def _notes(survey: Survey) -> None:
    for note in survey.notes:
        click.echo(f"note: {note}")
