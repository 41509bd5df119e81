"""The thread that moves actions: one step per turn and model, one sentence per change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag.log import Complaints
from airbag_rollback import drill, webhook
from airbag_rollback.engine.states import TOUCHING, State, after_restart
from airbag_rollback.hands import Hands
from airbag_rollback.journal import Fenced, Journal
from airbag_rollback.metrics import Metrics
from airbag_rollback.records import Action, Delivery
from airbag_rollback.steps import Steps
from airbag_rollback.truncated import Truncated

log = logging.getLogger("airbag.receiver")


class Worker(threading.Thread):
    """Admits deliveries and steps every open action, as long as something moves; then waits for `wake` or `every`.

    `quiet` is called in every turn that finds nothing.
    """

    def __init__(
        self, steps: Steps, journal: Journal, metrics: Metrics, clock: Clock, truncated: Truncated,
        quiet: Callable[[], None] = lambda: None, every: float = 0.25,
    ) -> None:  # fmt: skip
        super().__init__(name="worker", daemon=True)
        self._steps = steps
        self._truncated = truncated
        self._journal = journal
        self._complaints = Complaints(log)
        self._metrics = metrics
        self._clock = clock
        self._every = every
        self._quiet = quiet
        self._ending = threading.Event()
        self._woken = threading.Event()
        self._said: dict[int, tuple[str, str, str]] = {}
        self._hands = Hands(self._step, self.wake)

    def wake(self) -> None:
        """Something is to be done now."""
        self._woken.set()

    def stop(self) -> None:
        """End after the present step, which is never cut short."""
        self._ending.set()
        self._woken.set()

    def run(self) -> None:
        recovered = 0
        while not self._ending.is_set():
            self._woken.clear()
            moved = False
            try:
                if self._journal.lease.fence:
                    with self._journal.lease.leading() as fence:
                        if fence != recovered:
                            self.recover()
                            recovered = fence
                        moved = self.turn(self._every)
                else:
                    self._metrics.oldest.set(0)
            except Fenced as error:
                log.warning("no action: this receiver does not lead any more", extra={"reason": str(error)})
            except AirbagError as error:
                self._complaints.warn("no action: the journal cannot be worked", error)
            except Exception:
                self._metrics.errors.inc()
                log.exception("a turn failed")
            if not moved:
                self._woken.wait(self._every)
        self._hands.close()

    def recover(self) -> None:
        """At the begin of a term: what may have touched a server becomes UNKNOWN, all else is judged anew.

        None resumes. What is under way goes over to the new fence, so that the leader before is shut out of it.
        """
        self._hands.rest()
        self._steps.forget()
        self._said.clear()
        policy = self._steps.settings().policy
        fence = self._journal.lease.fence
        now = self._clock.now()
        for action in self._journal.actions.open():
            to = after_restart(action.state)
            limit = policy.switch_within if action.state in TOUCHING else policy.decide_within
            longest = max(policy.blocked_within, policy.approve_within, policy.recover_within, limit)
            deadline = min(max(action.deadline, now + limit), now + longest)  # the clock may have been set back
            changes: dict[str, Any] = {"deadline": deadline}  # Any: fields of Action
            if action.state in TOUCHING:
                changes["fence"] = fence
            if to is action.state:
                self._journal.actions.note(action, **changes)
            else:
                text = f"the receiver ended while this was {action.state}"
                self._say(self._journal.actions.move(action, to, now, "restart", text, **changes))

    def turn(self, patience: float | None = None) -> bool:
        """Admit what arrived, begin a step of every open action, wait for them no longer than `patience` seconds.

        Whether anything moved. Fenced when another one leads.
        """
        with self._journal.lease.leading():
            return self._turn(patience)

    def _turn(self, patience: float | None) -> bool:
        self._truncated.settle()
        arrived = self._journal.deliveries.pending()
        for delivery in arrived:
            self._admit(delivery)
        open_actions = self._journal.actions.open()
        moved = self._hands.turn(open_actions, patience) if not self._ending.is_set() else False
        now = self._clock.now()
        self._metrics.oldest.set(max((now - (each.received_at or now) for each in open_actions), default=0.0))
        if not arrived and not open_actions:
            self._quiet()
        return bool(arrived) or moved

    def _step(self, action: Action) -> bool:
        if self._ending.is_set():
            return False
        try:
            with self._journal.lease.leading():
                after = self._steps.step(action)
        except AirbagError as error:
            self._say(replace(action, reason=error.reason, text=str(error)))
            return False
        except Exception as error:
            self._metrics.errors.inc()
            log.exception("a step failed", extra={"action_id": action.id, "state": action.state})
            self._give_up_when_late(action, error)
            return False
        self._say(after)
        return after.state is not action.state

    def _give_up_when_late(self, action: Action, error: Exception) -> None:
        if self._clock.now() < action.deadline:
            return
        text = f"stuck at {action.state}: {type(error).__name__}; see the receiver's log"
        try:
            self._journal.actions.move(action, State.NEEDS_HUMAN, self._clock.now(), "stuck", text)
        except AirbagError as failure:
            log.warning("cannot give up", extra={"action_id": action.id, "reason": str(failure)})

    def _admit(self, delivery: Delivery) -> None:
        """Turn a delivery into actions, all of them or none, so that a crash here loses and doubles nothing."""
        settings = self._steps.settings()
        now = self._clock.now()
        results = []
        with self._journal.database.write("admit"):
            message = webhook.read(delivery.body)
            self._truncated.owe(message.truncatedAlerts)
            for alert in message.alerts:
                deadline = now + settings.policy.decide_within
                drilled = drill.came_back(self._journal, alert, delivery.received_at, deadline)
                found = drilled or webhook.suspect(alert, settings.servings)
                if isinstance(found, str):
                    results.append(found)
                    continue
                action, new = self._journal.actions.open_for(found, delivery.received_at, deadline)
                results.append(f"opened: action {action.id}" if new else f"repeated: action {action.id} has it")
            self._journal.deliveries.admitted(delivery, results, now)
        for result in results:
            self._metrics.alerts.labels(result.partition(":")[0]).inc()
        log.info("delivery admitted", extra={"delivery": delivery.id, "alerts": "; ".join(results) or "none"})

    def _say(self, action: Action) -> None:
        """One sentence about where the action stands, when that changed."""
        sentence = (str(action.state), action.reason, action.text)
        if self._said.get(action.id, ("", "", ""))[:2] == sentence[:2]:
            return
        self._said[action.id] = sentence
        if action.ended_at is not None:
            del self._said[action.id]
        log.info(
            f"action {action.id} {action.state}: {action.text}",
            extra={"reason": action.reason, "serving": action.serving, "model_name": action.model_name,
                   "model_version": action.bad_version},
        )  # fmt: skip
