"""Nothing can be taken out of the rules unseen: without any one thing, the case of its alert fails.

Each alert is tried without itself, without each label and annotation, and without its `for`. What the cases say of
other things is left out, so that all of this takes one run of promtool. Records that are only steps on the way to what
the cases name are taken away too.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import shipped
from tests.prometheus.mutants import rested_on, unnoticed_mutants
from tests.prometheus.records.promtool import verify
from tests.prometheus.test_records import CASES, built


def _id(rule: dict[str, Any]) -> str:
    return "-".join([rule["alert"], *map(str, rule["labels"].values())])


@pytest.mark.parametrize("alert", shipped.alert_rules(), ids=_id)
def test_a_case_notices_when_anything_of_its_alert_is_missing(alert: dict[str, Any], tmp_path: Path) -> None:
    """The alert as it is, is what alone may come out as the case says."""
    assert unnoticed_mutants(alert, tmp_path) == {"nothing"}


def _family(record: str) -> str:
    return re.sub(r"(?<=[a-z_])\d+[smhd]$", "", record)


def _steps() -> dict[str, str]:
    """One record of each family that no case of records names, and the case that rests on it."""
    records = {rule["record"]: rule for rule in shipped.rules() if "record" in rule}
    told = {name: {sample.record for sample in built(name).expected} for name in CASES}
    known = {_family(record) for expected in told.values() for record in expected}
    rested = {name: rested_on(expected, records) for name, expected in told.items()}
    found: dict[str, tuple[str, str]] = {}
    for record in records:
        case = next((name for name in told if record in rested[name]), "no case")
        if _family(record) not in known and found.get(_family(record), ("", "no case"))[1] == "no case":
            found[_family(record)] = record, case
    return dict(found.values())


STEPS = _steps()


@pytest.mark.parametrize("record", STEPS)
def test_a_case_notices_when_a_record_on_the_way_is_missing(record: str, tmp_path: Path) -> None:
    """Those that a case names are missed by it, and those that an alert rests on by the alert's."""
    assert STEPS[record] in CASES, f"nothing that is tested rests on {record}"
    case = built(STEPS[record])
    rules = tmp_path / "rules"
    rules.mkdir()
    records = {rule["record"]: rule for rule in shipped.rules() if "record" in rule}
    kept = rested_on({sample.record for sample in case.expected}, records) - {record}
    for number, group in enumerate(shipped.group_documents()):
        left = [rule for rule in group["rules"] if rule.get("record") in kept]
        (rules / f"{number:02}.yml").write_text(json.dumps({"groups": [{**group, "rules": left}]}))
    with pytest.raises(pytest.fail.Exception, match="FAILED"):
        verify(replace(case, files="*.yml"), tmp_path, rules)
