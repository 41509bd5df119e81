"""Runs in whylogs' environment. Its profile of the reference is made beforehand, as ours is."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402 - threads are counted at import
import pandas as pd  # noqa: E402
import whylogs as why  # noqa: E402
from whylogs.viz.drift.column_drift_algorithms import Hellinger, calculate_drift_scores  # noqa: E402


def main() -> None:
    """Read the rows, print what was measured."""
    rows = np.load(sys.argv[1])
    names = [f"f{number:02}" for number in range(rows["live"].shape[1])]
    reference, live = (pd.DataFrame(rows[which], columns=names) for which in ("reference", "live"))
    known = why.log(reference).view()
    begun = time.perf_counter()
    seen = why.log(live).view()
    scores = calculate_drift_scores(seen, known, drift_map={name: Hellinger() for name in names})
    seconds = time.perf_counter() - begun
    drift = {name: scores[name]["statistic"] for name in names}
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rss_mib": rss, "drift": drift}))


if __name__ == "__main__":
    main()
