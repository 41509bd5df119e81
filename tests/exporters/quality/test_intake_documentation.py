"""What docs/quality-intake.md shows is what works."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airbag.config import parse
from airbag_exporters.config import ExportersConfig, Limits
from airbag_exporters.quality.client import QualityClient
from airbag_exporters.quality.decode.events import FIELDS
from airbag_exporters.quality.intake import Intake, Reason
from airbag_exporters.quality.intake.openapi import document
from tests.exporters.quality.counting_taker import CountingTaker
from tests.exporters.quality.intake_server import served
from tests.fakes.binaries import ROOT

TEXT = (ROOT / "docs" / "quality-intake.md").read_text()
CONFIG, LIMITS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
ADDRESS = "http://127.0.0.1:9811"


def test_the_commands_work_one_after_the_other() -> None:
    taker = CountingTaker(CONFIG)
    assert len(COMMANDS) == 3
    with served(taker) as at:
        for command in COMMANDS:
            shell = ["sh", "-c", command.replace(ADDRESS, at.url)]
            done = subprocess.run(shell, capture_output=True, text=True, timeout=60)
            assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"accepted": 2}, "")
    assert taker.ledger.pending() == 2  # of four predictions two got their labels


@pytest.mark.parametrize("program", PROGRAMS, ids=["client", "arrow"])
def test_the_programs_work(program: str) -> None:
    taker = CountingTaker(CONFIG)
    with served(taker) as at:
        command = [sys.executable, "-W", "error", "-c", program.replace(ADDRESS, at.url)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert at.value("airbag_quality_events_total", source="http", kind="predictions") in (1, 2)


def test_the_limits_are_those_that_hold_unless_configured() -> None:
    limits = yaml.safe_load(LIMITS)["quality"]["limits"]
    assert Limits(**limits | {"events_per_second": None}) == Limits()
    parse(CONFIG, ExportersConfig, source="docs", base=Path())


def test_every_path_status_reason_field_and_option_is_explained() -> None:
    for path in Intake.PATHS:
        assert f"`POST {path}`" in TEXT
    for status in document(Limits(), needs_token=True)["paths"]["/v1/labels"]["post"]["responses"]:
        assert re.search(rf"^\| .*\b{status}\b.* \|", TEXT, re.MULTILINE), status
    for word in (*Reason, *FIELDS):
        assert f"`{word}`" in TEXT, word
    for option in inspect.signature(QualityClient).parameters:
        assert option == "url" or f"`{option}`" in TEXT, option
