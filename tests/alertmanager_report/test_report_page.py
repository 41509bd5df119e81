"""What a report says of every kind of incident, without any process around it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from airbag.rules import RuleSettings
from airbag_rollback.engine.states import State
from airbag_rollback.records import Action, Event
from airbag_rollback.replay.past import Run
from airbag_rollback.report import axis, draw, page
from airbag_rollback.report.acts import Acts, Pause, Told
from airbag_rollback.report.colours import of_versions
from airbag_rollback.report.incident import Incident, Kind, Mark
from airbag_rollback.report.panels import PANELS, filled
from airbag_rollback.report.past import Chart, Fired, Seen, Served, alerts
from airbag_rollback.report.sentences import summary
from airbag_rollback.report.units import SPOKEN, Unit, shown, since
from airbag_rollback.signals import SIGNALS
from tests.alertmanager_report.reading import charts, plain, rows, section

START = 1_700_000_000.0
HOSTILE = "</code></script><script>alert(1)</script><img src=x onerror=alert(1)>\" style='x' {{ 7*7 }} $x$ &amp;"
SOURCE = page.Source(START + 1000, "http://prometheus", "http://receiver")


def reading(what: str, value: float, at: float = 12) -> dict[str, object]:
    return {
        "what": what,
        "query": f"query of {what}",
        "asked_at": START + at,
        "outcome": "value",
        "value": value,
        "error": "",
    }


EVIDENCE = (
    reading("value of 3", 0.463), reading("threshold of 3", 0.05), reading("samples of 3", 512),
    reading("samples_min of 3", 20), reading("age of 3", 0.07),
    {"what": "target", "refused": [[1, "served 0 s, and proof takes 60 s"]]},
    reading("value of 2", 0.001, 20), reading("samples of 2", 300, 20), reading("age of 2", 0.1, 20),
    reading("other models that are bad", 0),
)  # fmt: skip
ACTION = Action(
    7, "k", "main", "digits", 3, 1, "AirbagErrorRatioHigh", State.SUCCEEDED, 9, START + 90, text="went back",
    target_version=2, alert_at=START + 11, received_at=START + 11.2, decided_at=START + 12, armed_at=START + 12.1,
    acted_at=START + 12.3, available_at=START + 13, recovered_at=START + 20, ended_at=START + 20, evidence=EVIDENCE,
)  # fmt: skip
UNTOUCHED = replace(ACTION, acted_at=None, available_at=None, recovered_at=None, armed_at=None)


def incident(*actions: Action, seen: Seen | None = None, **more: object) -> Incident:
    told = tuple(Told(each, (Event(START + 12, "RECEIVED", str(each.state), "bad", each.text),)) for each in actions)
    chart = Chart(
        PANELS[1], "q", "l", {"2": ((START, 0.01), (START + 1, 0.02)), "3": ((START + 9, 0.5),)}, ((START, 0.05),)
    )
    served = (
        Served("a", 2, START, START + 8),
        Served("a", 3, START + 8, START + 13),
        Served("a", 2, START + 13, START + 60),
    )
    seen = seen or Seen(
        (chart,), served, (Fired("AirbagErrorRatioHigh", "3", "critical", START + 9, START + 11, START + 20),)
    )
    return Incident("main", "digits", START, START + 60, seen, Acts(told), **more)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("state", sorted(State))
def test_every_state_has_its_page_and_its_sentence(state: State) -> None:
    for action in (ACTION, UNTOUCHED):
        found = incident(replace(action, state=state))
        html = page.html(found, draw.charts(found), SOURCE)
        assert plain(section(html, "What happened")).startswith(
            "Version 3 of digits on main was first seen answering 2023-11-14"
        )
        assert draw.picture(found, page.title(found), draw.told_of(found)).startswith(b"\x89PNG")


OUTCOMES = {
    "helped": (ACTION, "Version 2 served again 4.0 s after the first bad sign, and was proven good 11 s after it. It "
               "helped: on version 2, at least 0.1 % of its requests failed (5 % may fail, counted on 300 requests)."),
    "in vain": (replace(ACTION, state=State.NEEDS_HUMAN, recovered_at=None, text="2 is bad as well"),
                "after the first bad sign. It is not known to have helped: a person was called. 2 is bad as well."),
    "under way": (replace(ACTION, state=State.VERIFY_OUTCOME, recovered_at=None, ended_at=None, text="2 serves"),
                  "It is not over yet: 2 serves."),
    "suppressed": (replace(UNTOUCHED, state=State.SUPPRESSED, text="3 is good"),
                   "Nothing was touched (action 7): 3 is good."),
    "waits": (replace(UNTOUCHED, state=State.AWAITING_APPROVAL, ended_at=None, text="waits for approval"),
              "Action 7 has touched nothing so far: waits for approval."),
    "approved": (replace(ACTION, approved_by="olga", approved_at=START + 12.1),
                 "Airbag went from 3 back to 2 (action 7, approved by olga)."),
    "by order": (replace(ACTION, source="person", asked_by="olga", alertname="AirbagOrder"),
                 "By order of olga, Airbag went from 3 back to 2 (action 7)."),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_sentences_say_how_it_ended(name: str) -> None:
    action, said = OUTCOMES[name]
    [paragraph] = summary(incident(action))
    assert said in paragraph, paragraph


def test_a_release_that_prometheus_saw_after_the_exporter_s_own_alert_is_told() -> None:
    found = incident(ACTION)
    served = (
        Served("a", 2, START, START + 11),
        Served("a", 3, START + 12, START + 12),
        Served("a", 2, START + 13, START + 60),
    )
    [paragraph] = summary(replace(found, seen=replace(found.seen, served=served)))
    assert paragraph.startswith("Version 3 of digits on main was first seen answering 2023-11-14 22:13:32 UTC.")


def test_what_held_an_action_back_is_told_with_how_long() -> None:
    said = "the cool-down is 300 s"
    steps = [(0, "BLOCKED", "cool_down", f"{said}; would go back"), (20, "EVALUATING", "asked again", ""),
             (21, "BLOCKED", "cool_down", "the cool-down goes on"), (30, "BLOCKED", "no_data", "no answer"),
             (31, "PLANNED", "bad", "")]  # fmt: skip
    events = tuple(Event(START + at, "", after, reason, text) for at, after, reason, text in steps)
    found = incident(ACTION)
    [paragraph] = summary(replace(found, acts=Acts((Told(ACTION, events),))))
    assert f"For 29 s it was held back: {said}." in paragraph
    assert "no answer" not in paragraph


def test_two_actions_on_one_release_tell_of_it_once() -> None:
    other = replace(UNTOUCHED, id=8, alertname="AirbagLatencyHigh", state=State.BLOCKED, ended_at=None, text="waits")
    assert ["first seen answering" in each for each in summary(incident(ACTION, other))] == [True, False]


def test_why_no_other_version_and_what_it_rests_on_stand_there_with_their_units() -> None:
    html = page.html(incident(ACTION), {}, SOURCE)
    assert "1 served 0 s, and proof takes 60 s" in plain(section(html, "Why no other version"))
    assert "What else was asked (1) other models that are bad: 0" in plain(html)
    found = rows(section(html, "What it rests on"))
    assert found[0][:6] == [
        "3", "bad", "at least 46.3 % of its requests failed (5 % may fail, counted on 512 requests)", "512 of 20",
        "70 ms", "22:13:32.000",
    ]  # fmt: skip
    assert (found[1][0], found[1][1]) == ("2", "good")


def test_what_people_did_has_their_names_and_times() -> None:
    asked = replace(
        ACTION,
        source="person",
        asked_by="olga",
        asked_because="wrong prices",
        approved_by="anna",
        approved_at=START + 12,
    )
    found = incident(asked)
    found = replace(found, acts=replace(found.acts, pauses=(Pause(START + 30, "adam", "moving racks"),)))
    people = rows(section(page.html(found, {}, SOURCE), "What people did"))
    assert [(row[2], row[3]) for row in people] == [
        ("olga", "ordered a rollback (action 7): wrong prices"), ("anna", "approved action 7"),
        ("adam", "paused rollbacks: moving racks"),
    ]  # fmt: skip


def test_nothing_that_somebody_wrote_becomes_a_part_of_the_page() -> None:
    evidence = (reading(HOSTILE, 1), reading("value of 3", 1))
    action = replace(
        ACTION, text=HOSTILE, asked_by=HOSTILE, asked_because=HOSTILE, source="person", approved_by=HOSTILE,
        approved_at=START + 12, reason=HOSTILE, evidence=evidence,
    )  # fmt: skip
    found = incident(action)
    lines = {HOSTILE: ((START, 0.1), (START + 1, 0.1)), "$\\frac$": ((START, 0.1), (START + 1, 0.1))}
    seen = replace(
        found.seen, charts=(replace(found.seen.charts[0], lines=lines), Chart(PANELS[0], HOSTILE, "", {}, (), HOSTILE))
    )
    found = replace(found, seen=replace(seen, asked=(HOSTILE,)))
    html = page.html(found, draw.charts(found), replace(SOURCE, prometheus=HOSTILE))
    assert "<script" not in html
    assert "<img" not in html
    assert "49" not in plain(section(html, "What people did"))
    assert len(charts(html)) == 2


def test_bad_and_good_have_their_colours_and_no_two_others_the_same() -> None:
    assert of_versions(["1", "2", "3", "4"], bad=["3"], good=["2"]) == {
        "1": "other-1", "2": "good", "3": "bad", "4": "other-2",
    }  # fmt: skip


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    times, values = axis.with_gaps(((0, 1.0), (1, 1.0), (5, 2.0)), 1)
    assert (times, [math.isnan(value) for value in values]) == ([0, 1, 5, 5], [False, False, True, False])


def test_an_alert_is_one_from_its_first_sign_on_and_another_after_a_pause() -> None:
    labels = {"alertname": "A", "model_version": "3", "severity": "critical"}
    found = alerts(
        [Run({**labels, "alertstate": "firing"}, 1, 12, 20), Run({**labels, "alertstate": "pending"}, 1, 10, 11),
         Run({**labels, "alertstate": "pending"}, 1, 40, 41)], 1.0,
    )  # fmt: skip
    assert [(each.pending, each.firing, each.end) for each in found] == [(10, 12, 20), (40, None, 41)]


def test_the_first_bad_sign_is_that_of_the_action_and_not_of_an_alert_that_came_to_nothing() -> None:
    early = Fired("AirbagErrorRatioHigh", "3", "critical", START + 1, None, START + 2)
    found = incident(ACTION)
    found = replace(found, seen=replace(found.seen, fired=(early, *found.seen.fired)))
    assert found.sign.at == START + 9
    for fired in ((), (early,)):
        assert replace(found, seen=Seen(fired=fired)).sign.at == START + 11


def test_the_action_that_was_asked_for_gives_the_title_and_the_first_bad_sign() -> None:
    other = replace(ACTION, id=8, bad_version=4, target_version=3, alert_at=START + 40, received_at=START + 41)
    found = incident(ACTION, other, about=8)
    assert page.title(found) == "digits on main: from 4 back to 3"
    assert found.sign.at == START + 40
    assert incident(ACTION, other).sign.at == START + 9


def test_marks_do_not_write_over_each_other_and_the_last_ones_go_without_text() -> None:
    marks = [Mark(START + number / 10, Kind.ALERT, "AirbagErrorRatioHigh") for number in range(8)]
    assert [row for _, row in axis.placed(marks, START, START + 60)] == [0, 1, 2, 3, 4, -1, -1, -1]


def test_ticks_are_round_seconds_from_the_first_bad_sign_with_the_time_of_day() -> None:
    at, labels = axis.ticks(START, START + 60, START + 9)
    assert at == [START + 9 + 10 * number for number in range(6)]
    assert labels[:2] == ["22:13:29\n+0 s", "22:13:39\n+10 s"]
    for days in (2, 30, 3000):
        assert 1 < len(axis.ticks(START, START + 86_400 * days, START)[0]) <= 10


def test_numbers_are_written_with_their_unit_and_a_missing_one_is_no_0() -> None:
    assert [shown(0.0463, Unit.SHARE), shown(30, Unit.PER_SECOND)] == ["4.63 %", "30 /s"]
    assert [shown(0.25, Unit.SECONDS), shown(2.5, Unit.SECONDS)] == ["250 ms", "2.5 s"]
    assert shown(None, Unit.SHARE) == "not measured"
    assert [since(0), since(4.26), since(-30), since(150)] == ["+0 s", "+4.3 s", "\N{MINUS SIGN}30 s", "+2 min 30 s"]


def test_every_alert_that_a_machine_answers_has_its_words_and_every_limit_is_an_alert_s_own() -> None:
    assert set(SPOKEN) == set(SIGNALS)
    for panel in PANELS:
        ask = filled(panel, "main", "digits", RuleSettings())
        assert "$" not in ask.query + ask.limit
        assert not panel.alert or SIGNALS[panel.alert].threshold.split("{")[0] in ask.limit
