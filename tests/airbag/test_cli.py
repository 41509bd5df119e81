"""The `airbag` command as a user meets it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

from airbag.cli import COMMANDS


def airbag(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airbag", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_exists_under_its_name(name: str) -> None:
    command = getattr(importlib.import_module(COMMANDS[name][0]), name)
    assert isinstance(command, click.Command)
    assert command.name == name


def test_help_lists_every_command_with_a_sentence() -> None:
    text = airbag("--help").stdout
    for name, (_, sentence) in COMMANDS.items():
        assert f"{name} " in text
        assert sentence.split(",")[0] in " ".join(text.split())


def test_an_unknown_command_exits_2_and_a_bad_configuration_1_with_every_problem() -> None:
    assert airbag("nonsense").returncode == 2
    wrong = airbag("exporter", "serving", "--config.file=none.yml", "--config.check")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("airbag: none.yml: 1 problem\n")
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize("module", ["airbag.cli", "airbag_exporters.commands", "airbag_rollback.commands.receiver"])
def test_no_production_process_imports_tensorflow(module: str) -> None:
    code = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
