"""What it costs to read TF Serving's metrics page of 100 models, beside prometheus_client's parser on the same page.

Prints one JSON object as its last line. The page is the real server's, with the counters and histograms of 100 models
added; they grow from page to page as those of a busy server do. Medians; lines per second count every line of the page.
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag_exporters.serving.native import Counter, Parser, Requests, parse  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us, like the tests' writer of pages
from tests.exporters.native_page import histogram, write  # noqa: E402

MODELS, PAGES, PEER_PAGES = 100, 31, 5
PEER = "prometheus_client"
SAMPLE = (ROOT / "tests" / "golden" / "tf-serving-metrics-page.txt").read_bytes()


def page(times: int) -> bytes:
    """The page after `times` rounds of the same traffic."""
    counters: dict[Counter, int] = {}
    for number in range(MODELS):
        name = f"model-{number:03}"
        for status, count in (("OK", 50_000), ("INVALID_ARGUMENT", 300), ("INTERNAL", 7)):
            counters[Requests(name, status)] = count * times
        for api, entrypoint in (("Predict", "GRPC"), ("predict", "REST")):
            buckets = histogram(name, api, entrypoint, [900.0, 2500.0, 2600.0, 9000.0, 40_000.0])
            counters.update({bucket: count * times * 10_000 for bucket, count in buckets.items()})
    return SAMPLE + write(counters)


def seconds(read: Callable[[], object]) -> float:
    """How long one call takes."""
    begun = time.perf_counter()
    read()
    return time.perf_counter() - begun


def kept_and_peak(parser: Parser, pages: list[bytes]) -> tuple[float, float]:
    """MiB that a parser holds between pages, and at most while it reads one, the page itself not counted."""
    tracemalloc.start()
    try:
        for each in pages:
            parser.parse(each)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        parser.parse(pages[-1])
        return kept / 2**20, tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def main() -> None:
    """Measure and print."""
    pages = [page(times) for times in range(1, PAGES + 1)]
    parser = Parser()
    first = statistics.median(seconds(lambda each=each: parse(each)) for each in pages[:PEER_PAGES])
    parser.parse(pages[0])
    steady = statistics.median(seconds(lambda each=each: parser.parse(each)) for each in pages[1:])
    peer = statistics.median(
        seconds(lambda each=each: list(text_string_to_metric_families(each.decode()))) for each in pages[:PEER_PAGES]
    )
    lines = pages[-1].count(b"\n")
    kept, peak = kept_and_peak(Parser(), pages[:3])
    report(
        "native_parse",
        {
            "lines_per_second": Measured(lines / steady, "1/s", None, "higher", PEER, lines / peer),
            "page_milliseconds": Measured(steady * 1000, "ms", peer=PEER, peer_value=peer * 1000),
            "first_page_milliseconds": Measured(first * 1000, "ms", peer=PEER, peer_value=peer * 1000),
            "page_bytes": Measured(len(pages[-1]), "B"),
            "page_lines": Measured(lines, "1"),
            "kept_mib": Measured(kept, "MiB"),
            "peak_mib": Measured(peak, "MiB"),
        },
    )


if __name__ == "__main__":
    main()
