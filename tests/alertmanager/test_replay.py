"""The policy over a past that a real Prometheus holds, with the shipped rules and the alerts that they raised."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from airbag.errors import ConfigError
from airbag.rules import PROFILES
from airbag_rollback.commands.replay import replay as command
from airbag_rollback.replay.history import Wanted, replay, settings_of
from airbag_rollback.replay.past import PastClock, PastPrometheus, Span
from airbag_rollback.replay.rerun import Finding, NotReplayed
from airbag_rollback.replay.serving import Past
from airbag_rollback.replay.stretches import Stretch, fired, measured, told_apart
from tests.fakes.history import History
from tests.fakes.releases import Release

START = int(time.time()) - 86_400
BEFORE, SECONDS = 60, 200
RELEASED = START + BEFORE
NAMES = ("bad", "calm", "late", "gone", "fed", "asked")


def releases() -> Iterator[Release]:
    """`bad` fails half of its requests from its release on, `late` for twenty seconds, long after; `calm` does well.

    `fed` gets other inputs all of a sudden and answers them badly, `asked` gets more than it can bear.

    Of `gone` nothing was scraped for a while, and every server was scraped only now and then in the hour before.
    """
    second = np.arange(SECONDS)
    yield release("bad", errors=np.where(second >= BEFORE, 0.5, 0.001))
    yield release("late", errors=np.where((second >= 150) & (second < 170), 0.5, 0.001))
    yield release("calm")
    yield release("gone", scraped=(second < 80) | (second > 120))
    since = second >= 130
    yield release("fed", accuracy=np.where(since, 0.5, 0.95), inputs_from=130, rate=np.full(SECONDS, 60.0))
    yield release("asked", slow=np.where(since, 0.4, 0.005), rate=np.where(since, 150.0, 40.0))
    coarse = release("coarse", scraped=second % 30 == 0)
    coarse.start -= 3600
    yield coarse


def release(model: str, **what: Any) -> Release:  # Any: fields of Release
    return Release(model, START, SECONDS, BEFORE, seed=1, serving=model, **what)


@dataclass(frozen=True)
class Recorded:
    """A running Prometheus and the files of a policy; no secret that the policy names exists."""

    url: str
    folder: Path

    def policy(self, **lines: str) -> Path:
        names = "".join(
            f"  - {{name: {n}, targets: [{{name: a, grpc: 'h:1'}}], models: [{{name: {n}}}]}}\n" for n in NAMES
        )
        (self.folder / "exporters.yml").write_text(f"servings:\n{names}")
        given = {
            "exporters_file": "exporters.yml", "prometheus_url": self.url, "alertmanager_urls": "['http://h:1']",
            "webhook_token": "{file: none}", "audit_key": "{file: none}", "journal": "none.sqlite", "mode": "auto",
            "soak_min": "10s",
        } | lines  # fmt: skip
        file = self.folder / "policy.yml"
        file.write_text("".join(f"{key}: {value}\n" for key, value in given.items()))
        return file

    def found(self, model: str | None = None, *, signals: bool = False, **lines: str) -> list[Finding]:
        settings = settings_of(self.policy(**lines))
        wanted = Wanted(START, START + SECONDS, model=model, signals=signals)
        return replay(settings, wanted, lambda _what, _share: None)

    def run(self, *flags: str, **lines: str) -> Result:
        times = ["--from", str(START), "--to", str(START + SECONDS)]
        arguments = [*times, "--policy", str(self.policy(**lines)), *flags]
        return CliRunner().invoke(command, arguments)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("history")
    history = History(folder)
    history.write([series for each in releases() for series in each.series()])
    history.record(START, START + SECONDS)
    with history.running() as url:
        yield Recorded(url, folder)


def test_it_says_when_it_would_have_acted_to_which_version_and_why(recorded: Recorded) -> None:
    [found] = recorded.found("bad")
    assert (found.would, found.target, found.reason) == ("roll back", 1, "bad")
    assert found.stretch.about == ("bad", "bad", 2, "AirbagErrorRatioHigh")
    assert 2 <= found.stretch.start - RELEASED <= 12
    assert found.after <= 2
    assert "2 measures" in found.text
    asked = {each["query"] for each in found.evidence if "query" in each}
    assert any("errors_per_request" in query for query in asked)


def test_an_alert_on_what_was_not_released_lately_is_told_with_the_reason_why_nothing_would_have_moved(
    recorded: Recorded,
) -> None:
    [found] = recorded.found("late", release_window="60s")
    assert (found.would, found.reason) == ("call a person", "outside_release_window")


@pytest.mark.parametrize(("model", "reason"), [("fed", "inputs_changed"), ("asked", "load_changed")])
def test_a_world_that_has_just_changed_is_seen_before_it_fills_the_windows(
    recorded: Recorded, model: str, reason: str
) -> None:
    found = recorded.found(model)
    assert (found[0].would, found[0].reason) == ("call a person", reason)
    assert {each.would for each in found} <= {"call a person", "repeated"}


def test_no_stretch_no_finding(recorded: Recorded) -> None:
    assert recorded.found("calm", signals=True) == []
    assert recorded.found("gone", signals=True) == []


@pytest.mark.parametrize(
    ("mode", "would"), [("observe", "nothing"), ("off", "nothing"), ("approve", "ask a person"), ("auto", "roll back")]
)
def test_another_policy_is_another_answer(recorded: Recorded, mode: str, would: str) -> None:
    assert {each.would for each in recorded.found("bad", mode=mode)} == {would}


def test_versions_without_proof_are_no_target_in_the_past_either(recorded: Recorded) -> None:
    [found] = recorded.found("bad", soak_min="10m")
    assert (found.would, found.reason) == ("call a person", "no_eligible_target")


def test_a_guard_that_counts_effects_counts_those_that_would_have_been(recorded: Recorded) -> None:
    """`bad` comes first and takes the only effect that the fleet may have; `late` is held back until it is good."""
    for breaker, late in (("{effects: 1, within: 1h}", "nothing"), ("null", "roll back")):
        found = recorded.found(guards=f"{{breaker: {breaker}}}")
        would = {each.stretch.model_name: each.would for each in found}
        assert (would["bad"], would["late"]) == ("roll back", late)


def test_what_fired_and_what_the_signals_say_is_the_same_and_told_once(recorded: Recorded) -> None:
    clock = PastClock(START + SECONDS)
    prometheus = PastPrometheus(recorded.url, clock)
    span = Span(START, START + SECONDS, 1.0)
    alerts = fired(prometheus, span)
    signals = measured(prometheus, Past(prometheus, clock, span), span, PROFILES["fast"])
    prometheus.close()
    starts = {each.about: each.start for each in signals}
    assert starts.keys() == {each.about for each in alerts}
    assert all(abs(each.start - starts[each.about]) <= 2 for each in alerts)
    assert {each.by for each in told_apart(alerts, signals, 15.0)} == {"alert"}
    assert {each.by for each in told_apart([], signals, 15.0)} == {"signal"}


def test_a_signal_of_another_time_stays_beside_the_alert() -> None:
    one = Stretch("s", "m", 2, "AirbagErrorRatioHigh", 100.0, 110.0)
    other = Stretch("s", "m", 2, "AirbagErrorRatioHigh", 200.0, 210.0, "signal")
    assert told_apart([one], [other], 15.0) == [one, other]


def test_what_served_is_what_the_exporter_told_and_stays_so_while_it_tells_nothing(recorded: Recorded) -> None:
    settings = settings_of(recorded.policy())
    clock = PastClock(START + SECONDS)
    prometheus = PastPrometheus(recorded.url, clock)
    past = Past(prometheus, clock, Span(START, START + SECONDS, 1.0))
    prometheus.close()
    group = settings.servings.group("gone")
    assert group is not None
    seen = {}
    for second in (30, BEFORE + 5, 100, 150):
        clock.at = START + second
        view = past.look(group, "gone")
        seen[second] = (sorted(view.serves), sorted(view.available), view.unreachable)
    assert seen == {30: ([1], [1], ""), 65: ([2], [1, 2], ""), 100: ([2], [1, 2], ""), 150: ([2], [1, 2], "")}


def test_the_exit_code_is_for_machines_and_the_text_for_people(recorded: Recorded) -> None:
    acted, calm = recorded.run("--model", "bad"), recorded.run("--model", "calm")
    assert (acted.exit_code, calm.exit_code) == (3, 0), acted.output + calm.output
    assert "would have rolled back to 1 after" in acted.output
    assert "AirbagErrorRatioHigh on bad/bad 2" in acted.output
    assert "no alert asked for it" in calm.output
    assert recorded.run("--model", "bad", mode="observe").exit_code == 0


def test_json_holds_every_number_that_a_decision_rests_on(recorded: Recorded) -> None:
    [found] = json.loads(recorded.run("--model", "bad", "--json").stdout)["findings"]
    assert (found["would"], found["target"], found["stretch"]["model_name"]) == ("roll back", 1, "bad")
    assert any(each.get("value") is not None for each in found["evidence"])


def test_a_past_that_is_not_there_or_too_coarse_is_said_so(recorded: Recorded) -> None:
    settings = settings_of(recorded.policy())
    quiet = lambda _what, _share: None  # noqa: E731 - nobody looks
    with pytest.raises(NotReplayed, match="no airbag_tfs_default_version of that time"):
        replay(settings, Wanted(START - 90_000, START - 80_000), quiet)
    with pytest.raises(NotReplayed, match="too coarse: a window of 5s mostly holds 1 samples"):
        replay(settings, Wanted(START - 3600, START - 3600 + SECONDS), quiet)
    with pytest.raises(NotReplayed, match="lies before its start"):
        replay(settings, Wanted(START, START - 1), quiet)
    with pytest.raises(ConfigError, match="did not serve then"):
        replay(settings, Wanted(START, START + SECONDS, model="dogs"), quiet)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01"])
def test_a_time_that_is_none_is_refused(recorded: Recorded, text: str) -> None:
    done = CliRunner().invoke(command, ["--from", text, "--policy", str(recorded.policy())])
    assert done.exit_code == 2
    assert "is no time; write" in done.output
