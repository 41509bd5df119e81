"""A receiver that is down for four minutes behind a real pair of Alertmanagers: how often it acts, and how soon.

The alert fires on all the while and is stamped anew at every post, as by a Prometheus that is restarted. Prints one
JSON object as its last line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._report import Measured, report  # noqa: E402 - beside us
from bench._stack import say  # noqa: E402
from tests.fakes.pair import place  # noqa: E402
from tests.fakes.wait import until  # noqa: E402


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--down", type=float, default=240.0, help="seconds without a receiver")
    down = options.parse_args().down
    with tempfile.TemporaryDirectory(prefix="airbag-pair-") as folder, place(Path(folder)) as here:
        here.release(3)
        before = here.generation()
        here.kill_receiver()
        since = time.monotonic()
        with here.fault(3, restamps=True):
            time.sleep(down)
            say(f"the receiver was away for {time.monotonic() - since:.0f} s")
            here.start_receiver()
            back = time.monotonic()
            until(lambda: here.ended(3), timeout=120, what="the rollback")
            took = time.monotonic() - back
            until(lambda: len(here.relay.statuses(3)) > 2, timeout=180, what="the same message again")
        effects = max(len(here.effects(3)), here.generation() - before, len(here.around.serving.switches))
        lost, taken = len(here.relay.statuses(3, 503)), len(here.relay.statuses(3))
    report(
        "ha_pair",
        {
            "effects": Measured(effects, "rollbacks", 1),
            "refused": Measured(lost, "messages"),
            "taken": Measured(taken, "messages"),
            "back_to_recovered_seconds": Measured(took, "s"),
        },
    )


if __name__ == "__main__":
    main()
