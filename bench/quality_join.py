"""How fast predictions find their labels, with few and with ten million that wait, beside SQLite with a row for each.

Prints one JSON object as its last line. Batches of 4096, each looked at and committed as the exporter does it; the
predictions of a batch differ in all that differs in practice. The peer is a table with a row per prediction, keyed by
id, in the same SQLite with the same settings and batches: at 100 thousand rows, and at 1 million instead of 10, since
filling it with more takes minutes. Redis keeps every write in its file (appendfsync everysec) and has 100 thousand.
"""

from __future__ import annotations

import gc
import itertools
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag.clock import SystemClock  # noqa: E402 - the checkout's, as the tests have it
from airbag_exporters.config import RedisLedger  # noqa: E402
from airbag_exporters.quality.ledger.redis import redis_ledger  # noqa: E402
from airbag_exporters.quality.ledger.sqlite import sqlite_ledger  # noqa: E402
from airbag_exporters.quality.ledger.values import (  # noqa: E402
    WAITING,
    Change,
    Ledger,
    Limits,
    State,
)
from bench._report import Measured, report  # noqa: E402
from tests.fakes.redis_server import redis_server  # noqa: E402

SMALL, LARGE, PEER_LARGE = 100_000, 10_000_000, 1_000_000
BATCH, LABELS = 4096, 400_000
LIMITS = Limits(pending_max=2 * LARGE, label_ttl=86_400.0, early_label_ttl=60.0)
PEER = "SQLite, a row per prediction"
Keys = NDArray[np.uint64]
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that numbers from 0 on become as many scattered keys


def batches(count: int) -> Iterator[Keys]:
    """The keys of that many predictions."""
    for first in range(0, count, BATCH):
        yield np.arange(first, min(first + BATCH, count), dtype=np.uint64) * _SPREAD


def labelled(count: int, labels: int) -> Iterator[Keys]:
    """Keys of some of them in any order, each once."""
    order = np.random.default_rng(1).permutation(count)[:labels].astype(np.uint64) * _SPREAD
    for first in range(0, len(order), BATCH):
        yield order[first : first + BATCH]


def rows_of(keys: Keys) -> NDArray[np.void]:
    """Predictions made now by one version, of ten classes."""
    random = np.random.default_rng(int(keys[0]))
    rows = np.zeros(len(keys), WAITING)
    now = time.time()
    rows["key"], rows["since"], rows["owner"] = keys, now, 7
    rows["at"], rows["score"] = now - random.random(len(keys)), random.random(len(keys))
    rows["class"] = random.integers(0, 10, len(keys))
    rows["predicted"] = rows["class"].astype(np.uint64) * _SPREAD
    return rows


def predict(ledger: Ledger, count: int) -> float:
    """Seconds to take that many predictions in; what it takes to invent them is not counted."""
    spent = 0.0
    for keys in batches(count):
        rows = rows_of(keys)
        begun = time.perf_counter()
        looked = ledger.look(keys)
        ledger.commit(Change(new=rows[looked.states == State.ABSENT], blocks={"counts": bytes(4000)}))
        spent += time.perf_counter() - begun
    return spent


def label(ledger: Ledger, count: int, labels: int) -> float:
    """Seconds to join so many labels; what it takes to choose them is not counted."""
    arriving = list(labelled(count, labels))
    begun = time.perf_counter()
    for keys in arriving:
        looked = ledger.look(keys)
        due = looked.rows[looked.states == State.PENDING]
        ledger.commit(Change(done=due, blocks={"counts": bytes(4000)}))
    return time.perf_counter() - begun


class Table:
    """The peer."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "peer.db", isolation_level=None)
        for setting in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=8192", "cache_size=-262144"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.execute(
            "CREATE TABLE waiting (key INTEGER PRIMARY KEY, done INTEGER NOT NULL, row BLOB NOT NULL)"
        )

    def predict(self, count: int) -> float:
        """As the function of that name does it."""
        spent = 0.0
        for keys in batches(count):
            rows = rows_of(keys)
            begun = time.perf_counter()
            data = rows.tobytes()
            parts = (data[at : at + WAITING.itemsize] for at in range(0, len(data), WAITING.itemsize))
            self._connection.execute("BEGIN IMMEDIATE")
            values = zip(keys.view(np.int64).tolist(), itertools.repeat(0), parts, strict=False)
            self._connection.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?)", values)
            self._connection.execute("COMMIT")
            spent += time.perf_counter() - begun
        return spent

    def label(self, count: int, labels: int) -> float:
        """As the function of that name does it."""
        arriving = list(labelled(count, labels))
        begun = time.perf_counter()
        execute = self._connection.execute
        for keys in arriving:
            execute("BEGIN IMMEDIATE")
            query = "UPDATE waiting SET done = 1 WHERE key = ? AND done = 0 RETURNING row"
            found = [execute(query, (key,)).fetchone()[0] for key in keys.view(np.int64).tolist()]
            np.frombuffer(b"".join(found), WAITING)
            execute("COMMIT")
        return time.perf_counter() - begun

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def resident_mib() -> float:
    """Memory of this process now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def measure_sqlite(folder: Path, count: int) -> tuple[float, float, float, float, float]:
    """Predictions and labels a second, MiB with all waiting, MiB on disk, seconds to start again."""
    ledger = sqlite_ledger(folder / str(count), LIMITS, SystemClock())
    ledger.load()
    predictions = count / predict(ledger, count)
    resident = resident_mib()
    labels = min(LABELS, count // 2)
    rate = labels / label(ledger, count, labels)
    ledger.close()
    disk = sum(file.stat().st_size for file in (folder / str(count)).iterdir()) / 2**20
    del ledger
    begun = time.perf_counter()
    again = sqlite_ledger(folder / str(count), LIMITS, SystemClock())
    again.load()
    restart = time.perf_counter() - begun
    if again.pending() != count - labels:
        raise RuntimeError(f"{again.pending()} of {count - labels} predictions wait after the restart")
    again.close()
    return predictions, rate, resident, disk, restart


def measure_peer(folder: Path, count: int) -> tuple[float, float]:
    """Predictions and labels a second."""
    (folder / f"peer-{count}").mkdir()
    table = Table(folder / f"peer-{count}")
    labels = min(LABELS // 4, count // 2)
    measured = count / table.predict(count), labels / table.label(count, labels)
    table.close()
    return measured


def measure_redis(folder: Path) -> dict[str, Measured]:
    """The same with Redis; nothing where there is none."""
    if not shutil.which("redis-server"):
        return {}
    with redis_server(folder / "redis", "--appendfsync", "everysec") as server:
        ledger = redis_ledger(RedisLedger(url=server.url), "bench", LIMITS, SystemClock())
        ledger.load()
        predictions = SMALL / predict(ledger, SMALL)
        labels = SMALL / 2 / label(ledger, SMALL, SMALL // 2)
        with server.client() as client:
            used = client.info("memory")["used_memory"] / SMALL
        ledger.close()
    return {
        "redis_predictions_per_second": Measured(predictions, "1/s", better="higher"),
        "redis_labels_per_second": Measured(labels, "1/s", better="higher"),
        "redis_bytes_per_prediction": Measured(used, "B"),
    }


def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="quality-join-"))
    try:
        peer_predictions_small, peer_small = measure_peer(folder, SMALL)
        predictions_small, small, *_ = measure_sqlite(folder, SMALL)
        peer_predictions, peer = measure_peer(folder, PEER_LARGE)
        before = resident_mib()
        predictions, large, resident, disk, restart = measure_sqlite(folder, LARGE)
        metrics = {
            "labels_per_second": Measured(large, "1/s", None, "higher", f"{PEER}, at 1 million", peer),
            "labels_per_second_small": Measured(small, "1/s", None, "higher", PEER, peer_small),
            "predictions_per_second": Measured(
                predictions, "1/s", None, "higher", f"{PEER}, up to 1 million", peer_predictions
            ),
            "predictions_per_second_small": Measured(
                predictions_small, "1/s", None, "higher", PEER, peer_predictions_small
            ),
            "rss_mib_at_10m": Measured(resident, "MiB"),
            "rss_bytes_per_prediction": Measured((resident - before) * 2**20 / LARGE, "B"),
            "disk_mib_at_10m": Measured(disk, "MiB"),
            "restart_seconds_at_10m": Measured(restart, "s"),
        }
        report("quality_join", metrics | measure_redis(folder))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
