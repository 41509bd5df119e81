"""What a scrape of the quality exporter's counters costs: 20 models with 3 versions, 20 features in 10 bins.

Prints one JSON object as its last line. A scrape is rendered from the counters and compressed as Prometheus asks for
it, in one thread; between two scrapes every counter grows. The peer is what prometheus_client takes to render the same
series, without compressing them. HTTP is left to `quality_intake`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag.metrics_page import exposition_response  # noqa: E402
from airbag.serving.quality import ModelQuality  # noqa: E402
from airbag_exporters.quality.columns import Owner  # noqa: E402
from airbag_exporters.quality.counting import Block, Layout, ModelLayout  # noqa: E402
from airbag_exporters.quality.models import Spec  # noqa: E402
from airbag_exporters.quality.reference.value import Numeric, Reference  # noqa: E402
from airbag_exporters.quality.render import Snapshot, encode_snapshot, metrics_page, reference_page  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us

MODELS, VERSIONS, FEATURES, BINS = 20, 3, 20, 10
SCRAPES = 200
REQUEST = Request({"type": "http", "headers": [(b"accept-encoding", b"gzip")]})


def reference() -> Reference:
    """Quantiles of normal features and of a score between 0 and 1."""
    draw = np.random.default_rng(1)

    def profile() -> Numeric:
        values = np.sort(draw.normal(size=10_000))
        edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
        le = (*np.searchsorted(values, edges, side="right").tolist(), len(values))
        return Numeric(edges=tuple(edges.tolist()), le=le, minimum=values[0], maximum=values[-1])

    score_edges = tuple((np.arange(1, 50) / 50).tolist())
    features = {f"feature_{number:02}": profile() for number in range(FEATURES)}
    return Reference(rows=10_000, features=features, score=profile(), score_edges=score_edges)


def snapshot() -> Snapshot:
    """Counters as after some days of traffic."""
    known = reference()
    draw = np.random.default_rng(2)
    blocks = {}
    for model in range(MODELS):
        spec = Spec("edge", f"model-{model}", ("no", "yes"), ModelQuality(kind="binary"), known)
        for version in range(1, VERSIONS + 1):
            owner = Owner("edge", spec.model, str(version))
            block = Block(Layout.of(spec, owner))
            block.ints += draw.integers(0, 10**8, len(block.ints))
            block.floats += draw.random(len(block.floats)) * 1e7
            blocks[owner] = block
    names = [("edge", f"model-{model}") for model in range(MODELS)]
    return Snapshot(
        blocks=blocks,
        labels={name: Block(ModelLayout.of(*name)) for name in names},
        roles={owner: "candidate" if owner.version == "3" else "stable" for owner in blocks},
        references=dict.fromkeys(blocks, known),
        kinds=dict.fromkeys(names, "binary"),
    )


def timed(times: int, call: Callable[[], object], before: Callable[[], None] = lambda: None) -> list[float]:
    """Milliseconds of each call, in ascending order."""
    took = []
    for _ in range(times):
        before()
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)


def rendered_by_the_peer(page: str) -> Callable[[], bytes]:
    """What renders the same families from prometheus_client's own objects."""
    families = list(text_string_to_metric_families(page))

    class Ready:
        def collect(self) -> list[object]:
            return families

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ready())
    return lambda: generate_latest(registry)


def main() -> None:
    """Measure and print."""
    shown = snapshot()

    def grow() -> None:
        for block in shown.blocks.values():
            block.ints += 7
            block.floats += 0.7

    page = b"".join(metrics_page(shown)).decode()
    scrapes = timed(SCRAPES, lambda: exposition_response(REQUEST, metrics_page(shown)), grow)
    rendered = timed(SCRAPES, lambda: b"".join(metrics_page(shown)), grow)
    peer = timed(5, rendered_by_the_peer(page))
    report(
        "quality_scrape",
        {
            "scrape_ms": Measured(
                statistics.median(scrapes), "ms", 60.0, peer="prometheus_client", peer_value=statistics.median(peer)
            ),
            "scrape_p99_ms": Measured(scrapes[int(SCRAPES * 0.99) - 1], "ms"),
            "render_p50_ms": Measured(statistics.median(rendered), "ms"),
            "reference_ms": Measured(statistics.median(timed(20, lambda: b"".join(reference_page(shown)))), "ms"),
            "snapshot_ms": Measured(statistics.median(timed(20, lambda: encode_snapshot(shown))), "ms"),
            "series": Measured(sum(not line.startswith("#") for line in page.splitlines()), "series"),
            "page_bytes": Measured(len(page), "bytes"),
        },
    )


if __name__ == "__main__":
    main()
