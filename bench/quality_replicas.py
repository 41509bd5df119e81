"""How many events quality exporters take behind nginx with the join in Redis: one, two, and one without nginx.

Prints one JSON object as its last line. Half of the events are predictions, half their labels, in NDJSON batches
of 2000; Redis keeps every write on disk before it answers. On a machine of two cores senders, nginx, Redis and both
exporters share these, so two replicas show what the way costs and not what a second machine brings; the ratios are
those of one run.
"""

from __future__ import annotations

import http.client
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._report import Measured, report  # noqa: E402 - beside us, like the tests' processes
from tests.scale.quality_fleet import BALANCER, REPLICAS, fleet  # noqa: E402

ROWS = 2000
SENDERS = 4
SECONDS = 4.0
ROUNDS = 3


def batches(sender: str) -> Iterator[tuple[str, bytes]]:
    """Predictions and then their labels, with ids that nobody sent before."""
    for batch in itertools.count():
        ids = [f"{sender}-{batch}-{number:06}-4c1a-9d5e" for number in range(ROWS)]
        said = [
            {"id": key, "model_name": "digits", "model_version": "3", "predicted": str(number % 10)}
            for number, key in enumerate(ids)
        ]
        yield "/v1/predictions", b"\n".join(map(msgspec.json.encode, said))
        true = [{"id": key, "actual": str(number % 9)} for number, key in enumerate(ids)]
        yield "/v1/labels", b"\n".join(map(msgspec.json.encode, true))


def rate(port: int, name: str) -> float:
    """Events a second that are answered 202 there, for some seconds."""
    made = {each: list(itertools.islice(batches(f"{name}-{each}"), 400)) for each in range(SENDERS)}
    taken, refused = [0] * SENDERS, list[str]()
    begun = time.perf_counter()

    def send(sender: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for path, body in made[sender]:
            if time.perf_counter() - begun > SECONDS or refused:
                break
            connection.request("POST", path, body, {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 202:
                refused.append(text.decode())
            taken[sender] += ROWS
        connection.close()

    senders = [threading.Thread(target=send, args=(each,)) for each in range(SENDERS)]
    begun = time.perf_counter()
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    if refused:
        raise SystemExit(f"a batch was not taken: {refused[0]}")
    return sum(taken) / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    direct, one, two = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), is_plain=True) as here:
        for turn in range(ROUNDS):
            two.append(rate(here.ports[BALANCER], f"two-{turn}"))
            here.stop(REPLICAS[1])
            one.append(rate(here.ports[BALANCER], f"one-{turn}"))
            direct.append(rate(here.ports[REPLICAS[0]], f"direct-{turn}"))
            here.restart(REPLICAS[1])
            print(json.dumps({"two": two[-1], "one": one[-1], "direct": direct[-1]}), flush=True)
    peer, value = "one replica without nginx", statistics.median(direct)
    report(
        "quality_replicas",
        {
            "events_per_second_direct": Measured(value, "events/s", None, "higher"),
            "events_per_second_one": Measured(statistics.median(one), "events/s", None, "higher", peer, value),
            "events_per_second_two": Measured(statistics.median(two), "events/s", None, "higher", peer, value),
            "one_of_direct": Measured(
                statistics.median(a / b for a, b in zip(one, direct, strict=True)), "ratio", 0.8, "higher"
            ),
        },
    )


if __name__ == "__main__":
    main()
