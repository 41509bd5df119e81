"""policy.yml is checked whole, and says what would be right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airbag.config import load, replace_tokens
from airbag.errors import ConfigError, StartError
from airbag_rollback.config import load_settings
from airbag_rollback.journal.opening import open_database
from airbag_rollback.place import PostgresqlJournal, folder_of
from airbag_rollback.policy import Policy
from tests.fakes.binaries import ROOT
from tests.fakes.rollback import TOKEN, Surroundings

SHIPPED = ROOT / "alertmanager" / "policy.yml"


def test_the_shipped_policy_is_valid_and_means_what_it_says() -> None:
    policy = load(SHIPPED, Policy)
    assert (policy.mode, policy.release_window, policy.soak_min) == ("auto", 3600.0, 10.0)
    assert (policy.decide_within, policy.switch_within, policy.stable_for) == (30.0, 60.0, 2.0)
    assert (policy.watchdog_within, policy.paused_max) == (180.0, 86_400.0)


def test_a_watch_is_on_unless_it_is_turned_off(around: Surroundings) -> None:
    policy = load_settings(around.policy_file).policy
    assert (policy.watchdog_within, policy.paused_max) == (180.0, 86_400.0)
    around.write_policy(watchdog_within="0s", paused_max="0s")
    policy = load_settings(around.policy_file).policy
    assert (policy.watchdog_within, policy.paused_max) == (0.0, 0.0)


def test_the_shipped_files_work_together_once_the_places_are_local(tmp_path: Path) -> None:
    for secret in ("token", "audit_key", "operator"):
        (tmp_path / secret).write_text(f"a-secret-for-{secret}")
    (tmp_path / "exporters.yml").write_text((ROOT / "exporters" / "exporters.yml").read_text())
    tokens = {
        "/etc/airbag": str(tmp_path), "/run/secrets/airbag_webhook_token": str(tmp_path / "token"),
        "/run/secrets/airbag_audit_key": str(tmp_path / "audit_key"),
        "/run/secrets/airbag_operator_token": str(tmp_path / "operator"),
    }  # fmt: skip
    (tmp_path / "policy.yml").write_text(replace_tokens(SHIPPED.read_text(), tokens))
    settings = load_settings(tmp_path / "policy.yml")
    assert [group.name for group in settings.servings.servings] == ["main"]


def test_a_bare_off_is_the_mode_off_although_yaml_reads_false(around: Surroundings) -> None:
    around.write_policy(mode="off")
    assert load_settings(around.policy_file).policy.mode == "off"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "atuo"}, "mode: input should be 'off', 'observe', 'approve' or 'auto', not 'atuo'"),
        ({"prometheus_url": "prometheus:9090"}, "prometheus_url: should be http(s)://HOST:PORT"),
        ({"prometheus_url": "http://user:secret@host"}, "prometheus_url: should be http(s)://HOST:PORT"),
        ({"alertmanager_urls": "[]"}, "alertmanager_urls: list should have at least 1 item"),
        ({"soak_min": "10"}, "soak_min: not a duration"),
        ({"soak_mim": "10s"}, "soak_mim: is not a known key (did you mean `soak_min`?)"),
        ({"stable_for": "60s"}, "stable_for must be shorter than switch_within"),
        ({"audit_key": "{file: nowhere}"}, "audit_key: "),
        ({"landing": "by-hand"}, "landing: 'by-hand' is no landing; there are quarantine-directory, serving-label"),
        ({"models": "[{landing: by-hand}]"}, "models[0].landing: 'by-hand' is no landing"),
        ({"models": "[{mode: atuo}]"}, "models[0].mode: input should be 'off', 'observe', 'approve' or 'auto'"),
        ({"models": "[{attempts_max: 0}]"}, "models[0].attempts_max: "),
        ({"guards": "{budget: {effects: 0, within: 1h}}"}, "guards.budget.effects: "),
        ({"guards": "{budget: {effects: 1}}"}, "guards.budget.within: is missing"),
        ({"guards": "{cooldown: 1h}"}, "guards.cooldown: is not a known key (did you mean `cool_down`?)"),
        ({"guards": "{freeze: [{name: sale}]}"}, "needs either `from` and `to`, or `weekdays`"),
        ({"guards": "{freeze: [{name: s, from: 2026-01-02T00:00:00Z, to: 2026-01-01T00:00:00Z}]}"}, "ends before it"),
        ({"guards": "{freeze: [{name: s, from: 2026-01-02T00:00:00, to: 2026-01-03T00:00:00Z}]}"}, "timezone info"),
        (
            {"guards": "{freeze: [{name: w, weekdays: [sunday], timezone: Mars}]}"},
            "timezone: is no time zone known here; write one",
        ),
        ({"guards": "{freeze: [{name: w, weekdays: [sunday], opens: '24:00'}]}"}, "should be HH:MM"),
        ({"guards": "{freeze: [{name: w, weekdays: [caturday]}]}"}, "guards.freeze[0].weekdays[0]: input should be"),
        ({"world": "{others_share: 2}"}, "world.others_share: "),
        ({"access": "{tokens: [{name: a, role: king, token: {file: token}}]}"}, "access.tokens[0].role: input should"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_place(around: Surroundings, changes: dict[str, str], message: str) -> None:
    around.write_policy(**changes)
    with pytest.raises(ConfigError) as refused:
        load_settings(around.policy_file)
    assert message in str(refused.value)


def test_the_problems_of_every_file_are_listed_together(around: Surroundings) -> None:
    (around.folder / "token").write_text(" \n")
    (around.folder / "exporters.yml").write_text("servings: []\n")
    with pytest.raises(ConfigError) as refused:
        load_settings(around.policy_file)
    assert "webhook_token: " in str(refused.value)
    assert "exporters_file: servings" in str(refused.value)


def test_the_token_is_not_shown_by_the_settings(around: Surroundings) -> None:
    assert TOKEN not in repr(load_settings(around.policy_file))


def test_the_first_rule_that_matches_counts_and_leaves_the_rest_to_the_top_level(around: Surroundings) -> None:
    around.write_policy(
        soak_min="10m", attempts_max="3",
        models="[{model: 'dig*', alerts: [AirbagLatencyHigh], mode: observe}, "
        "{serving: main, model: digits, mode: off, soak_min: 1h, not_before: 4}, {mode: approve}]",
    )  # fmt: skip
    policy = load_settings(around.policy_file).policy
    slow = policy.rule("main", "digits", "AirbagLatencyHigh")
    wrong = policy.rule("main", "digits", "AirbagAccuracyLow")
    other = policy.rule("main", "other", "AirbagAccuracyLow")
    assert (slow.mode, slow.soak_min, slow.not_before, slow.attempts_max) == ("observe", 600.0, 0, 3)
    assert (wrong.mode, wrong.soak_min, wrong.not_before) == ("off", 3600.0, 4)
    assert (other.mode, other.landing) == ("approve", "serving-version")


@pytest.mark.parametrize(
    "policy",
    [{"landing": "serving-label"}, {"models": "[{model: digits, alerts: [AirbagF1Low], landing: serving-label}]"}],
)
def test_going_back_by_a_label_that_no_client_asks_for_is_a_mistake(
    around: Surroundings, policy: dict[str, str]
) -> None:
    around.write_policy(**policy)
    with pytest.raises(ConfigError, match=r"main/digits: goes back by serving-label.*`routing: labels`"):
        load_settings(around.policy_file)
    exporters = around.folder / "exporters.yml"
    exporters.write_text(
        exporters.read_text().replace("name: digits", "name: digits, routing: labels, labels: [stable]")
        .replace("name: other", "name: other, routing: labels, labels: [stable]")
    )  # fmt: skip
    load_settings(around.policy_file)


def test_a_rule_for_a_model_that_is_nowhere_is_a_mistake_unless_models_are_discovered(around: Surroundings) -> None:
    around.write_policy(models="[{model: digit}]")
    load_settings(around.policy_file)
    exporters = around.folder / "exporters.yml"
    exporters.write_text(exporters.read_text() + "    discover: false\n")
    with pytest.raises(ConfigError, match=r"models\[0\]: matches no model of exporters.yml: \*/digit .*main/digits"):
        load_settings(around.policy_file)


def test_every_key_of_the_policy_stands_in_its_page() -> None:
    page = (ROOT / "docs" / "policy.md").read_text()
    assert [name for name in Policy.model_fields if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("journal", "message"),
    [
        ("5", "journal: input should be a valid string, not 5"),
        ("{}", "journal.postgresql: is missing"),
        ('{postgres: "x"}', "journal.postgres: is not a known key (did you mean `postgresql`?)"),
        ('{postgresql: "host=db"}', "journal.postgresql: names no database; add `dbname=airbag`"),
        ('{postgresql: "postgresql://db/airbag"}', "journal.postgresql: should be words such as"),
        ('{postgresql: "host=\'db dbname=airbag"}', "journal.postgresql: has a quote that is not closed"),
        (
            '{postgresql: "host=db dbname=a password=hunter2"}',
            "journal.postgresql: holds `password`, which has no place",
        ),
        ('{postgresql: "dbname=a", password: {file: nowhere}}', "journal.password: "),
    ],
)
def test_a_place_of_the_journal_that_is_none_is_named_without_its_secrets(
    around: Surroundings, journal: str, message: str
) -> None:
    around.write_policy(journal=journal)
    with pytest.raises(ConfigError) as refusal:
        load_settings(around.policy_file)
    assert message in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_journal_lies_in_a_file_or_in_a_database(around: Surroundings) -> None:
    assert load_settings(around.policy_file).policy.journal == around.folder / "journal" / "journal.sqlite"
    around.write_policy(journal="{postgresql: \"host=db port=5432 dbname='air bag'\", folder: here}")
    place = load_settings(around.policy_file).policy.journal
    assert str(place) == "database air bag on db"
    assert folder_of(place) == around.folder / "here"


def test_without_its_library_a_database_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "airbag_rollback.journal.postgresql", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StartError, match=r"psycopg is not installed: pip install 'tfs-airbag\[postgresql\]'"):
        open_database(PostgresqlJournal(postgresql="dbname=a"))
