"""The engine: pure decisions over values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_rollback.engine import states
from airbag_rollback.engine.decide import Kind, decide
from airbag_rollback.engine.states import Source, State
from airbag_rollback.engine.target import Candidate, Choice, Rules, choose
from airbag_rollback.engine.verdict import Bad, Measurement, Verdict, judge
from tests.alertmanager.decisions import ASK, BAD, DECISIONS, ESCALATIONS, GOOD, HELD, LOADS, ORDERS

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


@pytest.mark.parametrize(("changes", "kind", "reason"), DECISIONS)
def test_each_missing_condition_has_its_own_answer(changes: dict[str, object], kind: Kind, reason: str) -> None:
    decision = decide(replace(ASK, **changes))  # type: ignore[arg-type] # the table above holds fields of Question
    assert (decision.kind, decision.reason) == (kind, reason)


@pytest.mark.parametrize(("changes", "kind", "reason"), LOADS)
def test_a_load_failure_rests_on_what_is_wanted_and_on_the_version_that_serves(
    changes: dict[str, object], kind: Kind, reason: str
) -> None:
    decision = decide(replace(ASK, **changes))  # type: ignore[arg-type]
    assert (decision.kind, decision.reason) == (kind, reason)


@pytest.mark.parametrize(("changes", "kind", "reason"), ESCALATIONS)
def test_going_further_back_rests_on_the_version_that_was_gone_back_to(
    changes: dict[str, object], kind: Kind, reason: str
) -> None:
    decision = decide(replace(ASK, escalates=True, **changes))  # type: ignore[arg-type]
    assert (decision.kind, decision.reason) == (kind, reason)


def test_what_a_guard_holds_back_says_what_would_be_done_and_until_when() -> None:
    decision = decide(replace(ASK, held=HELD))
    assert (decision.target, decision.until) == (2, 2000.0)
    assert decision.text.startswith("the freeze sale holds; would go back to 2: 3 measures 0.9")


@pytest.mark.parametrize("source", ["person", "drill"])
@pytest.mark.parametrize(("changes", "kind", "reason"), ORDERS)
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
