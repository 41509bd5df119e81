"""How long each process takes to start and how much memory it then holds, idle, against the targets of the design.

Prints one JSON object as its last line. Start is from the start of the command to the first answer of /-/healthy.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag_demo.ports import free_ports  # noqa: E402
from airbag_demo.stack import Stack  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us

RUNS = 5
# The serving exporter has a benchmark of its own.
TARGETS = {"quality-exporter": (1.0, 90.0), "host-exporter": (1.0, 60.0), "receiver": (None, None)}


def resident_mib(pid: int) -> float:
    """RSS now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def once(command: list[str], port: int) -> tuple[float, float]:
    """Seconds to the first answer, and MiB one second later."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
        try:
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.005)
            requests.get(f"http://127.0.0.1:{port}/-/healthy", timeout=5).raise_for_status()
            seconds = time.perf_counter() - begun
            time.sleep(1)
            requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).raise_for_status()
            return seconds, resident_mib(child.pid)
        finally:
            child.terminate()


def main() -> None:
    """Measure every process RUNS times and print the medians."""
    metrics = {}
    with tempfile.TemporaryDirectory() as folder, free_ports() as ports:
        stack = Stack(ROOT, Path(folder), ports)
        stack.prepare()
        for name, (start_target, rss_target) in TARGETS.items():
            program = next(each for each in stack.programs() if each.name == name)
            runs = [once(list(program.command), ports[name]) for _ in range(RUNS)]
            key = name.replace("-", "_")
            metrics[f"{key}_start_seconds"] = Measured(statistics.median(s for s, _ in runs), "s", start_target)
            metrics[f"{key}_rss_mib"] = Measured(statistics.median(mib for _, mib in runs), "MiB", rss_target)
    report("process_footprint", metrics)


if __name__ == "__main__":
    main()
