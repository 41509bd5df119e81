"""How many requests a rollback loses: real receiver, local model server with real SavedModels, 200 requests a second.

Prints one JSON object as its last line. A quarter of the requests each comes over gRPC and REST, by default and by the
label stable. Several models are released and rolled back at the same time. Lost is every request without a prediction
(transport error, NOT_FOUND, unknown label, UNAVAILABLE, no answer in 10 s) that was under way between the moment a
rollback was armed and the end of its verification. What releases lose is counted apart.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._report import Measured, report  # noqa: E402 - beside us
from bench._rollbacks import GOOD, Stage, clients, stage  # noqa: E402
from bench._stack import say  # noqa: E402

MODELS = [f"m{number}" for number in range(10)]
RATE = 200.0
Window = tuple[str, float, float]


def roll_back(at: Stage, model: str, times: int) -> list[Window]:
    """Release and roll back so many times; model, begin and end of each rollback.

    What the receiver leaves to a person is told, taken back by hand and tried again: on a machine that is too busy to
    look once a second, a version may lack its proof.
    """
    found: list[Window] = []
    for _ in range(2 * times):
        at.release(model)
        action = at.ended(at.action(model, at.accuse(model)))
        if (action["state"], action["target_version"]) == ("SUCCEEDED", GOOD):
            found.append((model, action["armed_at"], action["available_at"]))
            say(f"{model} {len(found)}/{times}")
        else:
            say(f"{model}: action {action['id']} is {action['state']}: {action['text']}")
            at.withdraw(model)
        if len(found) == times:
            break
    return found


def during(lost: dict[str, Any], windows: list[Window]) -> bool:  # Any: JSON
    """Whether the request was under way during a rollback of any model: one may hold up another."""
    return any(lost["began"] <= end and lost["ended"] >= begin for _, begin, end in windows)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rollbacks", type=int, default=100)
    times = -(-options.parse_args().rollbacks // len(MODELS))
    with stage(MODELS) as at, ThreadPoolExecutor(len(MODELS)) as pool, clients(at, RATE, MODELS) as traffic:
        windows = [each for found in pool.map(lambda model: roll_back(at, model, times), MODELS) for each in found]
    lost = [each for each in traffic["lost"] if during(each, windows)]
    others = [each for each in traffic["lost"] if each not in lost]
    for what, some in (("lost", lost), ("lost outside of rollbacks", others)):
        for each in some[:5]:
            took = each["ended"] - each["began"]
            say(f"{what}: {each['kind']} {each['model']} at {each['began']:.3f} for {took:.3f} s: {each['error']}")
    sent = sum(traffic["sent"].values())
    print(
        f"{sent} requests in {traffic['seconds']:.0f} s: " + ", ".join(f"{n} {k}" for k, n in traffic["sent"].items())
    )
    report(
        "requests_lost",
        {
            "lost": Measured(len(lost), "requests", 0.0),
            "rollbacks": Measured(len(windows), "count", 100.0, "higher"),
            "requests": Measured(sent, "requests"),
            "rate": Measured(sent / traffic["seconds"], "requests/s"),
            "lost_by_releases": Measured(len(others), "requests"),
        },
    )


if __name__ == "__main__":
    main()
