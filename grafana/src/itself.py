"""Airbag watching itself: exporters, the way of an alert, the receiver's journal and audit, Prometheus and Alertmanager."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask, Column
from grafana.src.page import Page
from grafana.src.panels import graph, number, rows, states

_JOBS = 'job=~"airbag-.+|prometheus|alertmanager"'


def page() -> Page:
    made = Page(
        "airbag-self", "Airbag / Airbag itself", "Whether Airbag sees, is heard, and can act.",
        [variables.datasource()], marks='serving=~".+"',
    )  # fmt: skip
    made.add(
        3, house.STRIP,
        number("Parts down", "Processes that Prometheus cannot scrape. Good: 0.", "short",
               Ask(f"count(up{{{_JOBS}}} == 0) or vector(0)"), house.ZERO_IS_GOOD),
        number("Leads", "Receivers that lead. Good: exactly 1.", "short", Ask("sum(airbag_rollback_leader)"),
               ((None, house.BAD), (1, house.GOOD), (2, house.BAD))),
        number("Mode", "What the receiver may do by itself. Good: auto or approve.", "string", Ask("airbag_rollback_mode == 1", "{{mode}}"),
               names=True),
        number("Alert path", "Seconds since the watchdog came from Prometheus over Alertmanager, as a share of watchdog_within. "
               "Good: green.", "percentunit",
               Ask("max(time() - airbag_rollback_watchdog_last_received_timestamp_seconds) "
                   "/ (max(airbag_rollback_watchdog_max_age_seconds) > 0)"), house.OF_LIMIT, decimals=0, empty="turned off"),
        number("Journal", "Whether the receiver's latest write was taken. Good: writable.", "none",
               Ask("min(airbag_rollback_journal_writable)"), mappings=((1, "writable", house.GOOD), (0, "not writable", house.BAD))),
        number("Prometheus", "Whether the receiver's latest question was answered. Good: answers.", "none",
               Ask("min(airbag_rollback_prometheus_up)"), mappings=((1, "answers", house.GOOD), (0, "silent", house.BAD))),
        number("Messages waiting", "Outcomes that no Alertmanager has taken yet. Good: 0.", "short",
               Ask("max(airbag_rollback_notifications_waiting)"), house.ZERO_IS_GOOD),
        number("Configuration", "Whether every part accepted its latest configuration. Good: accepted.", "none",
               Ask('min({__name__=~"(airbag|prometheus|alertmanager)_config_last_reload_successful"})'),
               mappings=((1, "accepted", house.GOOD), (0, "refused", house.BAD))),
    )  # fmt: skip
    made.add(24, 7, states("Parts over time", "Green: Prometheus could scrape it. Good: green.",
                           Ask(f"min by (job, instance) (up{{{_JOBS}}})", "{{job}} {{instance}}"),
                           mappings=((1, "up", house.GOOD), (0, "down", house.BAD))))  # fmt: skip
    made.row("Seeing")
    made.add(
        8, house.GRAPH,
        graph("Age of the last poll", "How long ago the exporter asked each server, by the exporter's clock. Good: about a second.", "s",
              Ask("time() - max by (serving, target) (airbag_tfs_last_poll_timestamp_seconds)", "{{serving}} {{target}}")),
        graph("Polls take", "How long a poll of each server takes. Good: far below a second.", "s",
              Ask("max by (serving, target) (airbag_tfs_scrape_duration_seconds)", "{{serving}} {{target}}")),
        graph("Scrapes take", "How long Prometheus' scrapes take. Good: far below the interval.", "s",
              Ask(f"max by (job) (scrape_duration_seconds{{{_JOBS}}})", "{{job}}")),
    )  # fmt: skip
    made.add(
        8, house.GRAPH,
        graph("Quality events", "Predictions and labels a second that were taken in. Good: as usual.", "cps",
              Ask("sum by (kind) (rate(airbag_quality_events_total[$__rate_interval]))", "{{kind}}")),
        graph("Refused batches", "Batches of quality events that were refused, by why. Good: none.", "cps",
              Ask("sum by (reason) (rate(airbag_quality_refused_batches_total[$__rate_interval]))", "{{reason}}")),
        graph("Samples scraped", "Series of each job. Good: flat; a limit ends a scrape.", "short",
              Ask(f"sum by (job) (scrape_samples_scraped{{{_JOBS}}})", "{{job}}")),
    )  # fmt: skip
    made.row("Being heard")
    made.add(
        8, house.GRAPH,
        graph("Watchdog", "Age of the watchdog at the receiver. Good: a saw tooth up to half a minute, below the dashed line.", "s",
              Ask("max(time() - airbag_rollback_watchdog_last_received_timestamp_seconds)", "age"),
              Ask("max(airbag_rollback_watchdog_max_age_seconds)", "limit")),
        graph("Webhook calls", "Calls of the receiver by what was answered. Good: accepted and watchdog only.", "cps",
              Ask("sum by (result) (rate(airbag_rollback_webhooks_total[1m]))", "{{result}}")),
        graph("Alert to journal", "Nine in ten alerts of the last hour were on the receiver's disk this long after Prometheus fired "
              "them. Good: below a second.", "s",
              Ask('histogram_quantile(0.9, sum by (le) (increase(airbag_rollback_stage_duration_seconds_bucket{stage="detected"}[1h])))',
                  "alert to journal")),
        graph("Messages of the receiver", "Outcomes posted to Alertmanager, by result. Good: delivered only.", "short",
              Ask("sum by (result) (increase(airbag_rollback_notifications_total[$__interval]))", "{{result}}"), bars=True, calc="sum"),
        graph("Notifications that failed", "Alertmanager's messages to people and to the receiver that failed. Good: none.", "cps",
              Ask("sum by (integration) (rate(alertmanager_notifications_failed_total[1m]))", "{{integration}}")),
        graph("Rule evaluations that failed or came late", "Per rule group. Good: none.", "short",
              Ask("sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[5m]))", "failed {{rule_group}}"),
              Ask("sum by (rule_group) (increase(prometheus_rule_group_iterations_missed_total[5m]))", "late {{rule_group}}")),
    )  # fmt: skip
    made.row("Acting")
    made.add(
        8, house.GRAPH,
        graph("Who leads", "1 for the receiver that leads. Good: one line at 1.", "none",
              Ask("max by (instance) (airbag_rollback_leader)", "{{instance}}"), high=1),
        graph("Fence", "The fencing token of the latest leader; each step is a change of leadership. Good: flat.", "none",
              Ask("max(airbag_rollback_fence)", "fence")),
        graph("Audit records", "Records in the audit. Good: grows with actions, never falls.", "short",
              Ask("max(airbag_rollback_audit_records_total)", "records")),
    )  # fmt: skip
    made.add(
        12, house.GRAPH,
        rows("Versions of Airbag", "Which version each part runs. Good: the same everywhere.",
             [Ask("max by (job, instance, version) (airbag_build_info)", name="Runs")],
             [Column("Runs", mappings=((1, "yes", house.GOOD),), width=80)], labels=["version", "job", "instance"], sort="job", ascending=True),
        graph("Unforeseen errors and refused callers", "Errors inside the receiver, and requests that were not let in. Good: none.", "short",
              Ask("sum(increase(airbag_rollback_internal_errors_total[5m]))", "errors"),
              Ask("sum by (reason) (increase(airbag_rollback_unauthorized_total[5m]))", "refused: {{reason}}")),
    )  # fmt: skip
    return made
