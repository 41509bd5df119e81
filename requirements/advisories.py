"""Known vulnerabilities and withdrawn versions: what only services know, asked through pip-audit and uv."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from requirements.accepted import Accepted

FURTHEST = timedelta(days=184)


class Unanswered(Exception):
    """The service could not be asked; whether there is a problem is not known."""


@dataclass(frozen=True)
class Vulnerability:
    """A known one of a version that the lock has. `ids` are its names, the first is the service's own."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {' and '.join(self.fixed_in)}" if self.fixed_in else "no version mends it"
        return f"{self.package} {self.version} has {' = '.join(self.ids)}; {fixed}"


def vulnerabilities(lock: Path, url: str | None, patience: float) -> list[Vulnerability]:
    """All that OSV, the public one or that at `url`, knows. Unanswered when any package could not be asked about."""
    where = ["--osv-url", url] if url else []
    words = ["pip-audit", "--vulnerability-service", "osv", *where, "--require-hashes", "--disable-pip", "--format",
             "json", "--progress-spinner", "off", "--timeout", "5", "--requirement", str(lock)]  # fmt: skip
    done = _run(words, patience)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unanswered(_reason(done.stderr)) from error
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if skipped or not packages:
        raise Unanswered(f"it says nothing of {', '.join(skipped) or 'any package'}")
    return [
        Vulnerability(each["name"], each["version"], (found["id"], *found["aliases"]), tuple(found["fix_versions"]))
        for each in packages
        for found in each["vulns"]
    ]


def judged(found: Iterable[Vulnerability], accepted: Iterable[Accepted]) -> list[str]:
    """What is wrong: vulnerabilities that nobody accepted, and words of acceptance that no longer hold."""
    known, accepted = list(found), list(accepted)
    problems = [str(each) for each in known if not any(_is_about(word, each) for word in accepted)]
    for word in accepted:
        if not any(_is_about(word, each) for each in known):
            problems.append(f"accepted.yml: {word.id} concerns no locked version of {word.package}; take it out")
    return problems


def outdated(accepted: Iterable[Accepted], today: date) -> list[str]:
    """Words of acceptance whose day is over, or too far ahead to be meant; this needs no network."""
    problems = []
    for word in accepted:
        if word.until < today:
            problems.append(f"accepted.yml: {word.id} of {word.package} was accepted until {word.until}; look again")
        elif word.until > today + FURTHEST:
            problems.append(f"accepted.yml: {word.id} of {word.package} is accepted until {word.until}; half a year is "
                            "the most")  # fmt: skip
    return problems


def _is_about(word: Accepted, found: Vulnerability) -> bool:
    return word.package == found.package and word.id in found.ids


def withdrawn(lock: Path, index: str | None, patience: float) -> list[str]:
    """Locked versions that the index has marked as yanked, or lost. Unanswered when it does not answer."""
    where = ["--default-index", index] if index else []
    with tempfile.TemporaryDirectory() as folder:
        done = _run(
            ["uv", "pip", "install", "--dry-run", "--no-deps", "--no-config", "--python", sys.executable, "--target",
             folder, "--require-hashes", *where, "--requirement", str(lock)],
            patience,
        )  # fmt: skip
    told = " ".join(done.stderr.split())
    yanked = re.findall(r"warning: `([^`]+)` is yanked(?: \(reason: \"(.*?)\"\))?", told)
    problems = [f"{what} was withdrawn by its authors{f': {why}' if why else ''}" for what, why in yanked]
    if done.returncode and not problems:
        raise Unanswered(_reason(done.stderr))
    return problems


def _run(words: Sequence[str], patience: float) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts"), words[0])
    if not program.exists():
        raise Unanswered(f"{words[0]} is not installed; run make lock and make check again")
    try:
        return subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unanswered(f"no answer within {patience:.0f} s") from error


def _reason(errors: str) -> str:
    """Why there is no answer, without the story around it."""
    if host := re.search(r"host='([^']+)'", errors):
        return f"{host[1]} cannot be reached"
    lines = [found for line in errors.splitlines() if (found := re.sub(r"^\W+", "", line))]
    return (lines[-1] if lines else "it says nothing")[:300]
