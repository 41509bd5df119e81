"""The files for two hosts say what the shipped ones say, but for what two hosts need. Two texts drift apart unseen."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml

from airbag.config import load
from airbag_rollback.place import PostgresqlJournal
from airbag_rollback.policy import Policy
from tests.fakes.binaries import ROOT, run

HA = ROOT / "docs" / "examples" / "ha"
SHIPPED = ROOT / "alertmanager"


def lines_that_differ(name: str) -> tuple[list[str], list[str]]:
    """What the shipped file has and the example has not, and the other way round."""
    shipped, example = ((folder / name).read_text().splitlines() for folder in (SHIPPED, HA))
    found = list(difflib.ndiff(shipped, example))
    return [each[2:] for each in found if each[0] == "-"], [each[2:] for each in found if each[0] == "+"]


def test_the_policy_for_two_hosts_differs_in_the_journal_and_the_alertmanagers() -> None:
    gone, new = lines_that_differ("policy.yml")
    assert [line.partition(":")[0] for line in gone] == ["alertmanager_urls", "journal"]
    assert [line.partition(":")[0] for line in new] == ["alertmanager_urls", "journal", "  postgresql", "  password"]


def test_the_policy_for_two_hosts_is_a_policy() -> None:
    policy = load(HA / "policy.yml", Policy)
    assert isinstance(policy.journal, PostgresqlJournal)
    assert str(policy.journal) == "database airbag on postgres"
    assert policy.journal.password is not None
    assert policy.journal.password.file == Path("/run/secrets/airbag_postgres_password")
    assert policy.alertmanager_urls == ("http://alertmanager:9093", "http://alertmanager-2:9093")


def test_the_alertmanager_for_two_hosts_differs_in_a_second_webhook_wherever_there_is_one() -> None:
    gone, new = lines_that_differ("alertmanager.yml")
    assert (len(gone), len(new)) == (1, 2)
    shipped, example = (_webhooks(folder / "alertmanager.yml") for folder in (SHIPPED, HA))

    def second(webhook: dict[str, Any]) -> dict[str, Any]:
        return webhook | {"url": webhook["url"].replace("//receiver:", "//receiver-2:")}

    for name in ("airbag", "airbag-watchdog"):
        (webhook,) = shipped[name]
        assert example[name] == [webhook, second(webhook)]
    assert {name: webhooks for name, webhooks in example.items() if shipped[name] != webhooks}.keys() == {
        "airbag", "airbag-watchdog",
    }  # fmt: skip


def _webhooks(path: Path) -> dict[str, Any]:
    """Of each receiver."""
    return {each["name"]: each.get("webhook_configs", []) for each in yaml.safe_load(path.read_text())["receivers"]}


def test_alertmanager_takes_it() -> None:
    assert "SUCCESS" in run("amtool", "check-config", HA / "alertmanager.yml")


@pytest.mark.parametrize("name", ["policy.yml", "alertmanager.yml"])
def test_no_secret_stands_in_an_example(name: str) -> None:
    text = (HA / name).read_text()
    assert "password=" not in text
    assert "credentials:" not in text
