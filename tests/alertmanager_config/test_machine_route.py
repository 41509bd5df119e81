"""What a real Alertmanager sends to the machine with the shipped configuration, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag_demo.processes import Processes
from tests.fakes.real_alertmanager import BAD, VERSION, Alertmanager, alertmanager, configuration, firing
from tests.fakes.wait import until
from tests.fakes.webhooks import Webhooks, webhooks

WATCHDOG = {"alertname": "AirbagWatchdog", "severity": "info"}


@pytest.fixture(scope="module")
def sent() -> Iterator[Webhooks]:
    with webhooks() as server:
        yield server


@pytest.fixture(scope="module")
def shipped(sent: Webhooks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    config = configuration(folder, {"receiver:9815": sent.address, "people:9820": sent.address})
    found = alertmanager(config)
    with Processes(folder) as processes:
        processes.start(found.program)
        processes.wait_ready()
        yield found


def test_a_rollback_alert_reaches_the_machine_at_once_with_the_token_and_people_too(
    shipped: Alertmanager, sent: Webhooks
) -> None:
    before = time.monotonic()
    shipped.post(firing(BAD))
    first = until(lambda: sent.alerts("/v1/alerts", "AirbagErrorRatioHigh"), what="the machine's message")[0]
    assert time.monotonic() - before < 2
    assert first.authorization == "Bearer s3cret"
    assert first.body["version"] == "4"
    assert first.body["groupLabels"] == {"alertname": "AirbagErrorRatioHigh", **VERSION}
    told = until(lambda: sent.alerts("/", "AirbagErrorRatioHigh"), what="people's message", timeout=15)[0]
    assert told.authorization is None


def test_another_version_is_not_kept_waiting_by_the_first_one_s_group(shipped: Alertmanager, sent: Webhooks) -> None:
    late = BAD | {"alertname": "AirbagLatencyHigh"}
    shipped.post(firing(late))
    until(lambda: sent.alerts("/v1/alerts", "AirbagLatencyHigh"), what="the first message")
    before = time.monotonic()
    shipped.post(firing(late | {"model_version": "4"}))
    until(lambda: len(sent.alerts("/v1/alerts", "AirbagLatencyHigh")) > 1, what="the second message")
    assert time.monotonic() - before < 2


def test_an_outcome_reaches_people_at_once_and_not_the_machine(shipped: Alertmanager, sent: Webhooks) -> None:
    outcome = {"alertname": "AirbagRollbackFailed", "severity": "critical", "action_id": "7", **VERSION}
    shipped.post(firing(outcome))
    until(lambda: sent.alerts("/", "AirbagRollbackFailed"), what="the outcome", timeout=3)
    assert not sent.alerts("/v1/alerts", "AirbagRollbackFailed")


def test_the_watchdog_comes_to_the_machine_again_and_again_and_to_no_person(
    shipped: Alertmanager, sent: Webhooks
) -> None:
    shipped.post(firing(WATCHDOG))
    until(lambda: sent.alerts("/v1/alerts", "AirbagWatchdog"), what="the first one", timeout=3)
    before = time.monotonic()
    until(lambda: len(sent.alerts("/v1/alerts", "AirbagWatchdog")) > 1, what="the second one", timeout=45)
    assert 25 <= time.monotonic() - before < 40
    assert {each.authorization for each in sent.alerts("/v1/alerts", "AirbagWatchdog")} == {"Bearer s3cret"}
    assert not sent.alerts("/", "AirbagWatchdog")
