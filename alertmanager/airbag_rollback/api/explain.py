"""What would be done with a model now, and why not otherwise: every alert judged as if it had just come."""

from __future__ import annotations

from airbag.serving.groups import ServingGroup
from airbag_rollback.api import values
from airbag_rollback.api.overview import open_view
from airbag_rollback.api.versions import group_of, options, supposed
from airbag_rollback.engine.decide import Kind
from airbag_rollback.engine.guards import Held, Limits, Past, exhausted, held
from airbag_rollback.look import ModelView
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action
from airbag_rollback.signals import SIGNALS

_VERDICTS = {
    "good": "good", "no_data": "no data", "not_enough_data": "not enough data", "measured_before": "not enough data",
    "superseded": "unknown", "mode_off": "unknown", "server_unreachable": "unknown", "busy": "unknown",
}  # fmt: skip
"""What the suspect measures, by the reason of the decision; every other reason rests on a bad measurement."""

_NO_LIMITS = Limits(cool_down=0.0, budget=0, breaker=0)


def explain(receiver: Receiver, serving: str, model: str) -> values.Explanation:
    """Judge the model by every signal now. NotThere for an unknown one; changes nothing."""
    group = group_of(receiver, serving, model)
    view = receiver.lookout.look(group, model)
    general = supposed(receiver, serving, model, view, "")
    policy = receiver.settings.policy
    rule = policy.rule(serving, model, "")
    _, refused = options(receiver.judge, general, view)
    signals = _signals(receiver, group, model, view) if view.serves else []
    under_way = next(
        (each for each in receiver.journal.actions.open() if (each.serving, each.model_name) == (serving, model)), None
    )
    return values.Explanation(
        serving=serving, model_name=model, mode=rule.mode, landing=rule.landing,
        suspect=general.bad_version if view.serves else None,
        released_at=receiver.journal.ledger.released_at(serving, model, general.bad_version),
        serves=sorted(view.serves), wanted=None if view.wanted is None else sorted(view.wanted),
        unreachable=view.unreachable, target_version=receiver.judge.choice(general, view).target, refused=refused,
        guards=[values.GuardView(reason=each.reason, text=each.text, until=each.until)
                for each in _guards(receiver, general)],
        open_action=None if under_way is None else open_view(under_way),
        signals=signals, text=_text(view, model, signals),
    )  # fmt: skip


def _signals(receiver: Receiver, group: ServingGroup, model: str, view: ModelView) -> list[values.SignalView]:
    policy = receiver.settings.policy
    prometheus = Prometheus(policy.prometheus_url, http=policy.prometheus_http_config)
    try:
        return [_signal(receiver, group, model, view, name, prometheus) for name in SIGNALS]
    finally:
        prometheus.close()


def _signal(
    receiver: Receiver, group: ServingGroup, model: str, view: ModelView, name: str, prometheus: Prometheus
) -> values.SignalView:
    judged = receiver.onlooker.decide(supposed(receiver, group.name, model, view, name), group, prometheus)
    decision = judged.decision
    return values.SignalView(
        alertname=name, kind=decision.kind, verdict=_VERDICTS.get(decision.reason, "bad"), reason=decision.reason,
        text=decision.text, target_version=decision.target, until=decision.until, evidence=list(judged.evidence),
    )  # fmt: skip


def _guards(receiver: Receiver, action: Action) -> list[Held]:
    """Every guard that would say no now; the engine itself stops at the first."""
    now, guards = receiver.clock.now(), receiver.settings.policy.guards
    paused = receiver.journal.pauses.on(action.serving, action.model_name, now)
    found = [
        held(now, paused, (), _NO_LIMITS, Past()),
        held(now, "", guards.freezes, _NO_LIMITS, Past()),
        exhausted(now, guards.limits, receiver.journal.actions.past(action)),
    ]
    return [each for each in found if each is not None]


def _text(view: ModelView, model: str, signals: list[values.SignalView]) -> str:
    """One sentence: what would be done, by the signal that would do most."""
    if not view.serves:
        return f"nothing would be done: nothing serves {model}: {view.unreachable or 'no version is up'}"
    for kind in (Kind.PLAN, Kind.ASK, Kind.HOLD, Kind.PAGE):
        for each in signals:
            if each.kind == kind:
                return f"by {each.alertname}: {kind}: {each.text}"
    bad = [each for each in signals if each.verdict == "bad"]
    if bad:
        return f"nothing would be done: by {bad[0].alertname}: {bad[0].text}"
    unsure = [each.alertname for each in signals if each.verdict != "good"]
    known = len(signals) - len(unsure)
    return f"nothing would be done: no signal calls it bad, {known} of {len(signals)} call it good"
