"""Whatever happens in whatever order, the invariants of a rollback hold. I1 to I13 are numbered as in docs/proof.md."""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from airbag_rollback.engine.states import ENDED, REOPENS, State
from airbag_rollback.journal.audit import START, mac
from airbag_rollback.people import NotNow, NotThere
from tests.fakes.alertmanager_api import alert, message
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.rollback import AUDIT_KEY, Bench, bench, surroundings

BUDGET, BUDGET_WITHIN, BREAKER, BREAKER_WITHIN = 3, 300.0, 4, 600.0
POLICY = {
    "guards": f"{{cool_down: 20s, budget: {{effects: {BUDGET}, within: 5m}}, "
    f"breaker: {{effects: {BREAKER}, within: 10m}}}}",
    "approve_within": "2m", "blocked_within": "5m", "soak_min": "2s",
}  # fmt: skip
RATIOS = st.sampled_from([None, "NaN", "+Inf", 0.01, 0.9])


class Rollbacks(RuleBasedStateMachine):
    """Alerts true and false, good and bad and absent data, releases, people, crashes and time, on one model."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._ends: dict[int, State] = {}
        self._fired: set[int] = set()
        self._ordered: set[int] = set()
        self._switches = 0
        self._touched: list[tuple[int, ...]] = []
        self.newest = 3

    @initialize()
    def start(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.around = self._stack.enter_context(surroundings(folder))
        self.around.write_policy(**POLICY, **self.place())
        self.desk: Bench = self._stack.enter_context(bench(self.around))
        self.other = self._entry_of_other()
        self.desk.released()
        self.around.bad_release()
        self.named = self.around.named()

    def place(self) -> dict[str, str]:
        """Where the journal lies, if not in a file."""
        return {}

    def teardown(self) -> None:
        """In the end everything ends: what waits has a deadline (I8)."""
        if hasattr(self, "desk"):
            self.around.prometheus.status = 200
            self.desk.receiver.people.pause("*", "*", None, "the test", "no more")
            for _ in range(40):
                self.desk.turn(8)
                self.desk.watch(40)
            assert self.desk.receiver.journal.actions.open() == []
            self.check_effects()
            for state in sorted({action.state for action in self.desk.actions()}):
                event(f"reached {state}")
            event(f"{len(self._touched)} effects")
        self._stack.close()

    # What happens

    @rule(version=st.integers(2, 6), firing=st.booleans(), name=st.sampled_from(["AirbagErrorRatioHigh", "Other"]))
    def deliver(self, version: int, firing: bool, name: str) -> None:
        one = alert(version, name, status="firing" if firing else "resolved")
        if firing:
            self._fired.add(version)
        self.desk.post(one, one)

    @rule()
    def an_order_that_is_upside_down_and_truncated(self) -> None:
        newest = max(self.around.named())
        body = message(alert(newest, status="resolved"), alert(newest))
        body["truncatedAlerts"], body["status"] = 2, "resolved"
        self._fired.add(newest)
        self.desk.receiver.journal.deliveries.accept(json.dumps(body).encode(), self.desk.clock.now())

    @rule(turns=st.integers(0, 12))
    def the_newest_version_is_bad(self, turns: int) -> None:
        named = sorted(self.around.named())
        self.around.prometheus.errors(named[-1], 0.9)
        self.around.prometheus.errors(named[0], 0.01, history=True)
        self.desk.watch(2)
        self._fired.add(named[-1])
        self.desk.post(alert(named[-1]))
        self.turns(turns)

    @rule()
    def what_serves_then_does_well(self) -> None:
        self.around.prometheus.errors(min(self.around.named()), 0.01)
        self.turns(10)
        self.desk.watch(20)
        self.turns(10)

    @rule(version=st.integers(1, 6), ratio=RATIOS, history=st.booleans(), requests=st.sampled_from([0, 19, 500]))
    def prometheus_says(self, version: int, ratio: float | str | None, history: bool, requests: int) -> None:
        self.around.prometheus.errors(version, ratio, requests, history=history)

    @rule(status=st.sampled_from([200, 200, 400, 503]), age=st.sampled_from([0.5, 0.5, 16.0, None]))
    def prometheus_answers(self, status: int, age: float | None) -> None:
        self.around.prometheus.status, self.around.prometheus.age = status, age

    @rule()
    def somebody_releases(self) -> None:
        if self.newest < 6:
            self.newest += 1
            self.around.version_on_disk(self.newest)
            self.check_effects()
            self.around.release(max(self.around.named()), self.newest)
            self.named, self._switches = self.around.named(), 0

    @rule(mode=st.sampled_from(["auto", "auto", "approve", "observe", "off"]))
    def somebody_sets_the_mode(self, mode: str) -> None:
        self.around.write_policy(mode=mode)
        self.desk.receiver.reload()

    @rule(what=st.sampled_from(["approve", "reject", "clear"]))
    def somebody_answers(self, what: str) -> None:
        people = self.desk.receiver.people
        for action in self.desk.actions():
            with suppress(NotNow):
                if what == "clear":
                    people.clear(action.id, "ann")
                elif what == "approve":
                    people.approve(action.id, "ann", "go")
                else:
                    people.reject(action.id, "ann", "no")

    @rule(to=st.none() | st.integers(1, 6), is_drill=st.booleans())
    def somebody_orders(self, to: int | None, is_drill: bool) -> None:
        people = self.desk.receiver.people
        with suppress(NotNow, NotThere):
            action = (
                people.drill("main", "digits", "ann") if is_drill else people.roll_back("main", "digits", to, "ann")
            )
            self._ordered.add(action.id)

    @rule(pauses=st.booleans())
    def somebody_pauses(self, pauses: bool) -> None:
        people = self.desk.receiver.people
        with suppress(NotNow):
            if pauses:
                people.pause("main", "digits", 30.0, "ann", "lunch")
            else:
                people.resume("main", "digits", "ann")

    @rule(version=st.integers(1, 6), puts=st.booleans())
    def somebody_quarantines(self, version: int, puts: bool) -> None:
        people = self.desk.receiver.people
        with suppress(NotNow):
            if puts:
                people.quarantine("main", "digits", version, "ann", "leaks")
            else:
                people.lift_quarantine("main", "digits", version, "ann")

    @rule(times=st.integers(1, 10))
    def turns(self, times: int) -> None:
        for _ in range(times):
            self.desk.turn()
            self.check_effects()

    @rule(seconds=st.integers(1, 70))
    def time_passes(self, seconds: int) -> None:
        self.desk.watch(seconds)

    @rule()
    def crash(self) -> None:
        self.desk.restart()

    # What must hold

    def check_effects(self) -> None:
        """After each turn: what the servers were told since was allowed (I1 to I3, I5, I12)."""
        new = self.around.serving.switches[self._switches :]
        self._switches += len(new)
        for model, versions in new:
            real = {each.id: each for each in self.desk.actions() if each.effect == "real"}
            intents = [own for (own,) in self._rows("SELECT action_id FROM effects ORDER BY id") if own in real]
            assert model == "digits"
            assert intents, "I2: it was on the disk before"
            action = real[intents[-1]]
            assert (action.target_version,) == versions, "I2"
            assert self.named == action.wanted_before, "I3: the file named what was planned for"
            assert (self.around.folder / "store/digits" / str(versions[0]) / "saved_model.pb").exists(), "I5"
            assert versions[0] not in self.desk.receiver.journal.quarantine.of("main", "digits"), "I5"
            if action.source == "alert":
                assert versions[0] < action.bad_version
            self._touched.append(versions)
            self.named = self.around.named()

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.desk.receiver.journal.database.rows(query)

    def _entry_of_other(self) -> str:
        text = self.around.models_config.read_text()
        return text[text.index('name: "other"') : text.index('name: "digits"')]

    @invariant()
    def one_effect_per_release_and_bad_version(self) -> None:
        """I1, I4."""
        if not hasattr(self, "desk"):
            return
        held = [each.key for each in self.desk.actions() if each.state not in REOPENS and each.cleared_at is None]
        assert len(held) == len(set(held))
        rows = self._rows("SELECT action_id, target, fence FROM effects ORDER BY id")
        assert len({row[:2] for row in rows}) == len(rows)
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)
        drills = {each.id for each in self.desk.actions() if each.effect == "none"}
        assert len(self._touched) <= sum(row[0] not in drills for row in rows)

    @invariant()
    def limits_hold_in_every_window(self) -> None:
        """I7, I13: approved actions and orders may pass them, so only the others are counted."""
        if not hasattr(self, "desk"):
            return
        free = {each.id for each in self.desk.actions() if each.approved_by or each.source != "alert"}
        times = [at for at, action in self._rows("SELECT at, action_id FROM effects") if action not in free]
        for limit, within in ((BUDGET, BUDGET_WITHIN), (BREAKER, BREAKER_WITHIN)):
            assert all(sum(begin <= at < begin + within for at in times) <= limit for begin in times)

    @invariant()
    def only_a_bad_verdict_and_a_proven_target_are_acted_on(self) -> None:
        """I5, I6."""
        for action in self.desk.actions() if hasattr(self, "desk") else []:
            if action.armed_at is None or action.source != "alert":
                continue
            value, baseline = (
                [each for each in action.evidence if each["what"] == f"value of {version}"][-1]
                for version in (action.suspect_version, action.target_version)
            )
            assert value["outcome"] == baseline["outcome"] == "value"
            assert value["value"] == 0.9
            assert action.target_version is not None
            assert action.target_version < action.bad_version

    @invariant()
    def every_open_action_has_a_deadline_and_an_end_stays_an_end(self) -> None:
        """I8, I9."""
        if not hasattr(self, "desk"):
            return
        told = {row[0] for row in self._rows("SELECT DISTINCT action_id FROM outbox")}
        keys = {each.key for each in self.desk.actions() if each.id in told}
        for action in self.desk.actions():
            assert math.isfinite(action.deadline)
            if action.id in self._ends:
                assert action.state is self._ends[action.id]
            if action.state in ENDED:
                self._ends[action.id] = action.state
                ends = [each for each in self.desk.receiver.journal.actions.events(action.id) if each.after in ENDED]
                assert [each.after for each in ends] == [action.state]
                assert action.key in keys, "somebody was told, of this one or of one that ended the same way"

    @invariant()
    def nothing_starts_without_a_firing_alert_or_an_order(self) -> None:
        """I10."""
        for action in self.desk.actions() if hasattr(self, "desk") else []:
            assert action.bad_version in self._fired if action.source == "alert" else action.id in self._ordered

    @invariant()
    def the_audit_chain_holds(self) -> None:
        """I11."""
        if not hasattr(self, "desk"):
            return
        before = START
        for record in self.desk.receiver.journal.audit.all():
            assert record.mac == mac(AUDIT_KEY.encode(), before, record.text)
            before = record.mac

    @invariant()
    def the_other_model_is_never_touched(self) -> None:
        """I12."""
        if hasattr(self, "desk"):
            assert self.around.serving.models["other"] == {7: 30}
            assert self._entry_of_other() == self.other

    @invariant()
    def a_model_is_never_left_without_a_version(self) -> None:
        if hasattr(self, "desk"):
            assert self.around.named()
            assert 30 in self.around.serving.models["digits"].values()


Rollbacks.TestCase.settings = settings(
    max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_invariants_hold_in_any_order_of_events = pytest.mark.long(Rollbacks.TestCase)


class OverPostgresql(Rollbacks):
    """The same with a database of its own for each example."""

    server: ClassVar[PostgresServer]

    def place(self) -> dict[str, str]:
        words = self.server.words(self.server.database())
        return {"journal": f'{{postgresql: "{words}", password: {{file: {self.server.password_file}}}, folder: host}}'}


@pytest.fixture
def _server(postgres: PostgresServer) -> None:
    OverPostgresql.server = postgres


OverPostgresql.TestCase.settings = settings(Rollbacks.TestCase.settings, max_examples=4)
test_they_hold_over_postgresql = pytest.mark.usefixtures("_server")(pytest.mark.long(OverPostgresql.TestCase))
