"""The lines of the page: everything that can be foreseen is there at 0, and only what changed is rendered anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving import families
from airbag_exporters.serving.attribution import Increase
from airbag_exporters.serving.native import Requests
from airbag_exporters.serving.page import ModelFacts, TargetPage
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.totals import EDGES, STATUSES, Totals
from tests.exporters.lines import requests, samples, value
from tests.exporters.native_page import histogram

FACTS = ModelFacts("m", (VersionStatus(2, State.AVAILABLE), VersionStatus(1, State.END, "NOT_FOUND")), ((2, True),), 2)


def state(page: TargetPage, totals: Totals, facts: ModelFacts = FACTS, owners: Sequence[str] = ("2",)) -> TargetState:
    return TargetState(polled_at=1.0, lines=page.render([(facts, owners)], totals))


def test_every_owner_starts_with_all_that_can_be_foreseen_at_0() -> None:
    found = samples(state(TargetPage("main", "a"), Totals(), owners=("2", "switching")))
    count = Counter((name, dict(labels)["model_version"]) for name, labels in found if "model_version" in dict(labels))
    for owner in ("2", "switching"):
        assert count["airbag_tfs_requests_total", owner] == len(STATUSES) == 17
        assert count["airbag_tfs_request_duration_seconds_bucket", owner] == 2 * len(EDGES)
        assert count["airbag_tfs_request_duration_seconds_count", owner] == 2
    zeros = {
        v for (name, _), v in found.items() if name.startswith(("airbag_tfs_req", "airbag_tfs_a", "airbag_tfs_slow"))
    }
    assert zeros == {0}


def test_what_changes_shows_and_what_does_not_stays_the_same_object() -> None:
    page, totals = TargetPage("main", "a"), Totals()
    first = state(page, totals, owners=("1", "2"))
    totals.add([Increase(Requests("m", "OK"), "2", 3)], {"m": 0.1})
    second = state(page, totals, owners=("1", "2"))
    assert requests(first, "2") == 0
    assert requests(second, "2") == 3
    before, after = (each.lines[families.REQUESTS] for each in (first, second))
    assert before[0] is after[0]  # version 1
    assert first.lines[families.STATE][0] is second.lines[families.STATE][0]


def test_a_changed_fact_shows() -> None:
    page, totals = TargetPage("main", "a"), Totals()
    state(page, totals)
    gone = state(page, totals, ModelFacts("m", (VersionStatus(2, State.END),)))
    assert value(gone, "airbag_tfs_model_version_state", model_version="2", state="END") == 1
    assert value(gone, "airbag_tfs_default_version") is None
    assert value(gone, "airbag_tfs_model_version_error") is None


def test_a_status_and_a_way_in_that_no_table_has_show_once_they_count() -> None:
    page, totals = TargetPage("main", "a"), Totals()
    totals.add([Increase(Requests("m", "NEWCODE"), "2", 3)], {"m": 0.1})
    totals.add([Increase(b, "2", n) for b, n in histogram("m", "Classify", "GRPC", [1.0, 2.0]).items()], {"m": 0.1})
    shown = state(page, totals)
    assert requests(shown, "2", status="other") == 3
    assert value(shown, "airbag_tfs_request_duration_seconds_count", api="Classify") == 2


def test_what_nobody_lists_counts_as_other() -> None:
    totals = Totals()
    totals.add([Increase(Requests("nobody", "OK"), "multiple", 3)], {})
    shown = state(TargetPage("main", "a"), totals)
    assert requests(shown, "multiple", model="other") == 3


def test_a_name_with_every_strange_character_is_one_label_value() -> None:
    strange = 'a"b\\c\nd}e'
    lines = TargetPage("main", strange).render([(FACTS, ("2",))], Totals())
    page = "".join(text for texts in lines.values() for text in texts)
    targets = {s.labels["target"] for f in text_string_to_metric_families(page) for s in f.samples}
    assert targets == {strange}
