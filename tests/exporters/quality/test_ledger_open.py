"""The configuration decides where the join is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from airbag_exporters.config import Quality
from airbag_exporters.quality.ledger.open import open_ledger
from airbag_exporters.quality.ledger.values import Change, State
from tests.exporters.quality.ledger_kinds import waiting
from tests.fakes.clock import SetClock
from tests.fakes.redis_server import redis_server

KEY = np.array([1], np.uint64)


def survives(quality: Quality) -> bool:
    """Whether a prediction is still known after the ledger was closed and opened again."""
    states = []
    for _ in range(2):
        ledger = open_ledger(quality, SetClock())
        ledger.load()
        states.append(ledger.look(KEY).states[0])
        if not states[-1]:
            ledger.commit(Change(new=waiting([1], SetClock().time)))
        ledger.close()
    assert states[0] == State.ABSENT
    return bool(states[1] == State.PENDING)


def test_without_a_folder_the_join_is_in_memory() -> None:
    assert not survives(Quality())


def test_in_a_folder_it_survives_a_restart(tmp_path: Path) -> None:
    assert survives(Quality(state_folder=tmp_path / "state"))
    assert (tmp_path / "state" / "quality.db").exists()


def test_redis_goes_before_a_folder_and_every_replica_sees_it(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        redis = {"url": server.url, "prefix": "shop"}
        assert survives(Quality.model_validate({"state_folder": tmp_path / "state", "redis": redis, "replica": "a"}))
        assert not (tmp_path / "state").exists()
        other = open_ledger(Quality.model_validate({"redis": redis, "replica": "b"}), SetClock())
        other.load()
        assert other.look(KEY).states.tolist() == [State.PENDING]
        other.close()
        with server.client() as client:
            assert all(name.startswith(b"{shop}:") for name in client.scan_iter())


def test_the_limits_are_the_configured_ones() -> None:
    clock = SetClock()
    ledger = open_ledger(Quality.model_validate({"pending_max": 2, "label_ttl": "5s", "early_label_ttl": "1s"}), clock)
    ledger.load()
    ledger.commit(Change(new=waiting([1, 2, 3], clock.time), early={9: b"x"}))
    expired = ledger.expire(clock.time + 1)
    assert (dict(expired.predictions), expired.labels) == ({7: 1}, 1)
    ledger.forget(expired, {})
    assert dict(ledger.expire(clock.time + 5).predictions) == {7: 2}
    ledger.close()
