"""The version stands in one place. What must repeat it says the same."""

from __future__ import annotations

import re
import subprocess
import tomllib

from airbag import __version__
from tests.fakes.binaries import ROOT

REPEATS = re.compile(
    r"\btfs-airbag(?:-[a-z]+)?(?:[:@=]{1,2}|-)v?(\d+\.\d+\.\d+[\w.]*)|\btfs_airbag-(\d+\.\d+\.\d+[\w.]*)"
)


def tracked() -> list[str]:
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_every_image_tag_and_file_name_has_this_version() -> None:
    found = dict[str, set[str]]()
    for name in tracked():
        path = ROOT / name
        if path.suffix not in {".lock", ".png", ".parquet", ".gz"} and path.is_file() and not name.startswith("tests/"):
            versions = {one or other for one, other in REPEATS.findall(path.read_text(errors="replace"))}
            if versions:
                found[name] = versions
    assert "docker-compose.yml" in found
    assert {name: versions for name, versions in found.items() if versions != {__version__}} == {}


def test_the_build_reads_the_version_and_has_none_of_its_own() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in about["project"]["dynamic"]
    assert about["tool"]["hatch"]["version"] == {"path": "airbag/__init__.py"}
    words = ["make", "--eval", "tell: ; @echo $(VERSION)", "tell"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert told.stdout.strip() == __version__


def test_nothing_else_in_the_four_packages_writes_the_version() -> None:
    literal = re.compile(rf"""["']v?{re.escape(__version__)}["']""")
    folders = ("airbag/", "exporters/", "alertmanager/", "demo/")
    sources = [ROOT / name for name in tracked() if name.endswith(".py") and name.startswith(folders)]
    found = [path for path in sources if path.is_file() and literal.search(path.read_text())]
    assert found == [ROOT / "airbag" / "__init__.py"]


def test_the_changelog_begins_with_this_version() -> None:
    heads = re.findall(r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0][0] == __version__
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", heads[0][1])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for _, day in heads[1:])
