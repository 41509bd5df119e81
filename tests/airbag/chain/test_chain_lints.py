"""Each way to break the shipped chain gets its own finding, in the right place."""

from __future__ import annotations

import pytest

from airbag.chain.finding import Level
from tests.airbag.chain.deployment import (
    ALERTMANAGER,
    EXPORTERS,
    POLICY,
    PROMETHEUS,
    SERVING,
    Change,
    changed,
    findings,
    new,
    shipped,
)
from tests.fakes.binaries import ROOT

MACHINE = "    - receiver: airbag\n"
TARGETS = "prometheus/targets/airbag-serving.yml"


def rules_for(alert: str, old: str, becomes: str) -> Change:
    """A change of the first `old` in the rule of an alert."""
    text = (ROOT / SERVING).read_text()
    begin = text.index(f"- alert: {alert}\n")
    found = text[begin : text.index(old, begin) + len(old)]
    return Change(SERVING, found, found.removesuffix(old) + becomes)


def test_the_shipped_chain_has_no_problem() -> None:
    assert [str(each) for each in findings(shipped()) if each.level is Level.PROBLEM] == []


RULES = [
    ("AirbagProbeFailed", "for: 2s", "for: 1m", ").for: is 60 s, and 2 s for the profile: rules.profile is fast"),
    (
        "AirbagProbeFailed",
        "airbag_action: rollback",
        "team: ml",
        "has no label airbag_action, so the receiver refuses it",
    ),
    ("AirbagProbeFailed", "airbag_action: rollback", "airbag_action: reboot", "is 'reboot', which no machine does"),
    ("AirbagProbeFailed", "model_name, model_version", "model_name", "loses the label model_version"),
    (
        "AirbagProbeFailed",
        "alert: AirbagProbeFailed",
        "alert: Mine",
        "asks for rollback, and the receiver does not know",
    ),
    ("AirbagProbeFailed", "alert: AirbagProbeFailed", "alert: Mine", "no rule makes the alert AirbagProbeFailed"),
]


@pytest.mark.parametrize(("alert", "old", "becomes", "what"), RULES, ids=range(len(RULES)))
def test_a_broken_rule_is_named(alert: str, old: str, becomes: str, what: str) -> None:
    told = [str(each) for each in new(rules_for(alert, old, becomes))]
    assert any(what in each for each in told), told


CASES = {
    "pace": (Change(PROMETHEUS, "scrape_interval: 1s", "scrape_interval: 15s"), "global.scrape_interval: is 15 s"),
    "evaluation": (
        Change(PROMETHEUS, "evaluation_interval: 1s", "evaluation_interval: 5s"),
        "global.evaluation_interval: is 5 s, and 1 s for the profile: rules.profile is fast (run `airbag rules build`",
    ),
    "timeout": (
        Change(PROMETHEUS, "- job_name: airbag-serving\n", "- job_name: airbag-serving\n    scrape_timeout: 10s\n"),
        "scrape_timeout: is 10 s, longer than the interval of 1 s",
    ),
    "own interval": (
        Change(PROMETHEUS, "- job_name: airbag-serving\n", "- job_name: airbag-serving\n    scrape_interval: 5s\n"),
        "rollbacks are decided on 15s of its numbers",
    ),
    "no job": (Change(PROMETHEUS, "- job_name: airbag-serving\n", "- job_name: mine\n"), "has no job airbag-serving"),
    "rule's job": (
        Change(PROMETHEUS, "- job_name: airbag-receiver\n", "- job_name: mine\n"),
        "looks at the job airbag-receiver, which prometheus/prometheus.yml does not have",
    ),
    "no file": (
        Change(PROMETHEUS, "targets/airbag-serving.yml", "targets/gone.yml"),
        "there is no file /etc/prometheus/targets/gone.yml",
    ),
    "no targets": (Change(TARGETS, 'targets: ["serving-exporter:9810"]', "targets: []"), "lists no target"),
    "no alertmanager": (Change(PROMETHEUS, "alerting:", "not_alerting:"), "alerting.alertmanagers: is empty"),
    "other alertmanager": (
        Change(POLICY, 'alertmanager_urls: ["http://alertmanager:9093"]', 'alertmanager_urls: ["http://other:9093"]'),
        "alertmanager/policy.yml: alertmanager_urls: names other:9093, and Prometheus tells alertmanager:9093",
    ),
    "fast lane elsewhere": (
        Change(EXPORTERS, '["http://alertmanager:9093"]', '["http://alertmanager:9093", "http://second:9093"]'),
        "alerts.alertmanager_urls: names alertmanager:9093, second:9093, and Prometheus tells alertmanager:9093",
    ),
    "external labels": (
        Change(PROMETHEUS, "global:\n", "global:\n  external_labels: {cluster: a}\n"),
        "alerts.labels: is empty, and Prometheus' external_labels are cluster=a: one fault makes two alerts",
    ),
    "group_wait": (Change(ALERTMANAGER, "group_wait: 0s", "group_wait: 10s"), "group_wait: is 10 s on the way"),
    "group_interval": (
        Change(ALERTMANAGER, "group_interval: 1s", "group_interval: 5m"),
        "a second fault of a version is acted on only after",
    ),
    "repeat": (Change(ALERTMANAGER, "repeat_interval: 1m", "repeat_interval: 4h"), "repeat_interval: is 4 h"),
    "group_by": (
        Change(ALERTMANAGER, "group_by: [alertname, serving, model_name, model_version]", "group_by: [alertname]"),
        "group_by: lacks serving, model_name, model_version",
    ),
    "continue": (Change(ALERTMANAGER, "continue: true", "continue: false"), "continue: ends the way of"),
    "muted": (
        Change(ALERTMANAGER, MACHINE, MACHINE + "      active_time_intervals: [office]\n"),
        "the machine is not told at all times (office)",
    ),
    "undefined": (
        Change(ALERTMANAGER, "  - name: airbag\n", "  - name: machine\n"),
        "receiver: 'airbag' is not among the receivers",
    ),
    "unreachable": (
        Change(ALERTMANAGER, "http://receiver:9815/v1/alerts", "http://receiver:9815/alerts"),
        "none of them posts to /v1/alerts of the rollback receiver",
    ),
    "other receiver": (
        Change(ALERTMANAGER, "http://receiver:9815/v1/alerts", "http://receiver:9999/v1/alerts"),
        "is http://receiver:9999/v1/alerts, and the receiver that Prometheus scrapes is receiver:9815",
    ),
    "matcher": (
        Change(ALERTMANAGER, "matchers: ['airbag_action=\"rollback\"']", "matchers: ['airbag_action=\"undo\"']"),
        "and none of them posts to /v1/alerts",
    ),
    "no matcher": (
        Change(ALERTMANAGER, "matchers: ['airbag_action=\"rollback\"']", "matchers: ['airbag_action']"),
        "route: 'airbag_action' is no matcher",
    ),
    "max_alerts": (Change(ALERTMANAGER, "max_alerts: 0", "max_alerts: 10"), "max_alerts: is 10: alerts beyond it"),
    "resolved": (
        Change(ALERTMANAGER, "send_resolved: true", "send_resolved: false"),
        "send_resolved: is false: an alert that comes back is not told before repeat_interval",
    ),
    "redirects": (
        Change(ALERTMANAGER, "follow_redirects: false", "follow_redirects: true"),
        "follow_redirects: is not false: Alertmanager follows a redirect as a GET",
    ),
    "token": (Change(ALERTMANAGER, "authorization:", "was_authorization:"), "has no bearer token"),
    "watchdog elsewhere": (
        Change(ALERTMANAGER, 'alertname="AirbagWatchdog"', 'alertname="Watchdog"'),
        "AirbagWatchdog does not go to the rollback receiver",
    ),
    "watchdog by another way": (
        Change(ALERTMANAGER, "{<<: *machine, send_resolved: false}", '{<<: *machine, url: "http://receiver:9815/x/v1/alerts"}'),
        "AirbagWatchdog goes to another webhook than the rollback alerts, and proves nothing of theirs",
    ),
    "no receiver on top": (Change(ALERTMANAGER, "route:\n  receiver:", "route:\n  x:"), "receiver: is missing"),
    "watchdog late": (
        Change(POLICY, "watchdog_within: 3m", "watchdog_within: 20s"),
        "(watchdog_within of alertmanager/policy.yml)",
    ),
    "inhibited": (
        Change(
            ALERTMANAGER, "inhibit_rules:\n",
            "inhibit_rules:\n  - source_matchers: ['alertname=\"X\"']\n    target_matchers: ['severity=\"critical\"']\n"
            "    equal: [serving]\n",
        ),
        "inhibit_rules[0]: can hold back Airbag",
    ),
    "people's alert to the machine": (
        Change(ALERTMANAGER, "matchers: ['airbag_action=\"rollback\"']", "matchers: ['severity=\"critical\"']"),
        "which posts to the rollback receiver: that refuses it",
    ),
    "profile": (Change(EXPORTERS, "profile: fast", "profile: relaxed"), "for the profile: rules.profile is relaxed"),
    "records": (Change(EXPORTERS, "profile: fast", "profile: relaxed"), "which no rule records: it never sees data"),
    "window": (Change(EXPORTERS, "profile: fast", "profile: relaxed"), "and never 30 s, the window of the profile"),
    "objective": (
        Change(EXPORTERS, "{profile: fast,", "{profile: fast, act_within: 3s,"),
        "takes up to 5.5 s from fault to action, and rules.act_within is 3 s; for takes 2 s of it "
        "(change `for` of the rule, by rules.profile in exporters.yml)",
    ),
    "data too late": (
        Change(POLICY, "decide_within: 30s", "decide_within: 2s"),
        "decide_within: is 2 s, and what an exporter saw is recorded only after 3 s",
    ),
    "never enough": (
        Change(EXPORTERS, "requests_min: 20", "requests_min: 20000"),
        "no failure of digits is ever seen: the traffic or the threshold does not allow a verdict",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_is_named_with_what_is_wrong_in_it(name: str) -> None:
    change, what = CASES[name]
    told = [str(each) for each in new(change) if each.level is Level.PROBLEM]
    assert any(what in each for each in told), told


NOTES = {
    "hasty": (
        Change(POLICY, "decide_within: 30s", "decide_within: 5s"),
        "a person is called before a window of numbers",
    ),
    "limit": (Change(PROMETHEUS, "    sample_limit: 500000\n", ""), "has no sample_limit"),
    "clear": (
        Change(ALERTMANAGER, "http://receiver:9815/v1/alerts", "http://far.example:9815/v1/alerts"),
        "sends the token to far.example in clear",
    ),
    "flood": (
        Change(ALERTMANAGER, "repeat_interval: 1m", "repeat_interval: 1s"),
        "is a line in the receiver's journal",
    ),
    "relabelled": (
        Change(
            PROMETHEUS, "alerting:\n", "alerting:\n  alert_relabel_configs: [{action: labeldrop, regex: replica}]\n"
        ),
        "alert_relabel_configs: changes the labels of alerts",
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_worth_a_look_is_a_note_and_no_problem(name: str) -> None:
    change, what = NOTES[name]
    assert any(what in str(each) and each.level is Level.NOTE for each in new(change)), new(change)


def test_the_receivers_address_behind_a_proxy_is_right_once_it_is_said() -> None:
    proxied = Change(ALERTMANAGER, "http://receiver:9815/v1/alerts", "http://localhost:80/airbag")
    url = "http://localhost:80/airbag"
    assert not [str(each) for each in new(proxied, url=url) if each.level is Level.PROBLEM]
    other = [str(each) for each in new(url=url)]
    assert any(
        "is http://receiver:9815/v1/alerts, and the receiver is at http://localhost:80/airbag" in each for each in other
    )


def test_the_old_form_of_matchers_and_credentials_is_understood() -> None:
    old = [
        Change(ALERTMANAGER, "matchers: ['airbag_action=\"rollback\"']", "match: {airbag_action: rollback}"),
        Change(
            ALERTMANAGER,
            "authorization: {type: Bearer, credentials_file: /run/secrets/airbag_webhook_token}",
            "bearer_token_file: /run/secrets/airbag_webhook_token",
        ),
    ]
    assert new(*old) == []


def test_all_findings_come_at_once_each_with_file_path_and_remedy() -> None:
    broken = changed(
        Change(PROMETHEUS, "scrape_interval: 1s", "scrape_interval: 15s"),
        Change(ALERTMANAGER, "group_wait: 0s", "group_wait: 10s"),
    )
    told = [each for each in findings(broken) if each.level is Level.PROBLEM]
    assert {each.file for each in told} >= {PROMETHEUS, ALERTMANAGER}
    assert all(each.path and each.remedy for each in told)


def test_a_second_rule_of_the_same_name_is_looked_at_too() -> None:
    second = "- alert: AirbagProbeFailed\n        expr: count(x)\n        for: 9s\n\n      - alert: AirbagProbeFailed\n"
    told = [str(each) for each in new(Change(SERVING, "- alert: AirbagProbeFailed\n", second))]
    assert any("for: is 9 s" in each for each in told)
    assert any("loses the label serving, model_name, model_version" in each for each in told)
