"""Every family of the serving exporter: its name, its help, its labels."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

_TARGET = ("serving", "target")
_MODEL = (*_TARGET, "model_name")
_VERSION = (*_MODEL, "model_version")
_EXPECTED = ("serving", "model_name")


def _gauge(name: str, text: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"airbag_tfs_{name}", text, labels=labels)


def _counter(name: str, text: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(f"airbag_tfs_{name}", text, labels=labels)


class Families:
    """The families of one scrape, each once and empty, in the order of the page."""

    def __init__(self) -> None:
        self.up = _gauge("up", "Whether the server answered the last poll (TF Serving: GetModelStatus).", _TARGET)
        self.part = _gauge(
            "scrape_part_success", "Whether the server answered this part of the last poll.", (*_TARGET, "part")
        )
        self.duration = _gauge("scrape_duration_seconds", "How long the last poll of the server took.", _TARGET)
        self.polled = _gauge("last_poll_timestamp_seconds", "When the last poll of the server ended.", _TARGET)
        self.state = _gauge(
            "model_version_state", "State of each version (TF Serving: GetModelStatus).", (*_VERSION, "state")
        )
        self.error = _gauge(
            "model_version_error", "1 while a version stands at END because its load failed.", (*_VERSION, "code")
        )
        self.wanted = _gauge(
            "model_version_wanted",
            "Whether a version is meant to serve: named by models.config, else newer than what serves.",
            _VERSION,
        )
        self.default = _gauge(
            "default_version", "Version that answers clients who name none (TF Serving: GetModelMetadata).", _MODEL
        )
        self.label = _gauge(
            "label_version", "Version that a label stands for (TF Serving: GetModelMetadata).", (*_MODEL, "label")
        )
        self.switches = _counter(
            "version_switches", "Changes of the version that answers clients who name none.", _MODEL
        )
        self.requests = _counter(
            "requests",
            "Finished requests by the version that answered (TF Serving: :tensorflow:serving:request_count).",
            (*_VERSION, "status"),
        )
        self.answers = _counter("answers", "Successes of predict, classify and regress.", _VERSION)
        self.slow = _counter(
            "slow_requests", "Successes of predict, classify and regress over the model's latency bound.", _VERSION
        )
        self.latency = HistogramMetricFamily(
            "airbag_tfs_request_duration_seconds",
            "Duration of successes (TF Serving: :tensorflow:serving:request_latency, in microseconds). "
            "Edges are exclusive. There is no sum: the server's own has six digits.",
            labels=(*_VERSION, "api", "entrypoint"),
        )
        self.error_ratio_max = _gauge("error_ratio_max", "Share of failures above which a version is bad.", _EXPECTED)
        self.latency_bound = _gauge("latency_bound_seconds", "Duration above which an answer is slow.", _EXPECTED)
        self.slow_ratio_max = _gauge("slow_ratio_max", "Share of slow answers above which a version is bad.", _EXPECTED)
        self.requests_min = _gauge(
            "requests_min", "Requests in the rules' window below which there is no verdict.", _EXPECTED
        )

    def __iter__(self) -> Iterator[Metric]:
        return iter(vars(self).values())
