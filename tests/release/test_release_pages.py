"""The changelog and the pages about releases: their form, and that what they name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from airbag import cli
from requirements.accepted import read_accepted
from tests.fakes.binaries import ROOT

LINE = re.compile(r"- \[(CHANGE|FEATURE|ENHANCEMENT|BUGFIX)\] [A-Za-z][\w .,/`-]*: \S.*")
PAGES = ("docs/upgrading.md", "docs/releasing.md")


def entries(text: str) -> list[str]:
    """The lines of a changelog, each with what continues it."""
    body = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    return [" ".join(each.split()) for each in re.split(r"^(?=- )", body, flags=re.MULTILINE) if each.strip()]


def test_every_line_of_the_changelog_says_its_kind_and_its_area() -> None:
    found = entries((ROOT / "CHANGELOG.md").read_text())
    assert len(found) > 100
    assert [each for each in found if not LINE.fullmatch(each)] == []


def blocks(page: str, language: str) -> str:
    return "\n".join(re.findall(rf"^ *```{language}\n(.*?)^ *```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_the_page_exists_with_its_flags(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = blocks(page, "sh") + " ".join(re.findall(r"`(make [^`]*)`", text))
    assert set(re.findall(r"\bmake ([a-z]+)\b", told)) <= targets
    lines = re.findall(r"^ *airbag ([^#\n]+)", blocks(page, "sh"), re.MULTILINE)
    for words in (re.sub(r'"[^"]*"', "TEXT", line).split() for line in lines):
        path = [word for word in words if word.islower() and not word.startswith("-") and "/" not in word]
        shown = CliRunner().invoke(cli.airbag, [*path, "--help"])
        assert shown.exit_code == 0, f"airbag {' '.join(path)}: {shown.output}"
        for flag in (word for word in words if word.startswith("--")):
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w.-])", shown.output), (
                f"{flag} of airbag {' '.join(path)}"
            )


def test_the_example_of_an_acceptance_is_one(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "releasing.md").read_text(), re.DOTALL)
    (tmp_path / "accepted.yml").write_text(text)
    assert [each.package for each in read_accepted(tmp_path / "accepted.yml")] == ["requests"]


@pytest.mark.parametrize(
    ("words", "flag"), [(("check",), False), (("audit", "STRICT=1"), True)], ids=["check", "release"]
)
def test_every_check_audits_and_a_release_strictly(words: tuple[str, ...], flag: bool) -> None:
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    [line] = [each for each in done.stdout.splitlines() if "requirements.audit" in each]
    assert ("--strict" in line) is flag
