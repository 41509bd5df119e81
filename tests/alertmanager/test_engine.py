"""The engine: pure decisions over values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_rollback.engine import states
from airbag_rollback.engine.decide import Kind, Question, Situation, decide
from airbag_rollback.engine.guards import Held
from airbag_rollback.engine.states import Source, State
from airbag_rollback.engine.target import Candidate, Choice, Rules, choose
from airbag_rollback.engine.verdict import Bad, Measurement, Verdict, judge
from airbag_rollback.engine.world import World

BAD = Measurement(0.9, 0.05, 500, 20, 0.5)
GOOD = Measurement(0.01, 0.05, 500, 20, 0.5)
ASK = Question(
    mode="auto", now=1000.0, suspect=3, release_window=3600.0,
    situation=Situation(frozenset({3}), frozenset({2, 3}), 990.0), choice=Choice(2, ()), bad=Bad.ABOVE,
    measured=BAD, compares=True, baseline=GOOD,
)  # fmt: skip

HELD = Held("frozen", "the freeze sale holds", 2000.0)

numbers = st.none() | st.floats()
measurements = st.builds(Measurement, numbers, numbers, numbers, numbers, numbers, st.booleans())


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (BAD, Verdict.BAD),
        (GOOD, Verdict.GOOD),
        (replace(BAD, value=0.05), Verdict.GOOD),
        (replace(BAD, value=None), Verdict.NO_DATA),
        (replace(BAD, value=float("nan")), Verdict.NO_DATA),
        (replace(BAD, value=float("inf")), Verdict.NO_DATA),
        (replace(BAD, threshold=None), Verdict.NO_DATA),
        (replace(BAD, samples=None), Verdict.NO_DATA),
        (replace(BAD, samples_min=float("nan")), Verdict.NO_DATA),
        (replace(BAD, age=None), Verdict.NO_DATA),
        (replace(BAD, age=15.1), Verdict.NO_DATA),
        (replace(BAD, samples=19.9), Verdict.NOT_ENOUGH_DATA),
        (replace(BAD, samples=20), Verdict.BAD),
        (replace(BAD, samples=None, samples_min=None, counted=False), Verdict.BAD),
    ],
)
def test_a_measurement_has_one_of_four_verdicts(measured: Measurement, verdict: Verdict) -> None:
    assert judge(measured, Bad.ABOVE) is verdict


def test_below_the_threshold_is_bad_for_signals_that_should_be_high() -> None:
    assert judge(replace(BAD, value=0.8, threshold=0.85), Bad.BELOW) is Verdict.BAD
    assert judge(replace(BAD, value=0.9, threshold=0.85), Bad.BELOW) is Verdict.GOOD


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({}, Kind.PLAN, "bad"),
        ({"mode": "off"}, Kind.SUPPRESS, "mode_off"),
        ({"mode": "observe"}, Kind.SUPPRESS, "mode_observe"),
        ({"measured": GOOD}, Kind.SUPPRESS, "good"),
        ({"measured": Measurement()}, Kind.WAIT, "no_data"),
        ({"measured": replace(BAD, samples=1)}, Kind.WAIT, "not_enough_data"),
        ({"baseline": BAD}, Kind.PAGE, "not_the_release"),
        ({"baseline": None}, Kind.WAIT, "baseline_no_data"),
        ({"baseline": replace(GOOD, samples=1)}, Kind.WAIT, "baseline_not_enough_data"),
        ({"baseline": BAD, "yields": True}, Kind.SUPPRESS, "not_the_release"),
        ({"baseline": None, "yields": True}, Kind.SUPPRESS, "baseline_no_data"),
        ({"baseline": Measurement(detail="no answer"), "yields": True}, Kind.WAIT, "baseline_no_data"),
        ({"measured": GOOD, "alert_at": 999.6}, Kind.WAIT, "measured_before"),
        ({"measured": GOOD, "alert_at": 999.4}, Kind.SUPPRESS, "good"),
        ({"measured": BAD, "alert_at": 1000.0}, Kind.PLAN, "bad"),
        ({"choice": Choice(None, ())}, Kind.PAGE, "no_eligible_target"),
        ({"now": 990.0 + 3600.1}, Kind.PAGE, "outside_release_window"),
        ({"situation": replace(ASK.situation, released_at=None)}, Kind.PAGE, "release_unknown"),
        ({"situation": replace(ASK.situation, serves=frozenset({2}))}, Kind.SUPPRESS, "superseded"),
        ({"situation": replace(ASK.situation, unreachable="one: down")}, Kind.WAIT, "server_unreachable"),
        ({"situation": replace(ASK.situation, busy=True)}, Kind.WAIT, "busy"),
        ({"mode": "approve"}, Kind.ASK, "approval"),
        ({"mode": "approve", "approved_by": "ann"}, Kind.PLAN, "bad"),
        ({"held": HELD}, Kind.HOLD, "frozen"),
        ({"held": HELD, "mode": "approve"}, Kind.HOLD, "frozen"),
        ({"held": HELD, "approved_by": "ann"}, Kind.PLAN, "bad"),
        ({"held": HELD, "mode": "observe"}, Kind.SUPPRESS, "mode_observe"),
        ({"held": HELD, "measured": GOOD}, Kind.SUPPRESS, "good"),
        ({"mode": "approve", "approved_by": "ann", "measured": GOOD}, Kind.SUPPRESS, "good"),
        ({"beside": BAD}, Kind.PAGE, "not_the_release"),
        ({"beside": BAD, "yields": True}, Kind.SUPPRESS, "not_the_release"),
        ({"beside": GOOD}, Kind.PLAN, "bad"),
        ({"beside": replace(BAD, samples=1)}, Kind.PLAN, "bad"),
        ({"world": World(others_bad=1, others_judged=2)}, Kind.PAGE, "others_suffer"),
        ({"world": World(others_bad=1, others_judged=3)}, Kind.PLAN, "bad"),
        ({"restores": False, "choice": Choice(None, ()), "baseline": None}, Kind.PLAN, "bad"),
        ({"restores": False, "situation": replace(ASK.situation, released_at=None)}, Kind.PLAN, "bad"),
    ],
)
def test_each_missing_condition_has_its_own_answer(changes: dict[str, object], kind: Kind, reason: str) -> None:
    decision = decide(replace(ASK, **changes))  # type: ignore[arg-type] # the table above holds fields of Question
    assert (decision.kind, decision.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("situation", "kind", "reason"),
    [
        (Situation(frozenset({2}), frozenset({2, 3}), 990.0), Kind.PLAN, "bad"),
        (Situation(frozenset({2}), frozenset({2}), 990.0), Kind.SUPPRESS, "superseded"),
        (Situation(frozenset(), frozenset({2, 3}), 990.0), Kind.PAGE, "nothing_serves"),
    ],
)
def test_a_load_failure_rests_on_what_is_wanted_and_on_the_version_that_serves(
    situation: Situation, kind: Kind, reason: str
) -> None:
    failing = Measurement(1, 0, age=0.5, counted=False)
    decision = decide(replace(ASK, situation=situation, compares=False, baseline=None, measured=failing))
    assert (decision.kind, decision.reason) == (kind, reason)


def test_what_a_guard_holds_back_says_what_would_be_done_and_until_when() -> None:
    decision = decide(replace(ASK, held=HELD))
    assert (decision.target, decision.until) == (2, 2000.0)
    assert decision.text.startswith("the freeze sale holds; would go back to 2: 3 measures 0.9")


@pytest.mark.parametrize("source", ["person", "drill"])
@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({}, Kind.PLAN, None),
        ({"measured": Measurement(), "baseline": None}, Kind.PLAN, None),
        ({"mode": "off"}, Kind.PLAN, None),
        ({"held": HELD}, Kind.PLAN, None),
        ({"now": 990.0 + 7200}, Kind.PLAN, None),
        ({"choice": Choice(None, ())}, Kind.PAGE, "no_eligible_target"),
        ({"situation": replace(ASK.situation, unreachable="one: down")}, Kind.WAIT, "server_unreachable"),
        ({"situation": replace(ASK.situation, busy=True)}, Kind.WAIT, "busy"),
        ({"situation": Situation(frozenset({2}), frozenset({2}), 990.0)}, Kind.SUPPRESS, "superseded"),
        ({"situation": Situation(frozenset({2}), frozenset({2, 3}), 990.0)}, Kind.PLAN, None),
    ],
)
def test_an_order_needs_no_verdict_yet_a_usable_target_and_peace(
    source: Source, changes: dict[str, object], kind: Kind, reason: str | None
) -> None:
    decision = decide(replace(ASK, source=source, **changes))  # type: ignore[arg-type]
    assert (decision.kind, decision.reason) == (kind, reason or {"person": "ordered", "drill": "drill"}[source])


@given(measurements, st.none() | measurements, st.sampled_from(Bad))
def test_nothing_but_a_bad_suspect_and_a_good_baseline_gives_a_plan(
    measured: Measurement, baseline: Measurement | None, bad: Bad
) -> None:
    decision = decide(replace(ASK, measured=measured, baseline=baseline, bad=bad))
    acts = judge(measured, bad) is Verdict.BAD and baseline is not None and judge(baseline, bad) is Verdict.GOOD
    assert (decision.kind is Kind.PLAN) is acts


@given(st.lists(st.builds(Candidate, st.integers(1, 9), st.floats(0, 100), st.booleans(), st.none() | st.booleans())))
def test_a_target_has_proof_and_every_newer_version_has_a_reason_against_it(candidates: list[Candidate]) -> None:
    choice = choose(candidates, 6, Rules(soak_min=10.0))
    refused = {version for version, _ in choice.refused}
    if choice.target is not None:
        assert any(
            each.version == choice.target < 6 and each.soak >= 10 and not each.rolled_back and each.present
            for each in candidates
        )
    assert {c.version for c in candidates if c.version != 6 and c.version > (choice.target or 0)} <= refused


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (Candidate(7, 100, False, True), "is newer than 6"),
        (Candidate(5, 100, True, True), "was rolled back itself"),
        (Candidate(5, 3, False, True), "served 3 s, proof takes 10 s"),
        (Candidate(5, 100, False, False), "is neither loaded nor complete on disk"),
        (Candidate(5, 100, False, None), "is not loaded and the model store cannot be seen from here"),
    ],
)
def test_a_refused_target_says_why(candidate: Candidate, why: str) -> None:
    assert choose([candidate], 6, Rules(soak_min=10.0)) == Choice(None, ((candidate.version, why),))


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_transition_outside_the_table_is_an_error_that_names_both_sides(before: State, after: State) -> None:
    if after in states.TRANSITIONS[before]:
        states.check(before, after)
        return
    with pytest.raises(states.IllegalTransition, match=rf"{before} cannot become {after}"):
        states.check(before, after)


def test_the_only_way_to_touch_a_server_leads_through_armed_or_unknown() -> None:
    before = {state for state, following in states.TRANSITIONS.items() if State.EXECUTING in following}
    assert before == {State.ARMED, State.UNKNOWN, State.VERIFY_MECHANISM}
    assert {state for state, following in states.TRANSITIONS.items() if State.ARMED in following} == {State.LEASED}


def test_every_state_is_in_the_table_and_every_open_one_can_reach_a_person() -> None:
    assert set(states.TRANSITIONS) == set(State)
    for state, following in states.TRANSITIONS.items():
        assert not following or State.NEEDS_HUMAN in following, state


@pytest.mark.parametrize("state", [state for state in State if state not in states.ENDED])
def test_no_action_goes_on_where_it_stood_once_it_may_have_touched(state: State) -> None:
    after = states.after_restart(state)
    assert after is state or after in states.TRANSITIONS[state]
    assert (after is State.UNKNOWN) is (state in states.MAY_HAVE_TOUCHED)
