"""Whatever happens in whatever order, the invariants of a rollback hold."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from airbag_rollback.engine.states import ENDED, REOPENS, State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, bench, surroundings


class Rollbacks(RuleBasedStateMachine):
    """Alerts true and false, good and bad and absent data, releases, crashes and time, on one model."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._seen_ends: dict[int, State] = {}
        self.newest = 3

    @initialize()
    def start(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.around = self._stack.enter_context(surroundings(folder))
        self.desk: Bench = self._stack.enter_context(bench(self.around))
        self.desk.released()
        self.around.bad_release()

    def teardown(self) -> None:
        for state in sorted({action.state for action in self.desk.actions()} if hasattr(self, "desk") else ()):
            event(f"reached {state}")
        self._stack.close()

    @rule(version=st.integers(2, 5), firing=st.booleans(), name=st.sampled_from(["AirbagErrorRatioHigh", "Other"]))
    def deliver(self, version: int, firing: bool, name: str) -> None:
        one = alert(version, name, status="firing" if firing else "resolved")
        self.desk.post(one, one)

    @rule(turns=st.integers(0, 12))
    def the_newest_version_is_bad(self, turns: int) -> None:
        named = sorted(self.around.named())
        self.around.prometheus.errors(named[-1], 0.9)
        self.around.prometheus.errors(named[0], 0.01, history=True)
        self.desk.watch(2)
        self.desk.post(alert(named[-1]))
        self.desk.turn(turns)

    @rule()
    def what_serves_then_does_well(self) -> None:
        self.around.prometheus.errors(min(self.around.named()), 0.01)
        self.desk.turn(10)
        self.desk.watch(20)
        self.desk.turn(10)

    @rule(version=st.integers(2, 5), ratio=st.sampled_from([None, "NaN", 0.01, 0.9]), history=st.booleans())
    def prometheus_says(self, version: int, ratio: float | str | None, history: bool) -> None:
        self.around.prometheus.errors(version, ratio, history=history)

    @rule(up=st.booleans())
    def prometheus_answers(self, up: bool) -> None:
        self.around.prometheus.status = 200 if up else 503

    @rule()
    def somebody_releases(self) -> None:
        if self.newest < 5:
            self.newest += 1
            self.around.version_on_disk(self.newest)
            self.around.release(max(self.around.named()), self.newest)

    @rule(times=st.integers(1, 10))
    def turns(self, times: int) -> None:
        self.desk.turn(times)

    @rule(seconds=st.integers(1, 70))
    def time_passes(self, seconds: int) -> None:
        self.desk.watch(seconds)

    @rule()
    def crash(self) -> None:
        self.desk.restart()

    @invariant()
    def one_effect_per_release_and_bad_version(self) -> None:
        actions = self.desk.actions() if hasattr(self, "desk") else []
        held = [action.key for action in actions if action.state not in REOPENS]
        assert len(held) == len(set(held))

    @invariant()
    def only_a_bad_verdict_and_a_proven_target_are_acted_on(self) -> None:
        for action in self.desk.actions() if hasattr(self, "desk") else []:
            if action.acted_at is None:
                continue
            value, baseline = (
                next(each for each in action.evidence if each["what"] == f"value of {version}")
                for version in (action.bad_version, action.target_version)
            )
            assert (value["value"], baseline["value"]) == (0.9, 0.01)
            assert action.armed_at is not None
            assert action.target_version is not None
            assert action.target_version < action.bad_version

    @invariant()
    def an_end_stays_an_end_and_the_other_model_is_never_touched(self) -> None:
        for action in self.desk.actions() if hasattr(self, "desk") else []:
            if action.id in self._seen_ends:
                assert action.state is self._seen_ends[action.id]
            if action.state in ENDED:
                self._seen_ends[action.id] = action.state
        if hasattr(self, "desk"):
            assert self.around.serving.models["other"] == {7: 30}
            assert all(model == "digits" for model, _ in self.around.serving.switches)

    @invariant()
    def a_model_is_never_left_without_a_version(self) -> None:
        if hasattr(self, "desk"):
            assert self.around.named()
            assert 30 in self.around.serving.models["digits"].values()


Rollbacks.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_invariants_hold_in_any_order_of_events = Rollbacks.TestCase
