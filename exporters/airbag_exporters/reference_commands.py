"""`airbag reference`: the training profile that live values are compared with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airbag.clock import SystemClock
from airbag.errors import StartError
from airbag.http_config import Authorization, HttpConfig, load_http_config
from airbag.process import http_config_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airbag_exporters.quality.reference.build import Begin, Built, Fineness
    from airbag_exporters.quality.reference.chunk import Read, Table
    from airbag_exporters.quality.reference.plan import Wanted
    from airbag_exporters.quality.reference.value import Reference


class Names(click.ParamType[tuple[str, ...]]):
    """Names of columns, divided by commas."""

    name = "a,b"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else ()
        if not names or "" in names:
            self.fail(f"{value!r} has an empty name", param, ctx)
        return names


class Time(click.ParamType[float]):
    """A point in time: ISO 8601, UTC where it names no zone, or seconds since the epoch."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(value))
        except ValueError:
            pass
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is neither ISO 8601, such as 2026-01-31T12:00, nor seconds since the epoch", param, ctx
            )
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class Window(click.ParamType[str]):
    """A PromQL range."""

    name = "window"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[1-9]\d*[smhdw]", str(value)):
            self.fail(f'{value!r} is not a whole number and one unit, such as "24h"', param, ctx)
        return str(value)


_FILE = click.Path(path_type=Path)
_OLD = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def reference() -> None:
    """References: how the training data fell into bins, which live values are compared with."""


@reference.command()
@click.argument("data", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--output", type=_FILE, help="The file to write.")
@click.option("--version-folder", type=_FILE, help="A version's folder; writes assets.extra/airbag_reference.json.")
@click.option("--features", type=Names(), help="The columns that are features.  [default: every other one]")
@click.option("--exclude", type=Names(), default=(), help="Columns that are no features, such as ids and times.")
@click.option("--numeric", type=Names(), default=(), help="Columns to take as numbers; needed for CSV.")
@click.option("--categorical", type=Names(), default=(), help="Columns to take as categories; needed for CSV.")
@click.option("--score", metavar="COLUMN", help="The model's score, or what a regression predicted.")
@click.option("--target", metavar="COLUMN", help="What a regression should have predicted.")
@click.option("--bins", type=click.IntRange(2, 100), default=10, show_default=True, help="Of each numeric feature.")
@click.option("--score-bins", type=click.IntRange(2, 100), default=50, show_default=True,
              help="Of the score, for AUC and calibration.")  # fmt: skip
@click.option("--top", type=click.IntRange(1, 1000), default=20, show_default=True,
              help="How many categories are told apart; the rest is `other`.")  # fmt: skip
@click.option("--missing", multiple=True, metavar="TEXT", help="A text that stands for a missing value, such as NA.")
@click.option("--edges-from", type=_OLD, help="Count in the bins of this reference, so that both can be compared.")
@click.option("--events", is_flag=True, help="DATA holds prediction events, as the intake takes them, in NDJSON.")
@click.option("--model", help="With --events: whose.")
@click.option("--version", help="With --events: of which version.  [default: all]")
@click.option("--from", "begin", type=Time(), help="With --events: since when, included.")
@click.option("--to", "end", type=Time(), help="With --events: until when, not included.")
def build(
    data: tuple[Path, ...], output: Path | None, version_folder: Path | None, features: tuple[str, ...] | None,
    exclude: tuple[str, ...], numeric: tuple[str, ...], categorical: tuple[str, ...], score: str | None,
    target: str | None, bins: int, score_bins: int, top: int, missing: tuple[str, ...], edges_from: Path | None,
    events: bool, model: str | None, version: str | None, begin: float | None, end: float | None,
) -> None:  # fmt: skip
    """Build a reference from Parquet, CSV or NDJSON."""
    from airbag_exporters.quality.reference.build import Fineness
    from airbag_exporters.quality.reference.plan import Wanted
    from airbag_exporters.quality.reference.value import load_reference
    from airbag_exporters.quality.reference.write import in_version

    if output is None and version_folder is None:
        raise click.UsageError("say where to write with -o or --version-folder")
    only_events = {"--model": model, "--version": version, "--from": begin, "--to": end}
    _refuse(not events, only_events, "only with --events")
    explicit = {"--features": features, "--exclude": exclude or None, "--numeric": numeric or None,
                "--categorical": categorical or None, "--target": target}  # fmt: skip
    _refuse(edges_from is not None, explicit, "not with --edges-from, which has its own columns")
    if events and model is None:
        raise click.UsageError("say whose events with --model")
    old = load_reference(edges_from) if edges_from else None
    tables = (
        _events(data, model or "", version, begin, end, features or (tuple(old.features) if old else ()))
        if events
        else _tables(data, missing)
    )
    wanted = Wanted(features, exclude, numeric, categorical, score, target)
    built = _built(tables, _of_events(wanted) if events else wanted, Fineness(bins, score_bins, top), old)
    paths = [path for path in (output, in_version(version_folder) if version_folder else None) if path]
    _finish(built.reference, paths, built.notes)


@reference.command()
@click.option("--prometheus", "url", metavar="URL", required=True, help="Where to ask, http(s)://HOST:PORT.")
@click.option("--token-file", type=_OLD, help="Holds a bearer token for Prometheus.")
@http_config_option
@click.option("--serving", required=True, help="The group of servers.")
@click.option("--model", required=True)
@click.option("--version", required=True)
@click.option("--window", type=Window(), required=True, help="How far back, such as 24h.")
@click.option("--edges-from", type=_OLD, required=True, help="The reference whose bins are counted now.")
@click.option("-o", "--output", type=_FILE, required=True, help="The file to write.")
def live(
    url: str, token_file: Path | None, http_config_file: Path | None, serving: str, model: str, version: str,
    window: str, edges_from: Path, output: Path,
) -> None:  # fmt: skip
    """Build a reference from the live counters of a version."""
    from airbag_exporters.quality.reference.live import Prometheus, Version
    from airbag_exporters.quality.reference.live import live as counted
    from airbag_exporters.quality.reference.value import load_reference

    if not re.fullmatch(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", url):
        raise click.UsageError("--prometheus must be http(s)://HOST:PORT without user or query")
    http = load_http_config(http_config_file) if http_config_file else None
    if token_file:
        if http and (http.basic_auth or http.authorization):
            raise click.UsageError("--token-file and --http.config.file both say who we are; leave out one")
        http = (http or HttpConfig()).model_copy(update={"authorization": Authorization(credentials_file=token_file)})
    prometheus = Prometheus(url, http)
    old = load_reference(edges_from)
    _finish(counted(prometheus, old, Version(serving, model, version), window, _now()), [output], [])


@reference.command()
@click.argument("file", type=_OLD)
def show(file: Path) -> None:
    """Show what a reference holds."""
    from rich.console import Console

    from airbag_exporters.quality.reference.text import reference_table
    from airbag_exporters.quality.reference.value import load_reference

    found = load_reference(file)
    Console(highlight=False).print(reference_table(found))
    click.echo(f"{found.rows:,} rows, built {found.built_at or 'at an unknown time'}; sha256 {found.sha256}")


@reference.command()
@click.argument("first", type=_OLD)
@click.argument("second", type=_OLD)
def compare(first: Path, second: Path) -> None:
    """Show how far two references are apart, feature by feature."""
    from rich.console import Console

    from airbag_exporters.quality.reference.compare import compare as compared
    from airbag_exporters.quality.reference.text import difference_table
    from airbag_exporters.quality.reference.value import load_reference

    one, other = load_reference(first), load_reference(second)
    Console(highlight=False).print(difference_table(compared(one, other)))
    click.echo(f"ref {one.ref} and {other.ref}" + ("" if one.ref == other.ref else ": other bins"))


def _tables(data: Sequence[Path], missing: Sequence[str]) -> list[Table]:
    from airbag_exporters.quality.reference.tables import open_tables

    return open_tables(data, frozenset(missing))


def _events(
    data: Sequence[Path], model: str, version: str | None, begin: float | None, end: float | None,
    order: Sequence[str],
) -> list[Table]:  # fmt: skip
    from airbag_exporters.quality.reference.tables.events import Chosen, open_events

    since = -math.inf if begin is None else begin
    return open_events(data, Chosen(model, version, since, math.inf if end is None else end, order))


def _of_events(wanted: Wanted) -> Wanted:
    from dataclasses import replace

    from airbag_exporters.quality.reference.tables.events import ACTUAL, PREDICTED, SCORE

    fields = {"score": SCORE, "predicted": PREDICTED, "actual": ACTUAL}
    for option, name in (("--score", wanted.score), ("--target", wanted.target)):
        if name is not None and name not in fields:
            raise click.UsageError(f"{option} of events must be one of {', '.join(fields)}, not {name!r}")
    return replace(
        wanted,
        exclude=(*wanted.exclude, *fields.values()),
        score=fields[wanted.score] if wanted.score else None,
        target=fields[wanted.target] if wanted.target else None,
    )


def _built(tables: Sequence[Table], wanted: Wanted, fineness: Fineness, old: Reference | None) -> Built:
    from airbag_exporters.quality.reference.build import bins_of, build, count
    from airbag_exporters.quality.reference.plan import like, plan

    with _progress() as begin:
        read = begin("types", sum(table.size for table in tables))
        types = {table.path: table.types(read) for table in tables}
        chosen = plan(like(old, wanted.score) if old else wanted, types)
        if old is None:
            return build(tables, chosen, fineness, _now(), begin)
        return count(tables, chosen, bins_of(old, chosen.score), _now(), begin)


@contextmanager
def _progress() -> Iterator[Begin]:
    """A bar a pass on standard error; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:

        def begin(name: str, size: int) -> Read:
            task = bars.add_task(name, total=size)
            return lambda more: bars.advance(task, more)

        yield begin


def _finish(found: Reference, paths: Sequence[Path], notes: Sequence[str]) -> None:
    from airbag_exporters.quality.reference.write import write

    for path in paths:
        if not path.parent.is_dir() and path.parent.name != "assets.extra":
            raise StartError(f"{path.parent} is no folder")
        write(found, path)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    columns = len(found.features) + (found.score is not None)
    click.echo(f"{', '.join(map(str, paths))}: ref {found.ref}, {columns} profiles of {found.rows:,} rows")


def _refuse(when: bool, options: Mapping[str, object], why: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if when and given:
        raise click.UsageError(f"{', '.join(given)}: {why}")


def _now() -> str:
    return datetime.fromtimestamp(SystemClock().now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
