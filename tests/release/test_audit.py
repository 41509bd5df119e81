"""`make audit`: what stops a release, what an exception is worth, and what it says when nobody can be asked."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from requirements.audit import (
    HERE,
    problems_of_licences,
    problems_of_lock,
    problems_of_ranges,
    words_of_acceptance,
)
from requirements.licences import licence, refused
from requirements.lock import Locked, read_lock
from tests.fakes.binaries import ROOT
from tests.fakes.ports import free_port
from tests.release.services import index, osv, sha256, vulnerability

BAD = {("requests", "2.31.0"): [vulnerability("PYSEC-1", "CVE-2024-35195", package="requests", fixed="2.32.0")]}
TODAY = datetime.now(UTC).date()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "base.lock"
    path.write_text(f"requests==2.31.0 \\\n    --hash=sha256:{sha256('requests', '2.31.0')}\n    # via tfs-airbag\n")
    return path


def audit(lock: Path, osv_url: str, index_url: str, *flags: str) -> tuple[int, str]:
    """Exit status, and all that was said."""
    words = [sys.executable, "-m", "requirements.audit", f"--lock={lock}", "--patience=100", *flags]
    urls = {"AIRBAG_OSV_URL": osv_url, "AIRBAG_INDEX": index_url, "UV_NO_CACHE": "1"}
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **urls}, capture_output=True, text=True, timeout=220)
    return done.returncode, done.stdout + done.stderr


def accept(folder: Path, **changed: str) -> str:
    """The flag for a file that accepts the known vulnerability."""
    word = {"id": "CVE-2024-35195", "package": "requests", "reason": "sessions are never used with verify=False",
            "until": str(TODAY), **changed}  # fmt: skip
    path = folder / "accepted.yml"
    path.write_text("- {" + ", ".join(f"{key}: {value}" for key, value in word.items()) + "}\n")
    return f"--accepted={path}"


def test_a_lock_that_nobody_knows_anything_bad_of_passes_also_for_a_release(lock: Path) -> None:
    with osv({}) as advisories, index("requests", "2.31.0") as packages:
        status, told = audit(lock, advisories, packages, "--strict")
    assert (status, told) == (0, "base.lock: 1 packages passed all checks\n")


def test_a_known_vulnerability_stops_it_and_says_what_mends_it(lock: Path) -> None:
    with osv(BAD) as advisories, index("requests", "2.31.0") as packages:
        status, told = audit(lock, advisories, packages)
    assert (status, told) == (1, "airbag: requests 2.31.0 has PYSEC-1 = CVE-2024-35195; fixed in 2.32.0\n")


def test_one_that_was_accepted_with_a_reason_passes_until_its_last_day(lock: Path, tmp_path: Path) -> None:
    with osv(BAD) as advisories, index("requests", "2.31.0") as packages:
        status, told = audit(lock, advisories, packages, accept(tmp_path), "--strict")
        assert status == 0, told
        over = str(TODAY - timedelta(days=1))
        status, told = audit(lock, advisories, packages, accept(tmp_path, until=over))
        assert status == 1
        assert told == f"airbag: accepted.yml: CVE-2024-35195 of requests was accepted until {over}; look again\n"


def test_an_acceptance_that_concerns_nothing_any_more_is_taken_out(lock: Path, tmp_path: Path) -> None:
    with osv({}) as advisories, index("requests", "2.31.0") as packages:
        status, told = audit(lock, advisories, packages, accept(tmp_path))
    assert status == 1
    assert "CVE-2024-35195 concerns no locked version of requests; take it out" in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"until": str(TODAY + timedelta(days=400))}, "half a year is the most"),
        ({"reason": "harmless"}, "at least 20 characters"),
        ({"until": "soon"}, "valid date"),
        ({"untill": "2030-01-01"}, "untill"),
    ],
    ids=["too far", "no reason", "no date", "unknown key"],
)
def test_an_acceptance_needs_a_reason_and_a_near_day(changed: dict[str, str], told: str, tmp_path: Path) -> None:
    path = Path(accept(tmp_path, **changed).partition("=")[2])
    [problem] = words_of_acceptance(path, TODAY)[1]
    assert told in problem


def test_a_version_that_its_authors_withdrew_stops_it(lock: Path) -> None:
    with osv({}) as advisories, index("requests", "2.31.0", yanked="breaks proxies") as packages:
        status, told = audit(lock, advisories, packages)
    assert (status, told) == (1, "airbag: requests==2.31.0 was withdrawn by its authors: breaks proxies\n")


def test_services_that_cannot_be_asked_are_named_and_stop_only_a_release(lock: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    status, told = audit(lock, f"{nobody}/v1/query", f"{nobody}/simple/")
    first, second, last = told.splitlines()
    assert (status, first) == (0, "base.lock: 1 packages passed what could be checked")
    assert second == "airbag: base.lock was not checked for known vulnerabilities: 127.0.0.1 cannot be reached"
    assert last.startswith("airbag: base.lock was not checked for withdrawn versions: ")
    assert audit(lock, f"{nobody}/v1/query", f"{nobody}/simple/", "--strict")[0] == 1


def test_a_service_that_fails_has_not_said_that_all_is_well(lock: Path) -> None:
    with osv({}, status=500) as advisories, index("requests", "2.31.0") as packages:
        status, told = audit(lock, advisories, packages, "--strict")
    assert status == 1
    assert "was not checked for known vulnerabilities" in told


def test_a_locked_file_without_its_hash_stops_it(lock: Path) -> None:
    lock.write_text("requests==2.31.0\n")
    assert list(problems_of_lock("base.lock", read_lock(lock))) == ["base.lock: requests 2.31.0 has no sha256"]
    lock.write_text("requests>=2.31.0\n")
    with pytest.raises(ValueError, match="should be NAME==VERSION"):
        read_lock(lock)


def test_a_package_that_is_not_here_or_names_no_licence_that_is_allowed_stops_it(tmp_path: Path) -> None:
    entries = [Locked("nosuchpackage", "1", (), applies=True), Locked("notforus", "1", (), applies=False)]
    [problem] = problems_of_licences(entries)
    assert problem.startswith("nosuchpackage is not installed")


@pytest.mark.parametrize("name", ["base", "demo", "dev", "dvc", "proto"])
def test_every_entry_of_every_lock_has_its_hashes(name: str) -> None:
    path = HERE / f"{name}.lock"
    entries = read_lock(path)
    assert [each.name for each in entries if not each.hashes] == []
    lines = path.read_text().splitlines()
    assert len(entries) == sum(not line.startswith((" ", "#")) for line in lines)
    assert sum(len(each.hashes) for each in entries) == path.read_text().count("--hash=")


@pytest.mark.parametrize(
    ("expression", "bad"),
    [
        ("MIT", []),
        ("Apache-2.0 OR BSD-2-Clause", []),
        ("MIT AND (GPL-3.0-only OR Zlib)", ["GPL-3.0-only"]),
        ("SSPL-1.0", ["SSPL-1.0"]),
    ],
    ids=["one", "a choice", "a part of it", "none"],
)
def test_a_licence_is_allowed_when_all_its_parts_are(expression: str, bad: list[str]) -> None:
    assert refused(expression) == bad


def test_a_package_s_licence_is_read_from_what_it_declares_in_new_and_old_metadata() -> None:
    assert licence("click") == "BSD-3-Clause"
    assert licence("requests") == "Apache-2.0"
    assert licence("jinja2") == "BSD-3-Clause"


def test_a_requirement_without_a_lowest_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        '[project]\ndependencies = ["a>=1", "b<2"]\n[project.optional-dependencies]\nx = ["c"]\ndev = ["d"]\n'
    )
    assert list(problems_of_ranges(path)) == [
        "pyproject.toml: `b<2` says no lowest version",
        "pyproject.toml: `c` says no lowest version",
    ]
    assert list(problems_of_ranges(ROOT / "pyproject.toml")) == []
