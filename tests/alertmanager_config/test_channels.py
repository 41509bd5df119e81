"""What people read in each channel: a real Alertmanager's messages, compared whole."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from tests.alertmanager_config.conftest import Channels, Running
from tests.fakes.binaries import RELEASES, Release
from tests.fakes.mail import mail_server
from tests.fakes.real_alertmanager import BAD, NOTES, VERSION, Alertmanager, firing, resolved
from tests.fakes.wait import until

PAGES = "http://alertmanager.example.com/#"
FILTER = (
    "filter=%7Balertname%3D%22AirbagErrorRatioHigh%22%2Cmodel_name%3D%22digits%22%2Cmodel_version%3D%223%22%2C"
    "serving%3D%22main%22%7D"
)
OUTCOME_FILTER = FILTER.replace("AirbagErrorRatioHigh", "AirbagRollbackNeedsHuman").replace(
    "%2Cmodel_name", "%2Caction_id%3D%227%22%2Cmodel_name"
)
CRITICAL = {"severity": "critical"}
OUTCOME = {"alertname": "AirbagRollbackNeedsHuman", "severity": "critical", "action_id": "7", **VERSION}
OUTCOME_NOTES = {
    "summary": "A bad version needs a person.",
    "description": "AirbagErrorRatioHigh on version 3 of digits on main: no good version is known.",
    "runbook_url": "prometheus/runbooks/AirbagRollbackNeedsHuman.md",
}
FIRING = f"""\
A model version answers too many requests with an error.
20 % of the requests failed; allowed are 5 %.
Airbag judges it now; the outcome follows.
  Alert:   AirbagErrorRatioHigh (critical), since 2026-01-02 03:04:05 UTC
  Where:   model_name=digits, model_version=3, serving=main
  Runbook: prometheus/runbooks/AirbagErrorRatioHigh.md
  Graph:   http://127.0.0.1:9090/graph?g0.expr=a&g0.tab=0
  Silence: {PAGES}/silences/new?{FILTER}"""
RESOLVED = (
    "AirbagErrorRatioHigh no longer fires (model_name=digits, model_version=3, serving=main), "
    "from 2026-01-02 03:04:05 to 2026-01-02 03:14:05 UTC"
)
OUTCOME_TEXT = f"""\
A bad version needs a person.
AirbagErrorRatioHigh on version 3 of digits on main: no good version is known.
Airbag does nothing more about this release; it is yours.
  Alert:   AirbagRollbackNeedsHuman (critical), since 2026-01-02 03:04:05 UTC
  Where:   action_id=7, model_name=digits, model_version=3, serving=main
  Runbook: prometheus/runbooks/AirbagRollbackNeedsHuman.md
  Silence: {PAGES}/silences/new?{OUTCOME_FILTER}"""
MANY_TITLE = f"AirbagFeatureDrift, {('digits' * 14)[:80]} on main"
MANY_FILTER = (
    f"filter=%7Balertname%3D%22AirbagFeatureDrift%22%2Cmodel_name%3D%22{'digits' * 40}%22%2Cserving%3D%22main%22%7D"
)
FIRING_TITLE = "[FIRING:1] AirbagErrorRatioHigh, digits version 3 on main"
RESOLVED_TITLE = "[RESOLVED:1] AirbagErrorRatioHigh, digits version 3 on main"
OUTCOME_TITLE = "[OUTCOME] AirbagRollbackNeedsHuman, digits version 3 on main"


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Release:
    """The oldest and the newest Alertmanager: their channels changed most between versions."""
    found: Release = request.param
    return found


def switched(channel: str) -> dict[str, str]:
    """The words to change on the routes so that all of people's messages go to that channel."""
    people = ("people-critical", "people-warning", "people-info")
    return dict.fromkeys(people, channel) | {"people-outcomes": f"{channel}-outcomes"}


def tell(alertmanager: Alertmanager, messages: list[Any]) -> list[Any]:
    """A fault fires, passes, and its outcome is told and passes too; the three messages in that order."""
    before = len(messages)
    for step, alert in enumerate((firing(BAD), resolved(BAD), firing(OUTCOME, OUTCOME_NOTES)), 1):
        alertmanager.post(alert)
        until(lambda step=step: len(messages) >= before + step, what=f"message {step}", timeout=20)  # type: ignore[misc]
    return messages[before:]


def many(severity: str) -> list[dict[str, Any]]:
    """Two hundred alerts of one model with long texts."""
    notes = NOTES | {"description": "Long. " * 500, "summary": "Long summary. " * 50}
    alike = {"alertname": "AirbagFeatureDrift", "serving": "main", "model_name": "digits" * 40, "severity": severity}
    began = datetime.now(UTC)  # an alert older than group_wait would not wait for the others
    return [firing(alike | {"feature": f"f{number}"}, notes, began) for number in range(200)]


def in_slack(title: str, text: str, color: str, filtered: str) -> dict[str, Any]:
    return {
        "channel": "#ml-serving",
        "username": "Airbag",
        "attachments": [
            {
                "title": title, "title_link": f"{PAGES}/alerts?{filtered}", "text": text, "fallback": title,
                "callback_id": "", "footer": "Airbag", "color": color, "mrkdwn_in": ["text"],
            }
        ],
    }  # fmt: skip


def test_slack_tells_what_happened_what_airbag_does_and_where_to_look(running: Running, channels: Channels) -> None:
    with running(switched("slack")) as alertmanager:
        said = tell(alertmanager, channels.services.slack)
    assert said[0] == in_slack(
        FIRING_TITLE,
        "*A model version answers too many requests with an error.*\n"
        "20 % of the requests failed; allowed are 5 %.\n"
        "Airbag judges it now; the outcome follows.\n"
        "AirbagErrorRatioHigh, model_name=digits, model_version=3, serving=main, since 2026-01-02 03:04:05 UTC\n"
        "Runbook: prometheus/runbooks/AirbagErrorRatioHigh.md"
        " | <http://127.0.0.1:9090/graph?g0.expr=a&amp;g0.tab=0|Graph>"
        f" | <{PAGES}/silences/new?{FILTER}|Silence>",
        "danger",
        FILTER,
    )
    assert said[1] == in_slack(RESOLVED_TITLE, RESOLVED, "good", FILTER)
    assert said[2] == in_slack(
        OUTCOME_TITLE,
        "*A bad version needs a person.*\n"
        "AirbagErrorRatioHigh on version 3 of digits on main: no good version is known.\n"
        "Airbag does nothing more about this release; it is yours.\n"
        "AirbagRollbackNeedsHuman, action_id=7, model_name=digits, model_version=3, serving=main, "
        "since 2026-01-02 03:04:05 UTC\n"
        f"Runbook: prometheus/runbooks/AirbagRollbackNeedsHuman.md | <{PAGES}/silences/new?{OUTCOME_FILTER}|Silence>",
        "danger",
        OUTCOME_FILTER,
    )


def test_slack_shows_by_colour_how_bad_it_is(running: Running, channels: Channels) -> None:
    with running(switched("slack")) as alertmanager:
        found = {}
        for name, severity in (("Any", "warning"), ("Any", "info"), ("Any", ""), ("AirbagRollbackSucceeded", "info")):
            before = len(channels.services.slack)
            alertmanager.post(firing({"alertname": name, "severity": severity, "model_name": f"{name}{severity}"}))
            [said] = until(lambda: channels.services.slack[before:], what="the message")  # noqa: B023
            found[name, severity] = said["attachments"][0]["color"]
    assert found == {
        ("Any", "warning"): "warning", ("Any", "info"): "#439fe0", ("Any", ""): "warning",
        ("AirbagRollbackSucceeded", "info"): "good",
    }  # fmt: skip


def test_nothing_in_an_alert_speaks_to_slack(running: Running, channels: Channels) -> None:
    before = len(channels.services.slack)
    odd = "<!channel> & <https://example.com|you>"
    notes = {"summary": odd, "description": f"{odd}.", "runbook_url": "r", "dashboard_url": "http://p/?a=1&b=<c>"}
    labels = {"alertname": "Any", "severity": "warning", "model_name": odd}
    with running(switched("slack")) as alertmanager:
        alertmanager.post(firing(labels, notes))
        until(lambda: len(channels.services.slack) > before, what="the message that fires")
        alertmanager.post(resolved(labels, notes))
        until(lambda: len(channels.services.slack) > before + 1, what="the message that it passed")
    first, second = (
        [each["attachments"][0][key] for key in ("title", "text")] for each in channels.services.slack[before:]
    )
    safe = "&lt;!channel&gt; &amp; &lt;https://example.com|you&gt;"
    assert first[0] == "[FIRING:1] Any, _!channel_ _ _https://example.com|you_"
    assert first[1].startswith(
        f"*{safe}*\n{safe}.\nAirbag does nothing about it by itself.\nAny, model_name={safe}, since "
        "2026-01-02 03:04:05 UTC\nRunbook: r | <http://p/?a=1&amp;b=&lt;c&gt;|Graph> | <"
    )
    assert second[1].startswith(f"Any no longer fires (model_name={safe}), from")


def text_of(mail: EmailMessage) -> str:
    [part] = [each for each in mail.walk() if not each.is_multipart()]
    assert part.get_content_type() == "text/plain"
    return str(part.get_content()).replace("\r\n", "\n").strip()


def test_mail_is_plain_text_sent_after_tls_and_login(running: Running, channels: Channels) -> None:
    with running(switched("email")) as alertmanager:
        said = tell(alertmanager, channels.mail.mails)
    assert [str(each["Subject"]) for each in said] == [FIRING_TITLE, RESOLVED_TITLE, OUTCOME_TITLE]
    assert [text_of(each) for each in said] == [FIRING, RESOLVED, OUTCOME_TEXT]
    assert {(str(each["From"]), str(each["To"])) for each in said} == {("airbag@example.com", "oncall@example.com")}
    assert set(channels.mail.envelopes) == {("airbag@example.com", "oncall@example.com")}
    assert set(channels.mail.logins) == {("airbag@example.com", "mail-secret")}
    outside = {command for command, inside in channels.mail.commands if not inside}
    assert outside == {"EHLO", "STARTTLS"}


def test_no_mail_goes_to_a_server_without_tls(running: Running, channels: Channels) -> None:
    with mail_server(tls=None) as plain, running(switched("email"), **{"smtp.example.com:587": plain.address}) as found:
        found.post(firing(BAD))
        until(lambda: found.metric('alertmanager_notification_requests_failed_total{integration="email"}'), what="no")
        assert {command for command, _ in plain.commands} <= {"EHLO", "QUIT"}
        assert plain.commands


def test_pagerduty_opens_and_closes_an_incident_and_leaves_an_outcome_open(
    running: Running, channels: Channels
) -> None:
    with running(switched("pagerduty")) as alertmanager:
        said = tell(alertmanager, channels.services.pagerduty)
    opened, closed, outcome = map(_as_text, said)
    assert opened.pop("dedup_key") == closed.pop("dedup_key") != outcome.pop("dedup_key")
    common = {"routing_key": "k" * 32, "client": "Airbag", "images": None, "links": None}
    place = {"source": "Airbag", "severity": "critical", "component": "digits", "group": "main"}
    alert = place | {"class": "AirbagErrorRatioHigh"}
    link = f"{PAGES}/alerts?{FILTER}"
    assert _without_none(opened) == _without_none(common) | {
        "event_action": "trigger", "client_url": link,
        "payload": alert | {
            "summary": FIRING_TITLE,
            "custom_details": {"firing": FIRING, "resolved": "", "num_firing": "1", "num_resolved": "0"},
        },
    }  # fmt: skip
    assert _without_none(closed) == _without_none(common) | {
        "event_action": "resolve", "client_url": link,
        "payload": alert | {
            "summary": RESOLVED_TITLE,
            "custom_details": {"firing": "", "resolved": RESOLVED, "num_firing": "0", "num_resolved": "1"},
        },
    }  # fmt: skip
    assert outcome["event_action"] == "trigger"
    assert outcome["payload"] == place | {
        "class": "AirbagRollbackNeedsHuman", "summary": OUTCOME_TITLE,
        "custom_details": {"firing": OUTCOME_TEXT, "resolved": "", "num_firing": "1", "num_resolved": "0"},
    }  # fmt: skip


def _without_none(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if value is not None}


def _as_text(event: dict[str, Any]) -> dict[str, Any]:
    """Newer ones read the details as YAML where they can: counts become numbers, an empty text becomes nothing."""
    details = event["payload"]["custom_details"]
    details |= {key: "" if value is None else str(value) for key, value in details.items()}
    return event


def test_a_webhook_of_one_s_own_gets_alertmanager_s_message_with_its_token(
    running: Running, channels: Channels
) -> None:
    with running(switched("webhook")) as alertmanager:
        said = tell(alertmanager, channels.hook.posted)
    assert {each.authorization for each in said} == {"Bearer people-secret"}
    assert [each.body["receiver"] for each in said] == ["webhook", "webhook", "webhook-outcomes"]
    assert [each.body["status"] for each in said] == ["firing", "resolved", "firing"]
    assert said[0].body["alerts"][0]["annotations"] == NOTES


def test_two_hundred_alerts_are_one_short_message_in_every_channel(running: Running, channels: Channels) -> None:
    words = {"people-critical": "pagerduty", "people-warning": "slack", "people-info": "email"}
    slack, pages, mails = channels.services.slack, channels.services.pagerduty, channels.mail.mails
    before = len(slack), len(pages), len(mails)
    alerts = [alert for severity in ("warning", "critical", "info") for alert in many(severity)]
    with running(words, **{"group_wait: 5s": "group_wait: 15s"}) as alertmanager:
        for step in range(2):
            ends = {"endsAt": datetime.now(UTC).isoformat()} if step else {}
            alertmanager.post(*(alert | ends for alert in alerts))
            wanted = [had + step for had in before]
            until(
                lambda wanted=wanted: min(  # type: ignore[misc]
                    len(slack) - wanted[0], len(pages) - wanted[1], len(mails) - wanted[2]
                ) > 0,
                what="a message in each channel", timeout=60,
            )  # fmt: skip
    assert not channels.services.refused
    chat = [each["attachments"][0] for each in slack[before[0] :]]
    assert [each["title"] for each in chat] == [f"[{status}:200] {MANY_TITLE}" for status in ("FIRING", "RESOLVED")]
    details = [each["payload"]["custom_details"] for each in pages[before[1] :]]
    mail = [text_of(each) for each in mails[before[2] :]]
    told = [
        [each["text"] for each in chat],
        mail,
        [details[0]["firing"], details[1]["resolved"]],
    ]
    for firing_text, resolved_text in told:
        assert firing_text.count("Long summary. ") == 5 * 14
        assert firing_text.count("Long. Long. ...\n") == 5
        assert "\n\nThese are 5 of 200." in firing_text
        assert resolved_text.count("AirbagFeatureDrift no longer fires (") == 5
        assert resolved_text.endswith("\nThese are 5 of 200 that no longer fire.")
        assert max(map(len, (firing_text, resolved_text))) < 10_000
    assert mail[0].endswith(f"All: {PAGES}/alerts?{MANY_FILTER}")


def test_an_alert_without_any_text_still_arrives_in_every_channel(running: Running, channels: Channels) -> None:
    """A template that fails would lose the message: Alertmanager does not try that again."""
    words = {"people-critical": "pagerduty", "people-warning": "slack", "people-info": "email"}
    slack, pages, mails = channels.services.slack, channels.services.pagerduty, channels.mail.mails
    before = len(slack), len(pages), len(mails)
    with running(words) as alertmanager:
        alertmanager.post(*(firing({"a": "b"} | severity, {}) for severity in ({}, CRITICAL, {"severity": "info"})))
        until(lambda: len(slack) > before[0] and len(pages) > before[1] and len(mails) > before[2], what="all three")
    assert slack[-1]["attachments"][0]["title"] == pages[-1]["payload"]["summary"] == "[FIRING:1] Airbag"
    assert text_of(mails[-1]) == (
        "Airbag does nothing about it by itself.\n  Alert:    (info), since 2026-01-02 03:04:05 UTC\n  Where:   a=b\n"
        f"  Silence: {PAGES}/silences/new?filter=%7Ba%3D%22b%22%7D"
    )


def test_runbooks_are_linked_where_people_read_them(running: Running, channels: Channels) -> None:
    """One place in the templates to say where; every channel follows."""
    slack, mails = channels.services.slack, channels.mail.mails
    before = len(slack), len(mails)
    base = {'"airbag.runbooks" }}{{ end }}': '"airbag.runbooks" }}https://git.example.com/{{ end }}'}
    with running({"people-critical": "slack", "people-warning": "email"}, **base) as alertmanager:
        alertmanager.post(firing(BAD), firing(BAD | {"severity": "warning"}))
        until(lambda: len(slack) > before[0] and len(mails) > before[1], what="both")
    runbook = "Runbook: https://git.example.com/prometheus/runbooks/AirbagErrorRatioHigh.md"
    assert runbook in slack[-1]["attachments"][0]["text"]
    assert runbook in text_of(mails[-1])
