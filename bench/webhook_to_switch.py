"""How long it takes from the webhook to the switch: real receiver, local model server, real SavedModels.

By version as seen by clients who name none (`p50_ms`, `p99_ms`), and by label as seen by its clients (`label_*`).

Prints one JSON object as its last line. A repetition releases version 3 of a model beside version 2, posts the alert
that calls 3 bad, and asks the default route every 10 ms until 2 answers. Prometheus is played: it answers at once what
a bad version 3 would show. The server looks at models.config's versions once a second and acts in ticks of 0.1 s, so
up to 1.2 s of every switch are its own; that share is told apart (`server_*`), from the moment it took the reload.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._report import Measured, report  # noqa: E402 - beside us
from bench._rollbacks import Stage, stage  # noqa: E402
from bench._stack import say  # noqa: E402

MODELS = [f"m{number}" for number in range(10)]
OWN_POLL_MS = 1200.0
"""What TF Serving may need by itself: the look at the folder (1 s), and two ticks."""


@dataclass(frozen=True)
class Repetition:
    """Milliseconds from the webhook to the switch, and of them until the server had taken the reload."""

    whole: float
    until_told: float

    @property
    def by_server(self) -> float:
        """The rest: the server's own look, ticks and unload."""
        return self.whole - self.until_told


def one(at: Stage, model: str) -> tuple[float, Repetition]:
    """Release, accuse at a random moment of the server's second, and watch; with the moment of the webhook."""
    at.release(model)
    time.sleep(random.SystemRandom().uniform(0, 1))
    posted = at.accuse(model)
    switched = at.switched(model)
    action = at.action(model, posted)
    if action["state"] not in ("VERIFY_OUTCOME", "SUCCEEDED"):
        raise SystemExit(f"action {action['id']} is {action['state']}: {action['text']}")
    return posted, Repetition(1000 * (switched - posted), 1000 * (action["acted_at"] - posted))


def percentile(of: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was measured."""
    return sorted(of)[max(1, math.ceil(share * len(of))) - 1]


def measure(repetitions: int, *, by_label: bool) -> list[Repetition]:
    """One model after the other; each waits until its last rollback has ended."""
    found: list[Repetition] = []
    last: dict[str, float] = {}
    with stage(MODELS, by_label=by_label) as at:
        for number in range(repetitions):
            model = MODELS[number % len(MODELS)]
            if model in last:
                at.ended(at.action(model, last[model]))
            last[model], measured = one(at, model)
            found.append(measured)
            how = "by label" if by_label else "by version"
            told = f"of them {measured.until_told:.0f} ms until told"
            say(f"{how}, {number + 1}/{repetitions}: {measured.whole:.0f} ms, {told}")
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--repetitions", type=int, default=50, help="by version; half as many by label")
    repetitions = options.parse_args().repetitions
    found = measure(repetitions, by_label=False)
    labels = [each.whole for each in measure(-(-repetitions // 2), by_label=True)]
    ours, theirs = [each.until_told for each in found], [each.by_server for each in found]
    whole = [each.whole for each in found]
    print(f"until the reload was taken: median {statistics.median(ours):.0f} ms, longest {max(ours):.0f} ms")
    print(f"the server's own share:     median {statistics.median(theirs):.0f} ms, longest {max(theirs):.0f} ms")
    print(f"by label altogether:        median {statistics.median(labels):.0f} ms, longest {max(labels):.0f} ms")
    report(
        "webhook_to_switch",
        {
            "p50_ms": Measured(percentile(whole, 0.5), "ms", OWN_POLL_MS + 300.0),
            "p99_ms": Measured(percentile(whole, 0.99), "ms"),
            "told_p50_ms": Measured(percentile(ours, 0.5), "ms", 300.0),
            "told_p99_ms": Measured(percentile(ours, 0.99), "ms"),
            "server_p50_ms": Measured(percentile(theirs, 0.5), "ms"),
            "server_p99_ms": Measured(percentile(theirs, 0.99), "ms"),
            "label_p50_ms": Measured(percentile(labels, 0.5), "ms", 300.0),
            "label_p99_ms": Measured(percentile(labels, 0.99), "ms"),
            "rollbacks": Measured(len(found), "count", 40.0, "higher"),
        },
    )


if __name__ == "__main__":
    main()
