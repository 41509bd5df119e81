"""The templates' pieces, rendered by amtool on what Alertmanager hands them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.binaries import ROOT, run

TEMPLATES = ROOT / "alertmanager" / "templates" / "*.tmpl"
PLACE = {"serving": "main", "model_name": "digits", "model_version": "3"}
TITLES = {
    "AirbagErrorRatioHigh, digits version 3 on main": {"alertname": "AirbagErrorRatioHigh", **PLACE},
    "AirbagErrorBudgetBurn, digits on main": {
        "alertname": "AirbagErrorBudgetBurn", "serving": "main", "model_name": "digits",
    },
    "AirbagServingDown, tf-serving on main": {
        "alertname": "AirbagServingDown", "serving": "main", "target": "tf-serving",
    },
    "AirbagPipelineSyncDelayed, orders": {"alertname": "AirbagPipelineSyncDelayed", "pipeline": "orders"},
    "AirbagExporterDown, quality at host:9811": {
        "alertname": "AirbagExporterDown", "job": "quality", "instance": "host:9811",
    },
    "Airbag on main": {"serving": "main"},
    "Airbag": {},
}  # fmt: skip
DOES = [
    ({"alertname": "AirbagErrorRatioHigh", "airbag_action": "rollback"}, "Airbag judges it now; the outcome follows."),
    ({"alertname": "AirbagRollbackSucceeded"}, "Airbag has put the last good version back."),
    ({"alertname": "AirbagRollbackSuppressed"}, "Airbag has changed nothing."),
    ({"alertname": "AirbagRollbackNeedsHuman"}, "Airbag does nothing more about this release; it is yours."),
    ({"alertname": "AirbagRollbackFailed"}, "Airbag could not go back and has changed nothing; it is yours."),
    ({"alertname": "AirbagServingDown"}, "Airbag does nothing about it by itself."),
    ({}, "Airbag does nothing about it by itself."),
]


def alert(labels: dict[str, str], status: str = "firing") -> dict[str, Any]:
    return {
        "status": status, "labels": labels, "annotations": {"summary": "Something."},
        "startsAt": "2026-01-02T03:04:05Z", "endsAt": "2026-01-02T03:14:05Z",
    }  # fmt: skip


@pytest.fixture
def rendered(tmp_path: Path) -> Any:
    """Renders a template on a message that has those alerts and common labels."""

    def render(template: str, common: dict[str, str], *alerts: dict[str, Any]) -> str:
        data = {
            "status": "firing", "alerts": list(alerts or [alert(common)]), "commonLabels": common, "groupLabels": {},
            "commonAnnotations": {}, "externalURL": "http://am",
        }  # fmt: skip
        path = tmp_path / "data.json"
        path.write_text(json.dumps(data))
        text = f'{{{{ template "{template}" . }}}}'
        flags = (f"--template.glob={TEMPLATES}", f"--template.data={path}", f"--template.text={text}")
        return run("amtool", "template", "render", *flags)

    return render


@pytest.mark.parametrize("title", TITLES)
def test_a_title_says_what_and_where(title: str, rendered: Any) -> None:
    labels = TITLES[title]
    assert rendered("airbag.title", labels) == f"[FIRING:1] {title}"
    assert rendered("airbag.title", labels, alert(labels, "resolved")) == f"[RESOLVED:1] {title}"


def test_a_title_counts_what_fires(rendered: Any) -> None:
    three = (alert({"n": "1"}), alert({"n": "2"}), alert({"n": "3"}, "resolved"))
    assert rendered("airbag.title", {"serving": "main"}, *three) == "[FIRING:2] Airbag on main"
    outcome = {"alertname": "AirbagRollbackSucceeded", **PLACE}
    assert rendered("airbag.title", outcome) == "[OUTCOME] AirbagRollbackSucceeded, digits version 3 on main"


@pytest.mark.parametrize("template", ["airbag.text", "airbag.slack.text"])
@pytest.mark.parametrize(("labels", "does"), DOES, ids=[str(labels.get("alertname")) for labels, _ in DOES])
def test_a_text_says_whether_the_reader_has_to_act(
    labels: dict[str, str], does: str, template: str, rendered: Any
) -> None:
    assert does in rendered(template, labels).splitlines()


@pytest.mark.parametrize("template", ["airbag.text", "airbag.slack.text"])
def test_what_fires_stands_before_what_passed(template: str, rendered: Any) -> None:
    said = rendered(template, {}, *(alert({"alertname": f"A{n}"}, "firing" if n % 2 else "resolved") for n in range(4)))
    order = [said.index(name) for name in ("A1", "A3", "A0 no longer fires", "A2 no longer fires")]
    assert order == sorted(order)
    first, second, passed = said.split("\n\n")
    assert "A1" in first
    assert "A3" in second
    assert passed.count("\n") == 1


@pytest.mark.parametrize("severity", ["critical", "warning", "info", "loud", ""])
def test_pagerduty_gets_only_severities_that_it_knows(severity: str, rendered: Any) -> None:
    known = severity if severity in {"critical", "warning", "info"} else "error"
    assert rendered("airbag.pagerduty.severity", {"severity": severity} if severity else {}) == known


def test_a_link_names_exactly_the_labels_whatever_they_hold(rendered: Any) -> None:
    said = rendered("airbag.link", {"severity": "critical", "airbag_action": "rollback", "a": 'x "y"+\\', "b": "1"})
    assert said == "http://am/#/alerts?filter=%7Ba%3D%22x%20%5C%22y%5C%22%2B%5C%5C%22%2Cb%3D%221%22%7D"
