"""What the receiver says about itself."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from airbag_rollback.access import REASONS
from airbag_rollback.engine.decide import Mode
from airbag_rollback.engine.states import State
from airbag_rollback.records import Action

KNOWN_OUTCOMES = {
    "succeeded": ("recovered",),
    "suppressed": (
        "good", "superseded", "mode_off", "mode_observe", "not_the_release", "baseline_no_data", "has_stopped",
    ),
    "failed": ("models_config",),
    "cancelled": ("rejected",),
    "needs_human": (
        "no_data", "no_data_lately", "not_enough_data", "measured_before", "baseline_no_data",
        "baseline_not_enough_data",
        "server_unreachable", "not_the_release", "others_suffer", "was_good", "load_changed", "inputs_changed",
        "outside_release_window", "release_unknown", "no_eligible_target", "nothing_serves", "no_model_config_file",
        "paused", "frozen", "cool_down", "budget", "breaker", "approval_expired", "switch_unverified",
        "changed_by_others", "ineffective", "outcome_unverified", "busy", "stuck", "file_locked", "file_changed",
        "servers_moving", "serving_gone", "landing_gone", "monitoring_silent", "undecided", "model_store",
        "no_base_path", "newer_version", "wrong_policy", "wrong_routing", "unknown_label", "wrong_label",
        "script_refused", "script_unusable", "script_answer", "script_timeout", "script_busy", "script_not_now",
    ),
}  # fmt: skip
STAGES = ("detected", "decided", "acted", "available", "recovered")
WEBHOOK_RESULTS = ("accepted", "watchdog", "unauthorized", "forbidden", "too_large", "malformed", "journal")
ALERT_RESULTS = ("opened", "repeated", "resolved", "refused", "watchdog", "drill")
_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 60, 120, 300)


class Metrics:
    """The families, all of them there from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.actions = Counter("airbag_rollback_actions", "Actions that ended, by outcome and reason.",
                               ["outcome", "reason"], registry=registry)  # fmt: skip
        self.stages = Histogram(
            "airbag_rollback_stage_duration_seconds", "Seconds from the stage before to this one.",
            ["stage"], buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self.webhooks = Counter("airbag_rollback_webhooks", "Webhook calls by what was answered.",
                                ["result"], registry=registry)  # fmt: skip
        self.unauthorized = Counter("airbag_rollback_unauthorized", "Requests that were not let in, by why.",
                                    ["reason"], registry=registry)  # fmt: skip
        self.truncated = Counter(
            "airbag_rollback_truncated", "Questions to Prometheus for alerts that Alertmanager left out.",
            ["result"], registry=registry,
        )  # fmt: skip
        self.alerts = Counter("airbag_rollback_alerts", "Alerts in accepted messages by what became of them.",
                              ["result"], registry=registry)  # fmt: skip
        self.drills = Counter("airbag_rollback_drills", "Drills that ended, by result.", ["result"],
                              registry=registry)  # fmt: skip
        self.notifications = Counter("airbag_rollback_notifications", "Posts of alerts to Alertmanagers by result.",
                                     ["result"], registry=registry)  # fmt: skip
        self.errors = Counter("airbag_rollback_internal_errors", "Turns that ended in an unforeseen error.",
                              registry=registry)  # fmt: skip
        self.oldest = Gauge("airbag_rollback_oldest_open_action_seconds", "Age of the oldest open action, 0 without.",
                            registry=registry)  # fmt: skip
        self.waiting = Gauge("airbag_rollback_notifications_waiting", "Outcome alerts that nobody took yet.",
                             registry=registry)  # fmt: skip
        self.mode = Gauge("airbag_rollback_mode", "1 for the mode in force.", ["mode"], registry=registry)
        self.journal_writable = Gauge("airbag_rollback_journal_writable", "Whether the latest write was taken.",
                                      registry=registry)  # fmt: skip
        self.prometheus_up = Gauge("airbag_rollback_prometheus_up", "Whether the latest query was answered.",
                                   registry=registry)  # fmt: skip
        self._start_at_zero()

    def show_mode(self, mode: str) -> None:
        """Put 1 on the mode in force and 0 on the others."""
        for each in get_args(Mode):
            self.mode.labels(each).set(each == mode)

    def reached(self, before: Action, after: Action) -> None:
        """Count an action that moved: the stages that it reached and its end. Drills count for themselves."""
        if after.source == "drill":
            if after.ended_at is not None and before.ended_at is None:
                self.drills.labels("succeeded" if after.state is State.SUCCEEDED else "failed").inc()
            return
        for stage, (start, end) in _stage_times(after).items():
            if start is not None and end is not None and _stage_times(before)[stage][1] is None:
                self.stages.labels(stage).observe(max(0.0, end - start))
        if after.ended_at is not None and before.ended_at is None:
            self.actions.labels(after.state.lower(), after.reason).inc()
        if after.state is State.EVALUATING and before.state is State.RECEIVED and after.alert_at and after.received_at:
            self.stages.labels("detected").observe(max(0.0, after.received_at - after.alert_at))

    def _start_at_zero(self) -> None:
        for outcome, reasons in KNOWN_OUTCOMES.items():
            for reason in reasons:
                self.actions.labels(outcome, reason)
        for stage in STAGES:
            self.stages.labels(stage)
        for result in WEBHOOK_RESULTS:
            self.webhooks.labels(result)
        for reason in REASONS:
            self.unauthorized.labels(reason)
        for result in ALERT_RESULTS:
            self.alerts.labels(result)
        for result in ("succeeded", "failed"):
            self.drills.labels(result)
        for result in ("asked", "failed"):
            self.truncated.labels(result)
        for result in ("delivered", "failed"):
            self.notifications.labels(result)
        self.prometheus_up.set(0)


def _stage_times(action: Action) -> dict[str, tuple[float | None, float | None]]:
    return {
        "decided": (action.received_at, action.decided_at),
        "acted": (action.decided_at, action.acted_at),
        "available": (action.acted_at, action.available_at),
        "recovered": (action.available_at, action.recovered_at),
    }
