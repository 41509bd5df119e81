"""Failpoints: off means off, and a process dies exactly where it was told to."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airbag.errors import ConfigError
from airbag_rollback import failpoints
from tests.fakes.binaries import ROOT

PROGRAM = """
import os, sys
from airbag_rollback import failpoints
failpoints.arm(os.environ)
for place in sys.argv[1:]:
    failpoints.reached(place)
print("done")
"""


def walk(*places: str, failpoint: str | None = None) -> subprocess.CompletedProcess[str]:
    """A process that comes by the places in order."""
    environment = {name: value for name, value in os.environ.items() if name != failpoints.VARIABLE}
    if failpoint is not None:
        environment[failpoints.VARIABLE] = failpoint
    command = [sys.executable, "-c", PROGRAM, *places]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm({})


def test_without_the_variable_no_place_is_one(tmp_path: Path) -> None:
    done = walk("one", "two")
    assert (done.returncode, done.stdout) == (0, "done\n")
    failpoints.arm({failpoints.VARIABLE: f"record:{tmp_path / 'reached'}"})
    failpoints.reached("one")
    failpoints.arm({})
    failpoints.reached("two")
    assert (tmp_path / "reached").read_text() == "MainThread: one\n"


@pytest.mark.parametrize(
    ("wish", "places", "dies"),
    [
        ("kill:MainThread: one", ("one",), True),
        ("kill:MainThread: one", ("two",), False),
        ("kill:worker: one", ("one",), False),
        ("kill:*: one", ("one",), True),
        ("kill:MainThread: one|MainThread: one", ("one", "two"), False),
        ("kill:MainThread: one|MainThread: one", ("one", "two", "one"), True),
        ("kill:MainThread: two|MainThread: one", ("one", "two"), False),
        ("kill:MainThread: two|MainThread: one", ("one", "two", "three", "one"), True),
    ],
)
def test_the_process_is_killed_at_the_last_of_the_places_and_nowhere_else(
    wish: str, places: tuple[str, ...], dies: bool
) -> None:
    done = walk(*places, failpoint=wish)
    assert (done.returncode, done.stdout) == ((-signal.SIGKILL, "") if dies else (0, "done\n"))


def test_what_was_reached_before_a_death_is_written_down(tmp_path: Path) -> None:
    walk("one", "two", failpoint=f"record:{tmp_path / 'reached'}")
    assert (tmp_path / "reached").read_text().splitlines() == ["MainThread: one", "MainThread: two"]


def test_threads_of_a_pool_are_one(tmp_path: Path) -> None:
    failpoints.arm({failpoints.VARIABLE: f"record:{tmp_path / 'reached'}"})
    with ThreadPoolExecutor(1, thread_name_prefix="hand") as pool:
        pool.submit(failpoints.reached, "one").result()
    assert (tmp_path / "reached").read_text() == "hand: one\n"


@pytest.mark.parametrize("wish", ["kill", "kill:", "record:", "crash:here"])
def test_a_wish_that_means_nothing_stops_the_start(wish: str) -> None:
    with pytest.raises(ConfigError, match="is no failpoint"):
        failpoints.arm({failpoints.VARIABLE: wish})


def test_every_commit_goes_by_a_failpoint_before_and_after() -> None:
    """Whatever commits, by itself or by the one call for it, stands between two of them: no write can be forgotten."""
    found = []
    for path in sorted((ROOT / "alertmanager" / "airbag_rollback").rglob("*.py")):
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name != "_commit":
                found += [(path.name, lines, each.lineno) for each in ast.walk(node) if _commits(each)]
    assert sorted({name for name, _, _ in found}) == ["database.py", "postgresql.py", "sqlite.py"]
    for name, lines, number in found:
        assert "before the commit of" in lines[number - 2], (name, number)
        assert any("after the commit of" in line for line in lines[number : number + 10]), (name, number)


def _commits(node: ast.AST) -> bool:
    by_name = isinstance(node, ast.Attribute) and node.attr == "_commit"
    return by_name or (isinstance(node, ast.Constant) and node.value == "COMMIT")
