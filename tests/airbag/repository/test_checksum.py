"""The checksum of a version, against coreutils."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from airbag.repository import Changed, File, checksum
from airbag.repository import checksum as module
from tests.fakes import saved_models

ROOT = Path(__file__).parents[3]


def recipe() -> str:
    """The line that the documentation gives."""
    [line] = re.findall(r"^\(?.*find -L .*$", (ROOT / "docs" / "repository.md").read_text(), re.MULTILINE)
    return str(line)


def shell(version: Path) -> str:
    command = recipe().replace("/models/digits/3", f"'{version}'")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()[0]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    path = saved_models.add_model(tmp_path, 1)
    (path / "assets").mkdir(exist_ok=True)
    for name in ("ü\n x", "a b", "a.b", "back\\slash", "-z"):
        (path / "assets" / name).write_text(name)
    (path / "assets" / "a").mkdir()
    (path / "assets" / "a" / "b").write_text("inside")
    (path / "empty").mkdir()
    return path


def test_coreutils_computes_the_same(version: Path) -> None:
    assert checksum(version, {}) == shell(version)


def test_links_count_as_what_they_lead_to(version: Path, tmp_path: Path) -> None:
    plain = checksum(version, {})
    (version / "variables").rename(tmp_path / "elsewhere")
    (version / "variables").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "2").symlink_to("1")
    assert checksum(tmp_path / "2", {}) == plain == shell(tmp_path / "2")


@pytest.mark.parametrize("change", ["content", "name", "file"])
def test_every_change_gives_another(version: Path, change: str) -> None:
    before = checksum(version, {})
    file = version / "assets" / "a b"
    if change == "content":
        file.write_text("A b")
    elif change == "name":
        file.rename(file.with_name("a c"))
    else:
        (version / "assets" / "new").write_text("")
    assert checksum(version, {}) != before


def test_files_that_did_not_change_are_not_read_again(version: Path) -> None:
    read: list[int] = []
    known: dict[File, str] = {}
    first = checksum(version, known, read=read.append)
    assert sum(read) == sum(file.size for file in known)
    read.clear()
    assert checksum(version, known, read=read.append) == first
    assert read == []
    (version / "assets" / "late").write_text("late")
    assert checksum(version, known, read=read.append) != first
    assert sum(read) == len("late")
    (version / "assets" / "late").unlink()
    assert checksum(version, known) == first
    assert "assets/late" not in {file.path for file in known}


def test_a_reading_that_was_given_up_goes_on_where_it_stood(version: Path) -> None:
    read: list[int] = []
    known: dict[File, str] = {}

    def give_up(size: int) -> None:
        read.append(size)
        if len(read) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        checksum(version, known, read=give_up)
    assert len(known) == 2
    assert checksum(version, known, read=give_up) == checksum(version, {})
    assert sum(read[:2] + read[3:]) == sum(file.size for file in known)


def test_a_version_that_changes_meanwhile_has_no_checksum(version: Path) -> None:
    def meddle(_size: int) -> None:
        (version / "meanwhile").write_text("x")

    with pytest.raises(Changed, match="changed while it was read"):
        checksum(version, {}, read=meddle)


def test_a_version_that_cannot_be_read_whole_has_no_checksum(version: Path) -> None:
    (version / "lost").symlink_to("nowhere")
    with pytest.raises(Changed, match="lost is a link to nothing"):
        checksum(version, {})


def test_the_module_and_the_documentation_give_the_same_line() -> None:
    assert "find -L . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum -z | sha256sum" in recipe()
    assert "find -L . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum -z | sha256sum" in (
        Path(module.__code__.co_filename).read_text()
    )
