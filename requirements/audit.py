"""`make audit`: whether what Airbag is made of may be shipped. What needs no network is always checked; see the page
docs/releasing.md for the rest."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

import click
from packaging.requirements import Requirement
from pydantic import ValidationError

from requirements.accepted import Accepted, read_accepted
from requirements.advisories import Unanswered, judged, outdated, vulnerabilities, withdrawn
from requirements.licences import licence, refused
from requirements.lock import Locked, read_lock

HERE = Path(__file__).parent
_BOUNDS = (">=", "==", "~=", ">")


def problems_of_lock(name: str, entries: Iterable[Locked]) -> Iterator[str]:
    """Entries whose files could be exchanged on the way."""
    for each in entries:
        if not any(found.startswith("sha256:") for found in each.hashes):
            yield f"{name}: {each.name} {each.version} has no sha256"


def problems_of_licences(entries: Iterable[Locked]) -> Iterator[str]:
    """Packages of the product whose licence is not on the list, or not known."""
    for each in entries:
        if not each.applies:
            continue
        try:
            found = licence(each.name)
        except metadata.PackageNotFoundError:
            yield f"{each.name} is not installed, so its licence is not known; run make check again"
            continue
        if found is None:
            yield f"{each.name} does not say under which licence it comes; add what it says to requirements/licences.py"
        elif words := refused(found):
            yield f"{each.name} comes under {found}; {', '.join(words)} is not on the list in requirements/licences.py"


def problems_of_ranges(project: Path) -> Iterator[str]:
    """What the product needs must say from which version on it works, or pip may install what never did."""
    about = tomllib.loads(project.read_text())["project"]
    extras = {name: needs for name, needs in about["optional-dependencies"].items() if name != "dev"}
    for needs in (about["dependencies"], *extras.values()):
        for requirement in map(Requirement, needs):
            if not any(each.operator in _BOUNDS for each in requirement.specifier):
                yield f"pyproject.toml: `{requirement}` says no lowest version"


def words_of_acceptance(path: Path, today: date) -> tuple[list[Accepted], list[str]]:
    """What was accepted, and what is wrong with it."""
    try:
        accepted = read_accepted(path)
    except ValidationError as error:
        return [], [f"{path.name}: {each['loc']}: {each['msg']}" for each in error.errors()]
    return accepted, outdated(accepted, today)


@click.command()
@click.option("--strict", is_flag=True, help="Fail when a service cannot be asked, as for a release.")
@click.option("--lock", type=click.Path(path_type=Path, exists=True), default=HERE / "base.lock", show_default=True)
@click.option("--not-shipped", is_flag=True, help="The lock is of tools: their licences do not matter.")
@click.option("--accepted", type=click.Path(path_type=Path, exists=True), default=HERE / "accepted.yml")
@click.option("--osv-url", metavar="URL", envvar="AIRBAG_OSV_URL", help="Another service that speaks OSV's API.")
@click.option("--index", metavar="URL", envvar="AIRBAG_INDEX", help="Another package index.")
@click.option("--patience", type=float, help="Seconds for each service; 12, or 300 with --strict.")
def main(
    strict: bool,
    lock: Path,
    not_shipped: bool,
    accepted: Path,
    osv_url: str | None,
    index: str | None,
    patience: float | None,
) -> None:
    """Check licences, hashes and bounds, and ask for known vulnerabilities and withdrawn versions."""
    today = datetime.now(UTC).date()
    entries = read_lock(lock)
    words, problems = words_of_acceptance(accepted, today)
    problems += problems_of_lock(lock.name, entries)
    problems += problems_of_licences(entries) if not not_shipped else []
    problems += problems_of_ranges(HERE.parent / "pyproject.toml")
    wait = patience or (300.0 if strict else 12.0)
    asked: dict[str, Callable[[], list[str]]] = {
        "known vulnerabilities": lambda: judged(vulnerabilities(lock, osv_url, wait), words),
        "withdrawn versions": lambda: withdrawn(lock, index, wait),
    }
    unasked = 0
    with ThreadPoolExecutor() as pool:
        answers = {what: pool.submit(ask) for what, ask in asked.items()}
    for what, answer in answers.items():
        try:
            problems += answer.result()
        except Unanswered as error:
            unasked += 1
            click.echo(f"airbag: {lock.name} was not checked for {what}: {error}", err=True)
    for problem in problems:
        click.echo(f"airbag: {problem}", err=True)
    if problems or (strict and unasked):
        sys.exit(1)
    checked = "all checks" if not unasked else "what could be checked"
    click.echo(f"{lock.name}: {len(entries)} packages passed {checked}")


if __name__ == "__main__":
    main()
