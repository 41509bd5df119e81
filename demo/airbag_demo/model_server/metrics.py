"""The native metrics page, byte for byte in the real server's dialect.

# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="m",status="OK"} 2
"""

from __future__ import annotations

import bisect
import itertools
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

CONTENT_TYPE = "text/plain"
SERVING = ":tensorflow:serving:"
BATCHING = SERVING + "batching_session:"


def edges(count: int, first: float = 10.0, factor: float = 1.8) -> tuple[float, ...]:
    """The finite upper edges of an exponential histogram; latencies use 10 x 1.8^i microseconds."""
    return tuple(itertools.accumulate(range(count - 1), lambda edge, _: edge * factor, initial=first))


class Counter:
    """A whole number per set of label values; a series begins with its first event and never ends."""

    kind = "counter"

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self._labels = tuple(labels)
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str, by: int = 1) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + by

    def begin(self, *labels: str) -> None:
        """Show the series from now on, at 0 if nothing was counted."""
        self.add(*labels, by=0)

    def first(self) -> int:
        """The value of the first series, 0 if there is none."""
        with self._lock:
            return self._values[min(self._values)] if self._values else 0

    def lines(self, name: str) -> Iterator[str]:
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            yield f"{name}{_braces(zip(self._labels, labels, strict=True))} {value}"


class Histogram:
    """Observations per set of label values. Upper edges are exclusive: a value on an edge falls in the next bucket."""

    kind = "histogram"

    def __init__(self, labels: Sequence[str], upper: Sequence[float]) -> None:
        self._labels = tuple(labels)
        self._upper = tuple(upper)
        self._shown = [*(_number(edge) for edge in upper), "+Inf"]
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, *labels: str) -> None:
        with self._lock:
            buckets = self._buckets.get(labels)
            if buckets is None:
                buckets = self._buckets[labels] = [0] * len(self._shown)
            buckets[bisect.bisect_right(self._upper, value)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def lines(self, name: str) -> Iterator[str]:
        with self._lock:
            series = sorted((labels, list(buckets), self._sums[labels]) for labels, buckets in self._buckets.items())
        for labels, buckets, total in series:
            pairs = list(zip(self._labels, labels, strict=True))
            counts = list(itertools.accumulate(buckets))
            for edge, count in zip(self._shown, counts, strict=True):
                yield f"{name}_bucket{_braces([*pairs, ('le', edge)])} {count}"
            yield f"{name}_sum{_braces(pairs)} {_number(total)}"
            yield f"{name}_count{_braces(pairs)} {counts[-1]}"


class ServerMetrics:
    """What this server counts. All latencies are microseconds."""

    def __init__(self) -> None:
        self.request_count = Counter(["model_name", "status"])
        self.request_latency = Histogram(["model_name", "API", "entrypoint"], edges(33))
        self.runtime_latency = Histogram(["model_name", "API", "runtime"], edges(33))
        self.example_counts = Histogram(["model"], edges(15, 1.0, 2.0))
        self.example_total = Counter(["model"])
        self.queuing_latency = Histogram(["thread_pool_name"], edges(52, 100.0, 1.2))
        self.wrapped_runs = Counter()
        self.padding_size = Histogram(["execution_batch_size"], edges(14, 1.0, 2.0))
        self.input_batch_size = Histogram([], edges(14, 1.0, 2.0))
        self.processed_batch_size = Histogram([], edges(14, 1.0, 2.0))
        self.warmup_latency = Histogram(["model_path", "status"], edges(33))
        self.warmup_records = Counter(["model_path", "status"])
        self.load_attempts = Counter(["model_path", "status"])
        self.load_latency = Counter(["model_path"])
        self.load_stages = Histogram(["model_path", "stage"], edges(37))
        self.read_count = Counter(["write_version"])
        self.read_api = Counter(["api_label"])
        self.always_zero = Counter()
        self.session_runs = Counter()
        self.graph_builds = Counter()
        self.pending_queue = Histogram([], edges(30, 1.0, 1.5))
        self.input_bytes = Histogram([], edges(14, 1.0, 4.0))
        self.output_bytes = Histogram([], edges(14, 1.0, 4.0))
        self.graph_runs = Counter()
        self.graph_run_time = Counter()
        self.graph_run_times = Histogram([], edges(20, 1000.0, 2.0))
        self._own: dict[str, Counter | Histogram] = {
            BATCHING + "queuing_latency": self.queuing_latency,
            BATCHING + "wrapped_run_count": self.wrapped_runs,
            BATCHING + "padding_size": self.padding_size,
            BATCHING + "input_batch_size": self.input_batch_size,
            BATCHING + "processed_batch_size": self.processed_batch_size,
            SERVING + "request_count": self.request_count,
            SERVING + "request_latency": self.request_latency,
            SERVING + "runtime_latency": self.runtime_latency,
            SERVING + "request_example_counts": self.example_counts,
            SERVING + "request_example_count_total": self.example_total,
            SERVING + "model_warmup_latency": self.warmup_latency,
            SERVING + "model_warmup_records_read": self.warmup_records,
            ":tensorflow:cc:saved_model:load_attempt_count": self.load_attempts,
            ":tensorflow:cc:saved_model:load_latency": self.load_latency,
            ":tensorflow:cc:saved_model:load_latency_by_stage": self.load_stages,
            ":tensorflow:core:saved_model:read:count": self.read_count,
            ":tensorflow:core:saved_model:read:api": self.read_api,
            ":tensorflow:core:saved_model:read:fingerprint": self.always_zero,
            ":tensorflow:core:saved_model:read:path": self.always_zero,
            ":tensorflow:core:session_created": self.always_zero,
            ":tensorflow:core:direct_session_runs": self.session_runs,
            ":tensorflow:core:graph_build_calls": self.graph_builds,
            ":tensorflow:core:graph_pending_queue_length_histogram": self.pending_queue,
            ":tensorflow:core:graph_run_input_tensor_bytes": self.input_bytes,
            ":tensorflow:core:graph_run_output_tensor_bytes": self.output_bytes,
            ":tensorflow:core:graph_runs": self.graph_runs,
            ":tensorflow:core:graph_run_time_usecs": self.graph_run_time,
            ":tensorflow:core:graph_run_time_usecs_histogram": self.graph_run_times,
        }

    def examples_counted(self, model: str, count: int) -> None:
        self.example_counts.observe(count, model)
        self.example_total.add(model, by=count)

    def loaded(self, write_version: str) -> None:
        """A SavedModel was read. The gauges beside the counters hold text or a truth value, which shows as 0."""
        self.read_count.add(write_version)
        self.read_api.add("cc_load")
        self.always_zero.begin()

    def first(self, raw_name: str) -> int:
        """The first series of a counter by its name with slashes; 0 for what is no counter or has no series."""
        found = self._own.get(_exposed(raw_name))
        return found.first() if isinstance(found, Counter) else 0

    def page(self) -> bytes:
        """The page. Bytes that clients put into names come out as they went in, valid UTF-8 or not."""
        lines: list[str] = []
        registered = dict(_registered())
        for name in sorted({*registered, *self._own}, key=_raw):
            samples = list(self._own[name].lines(name)) if name in self._own else []
            if name in registered or samples:
                lines += [f"# TYPE {name} {registered.get(name) or self._own[name].kind}", *samples]
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _registered() -> list[tuple[str, str]]:
    """Every name that the real server registers from the start, with its kind; others appear with their first event."""
    text = resources.files(__package__).joinpath("registered_metrics.txt").read_text(encoding="utf-8")
    return [(name, kind) for name, _, kind in (line.partition(" ") for line in text.splitlines())]


def _raw(name: str) -> str:
    """A name as TensorFlow has it: with slashes, by which the page is ordered."""
    return name.replace(":", "/")


def _exposed(raw_name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", ":", raw_name)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _braces(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs) + "}"


def _escaped(value: str) -> str:
    """Only backslash and quote; a newline stays a newline, as on the real page."""
    return value.replace("\\", "\\\\").replace('"', '\\"')
