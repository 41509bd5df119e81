"""Runs in Evidently's environment. It looks at the rows of the reference anew each time; there is no other way."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

os.environ["DO_NOT_TRACK"] = "1"
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402 - threads are counted at import
import pandas as pd  # noqa: E402
from evidently import DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402


def main() -> None:
    """Read the rows, print what was measured."""
    rows = np.load(sys.argv[1])
    names = [f"f{number:02}" for number in range(rows["live"].shape[1])]
    definition = DataDefinition(numerical_columns=names)
    reference, live = (pd.DataFrame(rows[which], columns=names) for which in ("reference", "live"))
    begun = time.perf_counter()
    current, known = (Dataset.from_pandas(each, data_definition=definition) for each in (live, reference))
    report = Report([DataDriftPreset(num_method="psi")]).run(current, known)
    metrics = report.dict()["metrics"]
    seconds = time.perf_counter() - begun
    found = {each["config"].get("column"): each["value"] for each in metrics if "column" in each.get("config", {})}
    drift = {name: float(found[name]) for name in names}
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rss_mib": rss, "drift": drift}))


if __name__ == "__main__":
    main()
