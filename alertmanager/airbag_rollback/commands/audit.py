"""`airbag audit`."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import track

from airbag.config import load, parse_duration
from airbag.errors import AirbagError
from airbag.http_config import load_http_config
from airbag.process import http_config_option, log_options
from airbag_rollback.anchors import scraped_anchors
from airbag_rollback.commands.texts import moment
from airbag_rollback.journal.audit import Record
from airbag_rollback.journal.export import read_export, write_export
from airbag_rollback.journal.peek import peek
from airbag_rollback.journal.verify import Report, verify, verify_journal
from airbag_rollback.policy import Policy

_LONG = 20_000
"""Records from which on it is worth showing how far one is."""

R = TypeVar("R")


class NotVerified(AirbagError):
    """The audit is not what was written, or that cannot be told."""

    reason = "audit"


def _config_option(command: Callable[..., R]) -> Callable[..., R]:
    return click.option(
        "--config.file", "config_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
        show_default=True, help="policy.yml; it names the journal and the key.",
    )(command)  # fmt: skip


class _Ago(click.ParamType[float]):
    """A duration before now, or a time of day with its date."""

    name = "duration or time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            return time.time() - parse_duration(text)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            self.fail(f"{text!r} is neither a duration such as 24h nor a time such as 2026-01-31T12:00:00Z", param, ctx)


class _Anchor(click.ParamType[tuple[int, str]]):
    """SEQ:HEX."""

    name = "seq:hex"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        if isinstance(value, tuple):
            return value
        number, _, head = str(value).partition(":")
        is_hex = 8 <= len(head) <= 64 and set(head.lower()) <= set("0123456789abcdef")
        if not (number.isascii() and number.isdigit() and int(number) > 0 and is_hex):
            self.fail(f"{value!r} is no NUMBER:HEX with 8 digits of the MAC or more", param, ctx)
        return int(number), head.lower()


@click.group()
def audit() -> None:
    """Show, verify and export the audit. All of it works beside a running receiver and changes nothing."""


@audit.command("list", epilog="Example: airbag audit list --since 24h --kind transition")
@_config_option
@click.option("--action", "action_id", type=int, help="Only what concerns this action.")
@click.option("--since", type=_Ago(), help="Only from then on: a duration before now, or a time.")
@click.option("--kind", help="Only records of this kind: transition, approved, paused ...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@log_options
def list_(config_file: Path, action_id: int | None, since: float | None, kind: str | None, as_json: bool) -> None:
    """Show records, oldest first."""
    with peek(load(config_file, Policy).journal) as found, found.still():
        for record in found.audit.all(action_id):
            if (since is None or record.at >= since) and (kind is None or record.kind == kind):
                click.echo(json.dumps({**record.fields, "mac": record.mac}) if as_json else _line(record))


@audit.command(epilog="Example: airbag audit export -o audit.ndjson")
@_config_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write whole or not at all.  [stdout]")
@log_options
def export(config_file: Path, output: Path | None) -> None:
    """Write every record with its MAC, one JSON object per line."""
    with peek(load(config_file, Policy).journal) as found, found.still():
        seq, _ = found.audit.head()
        written = write_export(_shown(found.audit.all(), seq, "exporting"), found.audit.kept(), output)
    if output is not None:
        click.echo(f"{written} records in {output}")


@audit.command("verify", epilog="Example: airbag audit verify --anchor 412:9f86d081")
@_config_option
@click.option("--prometheus", "prometheus_url", help="Where heads of the audit were scraped.  [prometheus_url]")
@http_config_option
@click.option("--no-prometheus", is_flag=True, help="Compare with no scraped heads.")
@click.option("--since", type=_Ago(), default="15d", show_default=True, help="Compare with heads scraped from then on.")
@click.option("--match", "matchers", default="", help="""Which series to take, such as 'instance="a:9815"'.""")
@click.option("--anchor", "anchors", type=_Anchor(), multiple=True, help="A record that somebody saw, with its MAC.")
@click.option("--old-key", "old_keys", type=click.Path(path_type=Path), multiple=True,
              help="File with a key that was used before.")  # fmt: skip
@click.option("--file", "exported", type=click.Path(path_type=Path), help="Verify this export instead of the journal.")
@log_options
def verify_(
    config_file: Path, prometheus_url: str | None, http_config_file: Path | None, no_prometheus: bool, since: float,
    matchers: str, anchors: tuple[tuple[int, str], ...], old_keys: tuple[Path, ...], exported: Path | None,
) -> None:  # fmt: skip
    """Recompute every record, and compare with what was seen of it off this host. Exits 1 when anything is wrong."""
    policy = load(config_file, Policy)
    keys = [policy.audit_key.read().encode(), *(path.read_text().strip().encode() for path in old_keys)]
    seen: dict[int, set[str]] = defaultdict(set)
    for number, head in anchors:
        seen[number].add(head)
    scraped = 0
    if not no_prometheus:
        try:
            # The password or token for the policy's Prometheus is shown to no other.
            http = policy.prometheus_http_config if not prometheus_url else None
            http = load_http_config(http_config_file) if http_config_file else http
            found = scraped_anchors(prometheus_url or policy.prometheus_url, since, time.time(), matchers, http=http)
        except AirbagError as error:
            raise NotVerified(f"no scraped heads to compare with: {error}. --no-prometheus goes without") from error
        scraped = len(found)
        for number, heads in found.items():
            seen[number] |= heads
    report = _verified(policy, exported, keys, seen)
    click.echo(_told(report))
    click.echo(_compared(report, seen, scraped, no_prometheus))
    if report.wrong:
        raise NotVerified(f"the audit is not what was written: {report.wrong}")
    if report.foreign:
        raise NotVerified("not all of the audit can be verified: give the keys that were used before by --old-key")


def _verified(policy: Policy, exported: Path | None, keys: list[bytes], seen: Mapping[int, set[str]]) -> Report:
    if exported is not None:
        kept, records = read_export(exported)
        return verify(records, keys, kept, seen)
    return verify_journal(policy.journal, keys, seen, lambda records, size: _shown(records, size, "verifying"))


def _shown(records: Iterable[Record], size: int, doing: str) -> Iterator[Record]:
    """The same records; a bar on the terminal when there are many."""
    if size < _LONG:
        yield from records
    else:
        yield from track(records, doing, total=size, console=Console(stderr=True), transient=True)


def _told(report: Report) -> str:
    if report.last < report.first and report.wrong is None:
        return "the audit is empty"
    lines = []
    if report.last >= report.first:
        lines.append(f"records {report.first} to {report.last} fit together; the last has MAC {report.mac}")
    if report.first > 1:
        lines.append(f"records 1 to {report.first - 1} were removed by retention")
    for begin, end, key in report.foreign:
        lines.append(f"records {begin} to {end} were made with key {key}, not given: not recomputed")
    return "\n".join(lines) or "no record fits"


def _compared(report: Report, seen: Mapping[int, set[str]], scraped: int, without: bool) -> str:
    told = f"{len([each for each in seen if report.first <= each <= report.last])} of them were seen off this host"
    if without or scraped:
        return told
    return f"{told}; Prometheus has no head of this audit, so records that are missing at the end would not show"


def _line(record: Record) -> str:
    fields = record.fields
    if record.kind == "transition":
        what = f"#{fields['action_id']} {fields['serving']}/{fields['model_name']} {fields['bad_version']}"
        what += f"  {fields['before'] or '-'} -> {fields['after']}" + (
            f" ({fields['reason']})" if fields["reason"] else ""
        )
    else:
        known = ("algorithm", "key", "seq", "at", "kind", "by")
        what = " ".join(f"{name}={value}" for name, value in sorted(fields.items()) if name not in known)
    by = f"  by {fields['by']}" if fields.get("by") else ""
    return f"{record.seq}  {moment(record.at)}  {record.kind}  {what}{by}"
