"""Nothing can be taken out of the rules unseen: without any one thing, the case of its alert fails.

Each alert is tried without itself, without each label and annotation, and without its `for`. What the cases say of
other things is left out, so that all of this takes one run of promtool.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import shipped
from tests.prometheus.mutants import unnoticed_mutants


def _id(rule: dict[str, Any]) -> str:
    return "-".join([rule["alert"], *map(str, rule["labels"].values())])


@pytest.mark.parametrize("alert", shipped.alert_rules(), ids=_id)
def test_a_case_notices_when_anything_of_its_alert_is_missing(alert: dict[str, Any], tmp_path: Path) -> None:
    """The alert as it is, is what alone may come out as the case says."""
    assert unnoticed_mutants(alert, tmp_path) == {"nothing"}
