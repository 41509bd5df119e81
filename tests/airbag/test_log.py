"""Structured logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from airbag import log


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_logfmt_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("info", "logfmt")
    logging.getLogger("airbag.x").warning("load\nfailed", extra={"model_name": 'a "b"', "seconds": 0.25, "empty": ""})
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("ts=20")
    assert line.endswith(r'level=warn component=airbag.x msg="load\nfailed" model_name="a \"b\"" seconds=0.25 empty=""')


def test_json_lines_hold_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("info", "json")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("airbag.x").exception("it broke", extra={"model_version": 3})
    record = json.loads(capsys.readouterr().err)
    assert record["level"] == "error"
    assert record["msg"] == "it broke"
    assert record["model_version"] == 3
    assert "ValueError: invalid literal" in record["error"]


def test_records_under_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("warn")
    logging.getLogger("airbag.x").info("quiet")
    assert capsys.readouterr().err == ""


def test_a_complaint_that_comes_again_and_again_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    complaints = log.Complaints(logging.getLogger("airbag.x"), every=60.0, monotonic=lambda: now)

    def told() -> list[tuple[str, str, int]]:
        found = [(each.getMessage(), vars(each)["reason"], vars(each).get("repeated", 0)) for each in caplog.records]
        caplog.clear()
        return found

    complaints.warn("the outbox cannot be worked", OSError("away"))
    assert told() == [("the outbox cannot be worked", "away", 0)]
    now = 159.9
    complaints.warn("the outbox cannot be worked", "away since 100")
    complaints.warn("the outbox cannot be worked", "away since 100")
    complaints.warn("files are not read", "away")
    assert told() == [("files are not read", "away", 0)]
    now = 160.0
    complaints.warn("the outbox cannot be worked", "refused")
    assert told() == [("the outbox cannot be worked", "refused", 2)]
    now = 230.0
    complaints.warn("the outbox cannot be worked", "refused")
    assert told() == [("the outbox cannot be worked", "refused", 0)]
