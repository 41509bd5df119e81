"""`airbag certificates`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from airbag.certificates.parts import PARTS, wanted
from airbag.errors import StartError

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")


def _hosts(_ctx: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    for each in given:
        if not _HOST.fullmatch(each):
            raise click.BadParameter(f"{each!r} is no host name or address")
    return tuple(given)


def _parts(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for each in given:
        part, _, hosts = each.partition("=")
        if part not in PARTS:
            raise click.BadParameter(f"{part!r} is no part; there are {', '.join(PARTS)}")
        found[part] = _hosts(ctx, parameter, [host for host in hosts.split(",") if host])
    return found or dict.fromkeys(PARTS, ())


@click.command(epilog="Example: airbag certificates .airbag/certificates --host serving-1.example.com")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", "parts", multiple=True, metavar="PART[=HOST,...]", callback=_parts,
              help="Only this part, with further names of it. Repeatable.  [default: all parts]")  # fmt: skip
@click.option("--host", "hosts", multiple=True, callback=_hosts,
              help="A further name or address of every server. Repeatable.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 825), default=90, show_default=True, help="How long certificates hold.")
@click.option("--authority-days", type=click.IntRange(1, 7300), default=3650, show_default=True,
              help="How long the authorities hold.")  # fmt: skip
@click.option("--renew-before", type=click.IntRange(0, 365), default=30, show_default=True,
              help="Renew what has no more days left than this.")  # fmt: skip
def certificates(
    folder: Path, parts: dict[str, tuple[str, ...]], hosts: tuple[str, ...], days: int, authority_days: int,
    renew_before: int,
) -> None:  # fmt: skip
    """Make a small site's certificates in FOLDER, renew what is about to end, and say what to mount where.

    Safe to repeat, by a timer for example: what is there stays, and a renewed certificate keeps its key. Two
    authorities: one for HTTP, and one for TensorFlow Serving, which lets whoever has a certificate of it replace its
    models.
    """
    try:
        from airbag.certificates.files import Folder, Lifetimes
        from airbag.certificates.make import Maker
    except ImportError as error:
        raise StartError("making certificates takes the extra: pip install 'tfs-airbag[certificates]'") from error
    if renew_before >= days:
        raise click.UsageError("--renew-before must be less than --days, or every run renews everything")
    lifetimes = Lifetimes(timedelta(days), timedelta(authority_days), timedelta(renew_before))
    now = datetime.now(UTC).replace(microsecond=0)
    for done in Folder(folder, Maker(), lifetimes, now).fill(list(wanted(parts, hosts))):
        left = (done.ends - now).days
        late = "  ENDS SOON: see docs/security.md, rotation" if left <= renew_before else ""
        click.echo(f"{done.what:<8} {done.path}  until {done.ends:%Y-%m-%d}, {left} days{late}")
    click.echo(f"\nMount {folder}/PART at /etc/airbag/certificates in that part, read-only, readable by its user only.")
    click.echo(f"{folder}/authorities signs new certificates: keep it off every server.")
    if "tf-serving" in parts:
        click.echo(f"TF Serving: --ssl_config_file=.../ssl.config, see {folder}/tf-serving; read at the start only.")
