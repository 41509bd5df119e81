"""The closing timeline."""

from __future__ import annotations

import dataclasses

from rich.console import Console

from airbag_demo.report import Report
from airbag_demo.view import summary, timeline

REPORT = Report(
    fault="errors", from_version=2, to_version=3, first_bad_at=100.0, alert_at=104.0, received_at=104.1,
    decided_at=104.2, acted_at=104.4, available_at=105.5, first_good_at=105.0, recovered_seconds=5.0,
    requests_total=2400, requests_lost=0, accuracy_before=0.966, accuracy_bad=0.01, accuracy_after=0.966,
    outcome="recovered",
)  # fmt: skip


def shown(report: Report) -> list[list[str]]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(timeline(report))
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines() if "│" in line]


def test_stages_stand_in_the_order_in_which_they_happened_with_seconds() -> None:
    assert shown(REPORT) == [
        ["first bad response", "0.00 s", "+0.00 s"],
        ["alert fires", "4.00 s", "+4.00 s"],
        ["receiver has it on disk", "4.10 s", "+0.10 s"],
        ["decision to roll back", "4.20 s", "+0.10 s"],
        ["configuration written, server told", "4.40 s", "+0.20 s"],
        ["first good response", "5.00 s", "+0.60 s"],
        ["switch verified on the server", "5.50 s", "+0.50 s"],
    ]


def test_a_stage_that_was_never_reached_is_shown_as_such() -> None:
    rows = shown(dataclasses.replace(REPORT, acted_at=None, available_at=None, outcome="nobody was told"))
    assert rows[-2:] == [["configuration written, server told", "-", "-"], ["switch verified on the server", "-", "-"]]


def test_a_version_that_never_loads_starts_with_its_release_and_has_no_bad_answers() -> None:
    rows = shown(dataclasses.replace(REPORT, fault="load", first_good_at=105.5))
    assert rows[0][0] == "bad version released"
    assert not any("response" in row[0] for row in rows)


def test_the_summary_says_the_numbers_in_one_line() -> None:
    assert summary(REPORT) == ("version 3 -> 2 in 5.0 s; 0 of 2400 requests lost; accuracy 96.6% -> 1.0% -> 96.6%")
    never = dataclasses.replace(REPORT, recovered_seconds=None, accuracy_bad=None)
    assert "-> 2 never" in summary(never)
    assert "96.6% -> - -> 96.6%" in summary(never)
