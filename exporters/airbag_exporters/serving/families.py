"""Every family of the serving exporter's pollers: its name, its help, its labels."""

from __future__ import annotations

from airbag.exposition import Family

_TARGET = ("serving", "target")
_MODEL = (*_TARGET, "model_name")
_VERSION = (*_MODEL, "model_version")
_GROUP = ("serving",)
_EXPECTED = ("serving", "model_name")


def _gauge(name: str, text: str, labels: tuple[str, ...]) -> Family:
    return Family(f"airbag_tfs_{name}", "gauge", text, labels)


def _counter(name: str, text: str, labels: tuple[str, ...]) -> Family:
    return Family(f"airbag_tfs_{name}_total", "counter", text, labels)


UP = _gauge("up", "Whether the server answered the last poll (TF Serving: GetModelStatus).", _TARGET)
PART = _gauge(
    "scrape_part_success",
    "Whether this part of the last poll worked; `page` is 0 when the native page holds what nobody can read.",
    (*_TARGET, "part"),
)
DURATION = _gauge("scrape_duration_seconds", "How long the last poll of the server took.", _TARGET)
POLLED = _gauge("last_poll_timestamp_seconds", "When the last poll of the server ended.", _TARGET)
MODELS = _gauge("models", "Models that are watched, discovered ones included.", _TARGET)
MODELS_MAX = _gauge("models_max", "Models beyond this number are counted as `other`.", _GROUP)
STATE = _gauge("model_version_state", "State of each version (TF Serving: GetModelStatus).", (*_VERSION, "state"))
ERROR = _gauge("model_version_error", "1 while a version stands at END because its load failed.", (*_VERSION, "code"))
LOADING_SINCE = _gauge(
    "model_version_loading_since_timestamp_seconds",
    "Since when a version is seen at START or LOADING; absent once it is neither. Begins anew with the exporter.",
    _VERSION,
)
AVAILABLE = _gauge(
    "available_versions",
    "Versions that are AVAILABLE, of each model that exporters.yml or models.config lists.",
    _MODEL,
)
WANTED = _gauge(
    "model_version_wanted",
    "Whether a version is meant to serve: named by models.config, else newer than what serves.",
    _VERSION,
)
DEFAULT = _gauge(
    "default_version", "Version that answers clients who name none (TF Serving: GetModelMetadata).", _MODEL
)
PREVIOUS = _gauge(
    "previous_version",
    "Version that was last seen to answer by default before the present one; absent if none was.",
    _MODEL,
)
LABEL = _gauge("label_version", "Version that a label stands for (TF Serving: GetModelMetadata).", (*_MODEL, "label"))
LABEL_AVAILABLE = _gauge(
    "label_available", "Whether a configured label stands for a version that is AVAILABLE.", (*_MODEL, "label")
)
SWITCHES = _counter("version_switches", "Changes of the version that answers clients who name none.", _MODEL)
REQUESTS = _counter(
    "requests",
    "Finished requests by the version that answered (TF Serving: :tensorflow:serving:request_count).",
    (*_VERSION, "status"),
)
ANSWERS = _counter("answers", "Successes of predict, classify and regress.", _VERSION)
SLOW = _counter("slow_requests", "Successes of predict, classify and regress over the model's latency bound.", _VERSION)
LATENCY = Family(
    "airbag_tfs_request_duration_seconds",
    "histogram",
    "Duration of successes (TF Serving: :tensorflow:serving:request_latency, in microseconds). "
    "Edges are exclusive. There is no sum: the server's own has six digits.",
    (*_VERSION, "api", "entrypoint"),
)
ERROR_RATIO_MAX = _gauge("error_ratio_max", "Share of failures above which a version is bad.", _EXPECTED)
LATENCY_BOUND = _gauge("latency_bound_seconds", "Duration above which an answer is slow.", _EXPECTED)
SLOW_RATIO_MAX = _gauge("slow_ratio_max", "Share of slow answers above which a version is bad.", _EXPECTED)
REQUESTS_MIN = _gauge("requests_min", "Requests in the rules' window below which there is no verdict.", _EXPECTED)
LATENCY_INCREASE_MAX = _gauge(
    "latency_increase_max", "Times the median of the version before above which a median is told.", _EXPECTED
)
LOAD_MAX = _gauge("load_duration_max_seconds", "Duration above which a load is stuck.", _EXPECTED)
AVAILABILITY_OBJECTIVE = _gauge("availability_objective", "Share of requests that should not fail.", _EXPECTED)
LATENCY_OBJECTIVE = _gauge("latency_objective", "Share of answers that should not be slow.", _EXPECTED)

POLLS = (UP, PART, DURATION, POLLED, MODELS)
FACTS = (
    STATE,
    ERROR,
    LOADING_SINCE,
    AVAILABLE,
    WANTED,
    DEFAULT,
    PREVIOUS,
    LABEL,
    LABEL_AVAILABLE,
    SWITCHES,
)
TRAFFIC = (REQUESTS, ANSWERS, SLOW, LATENCY)
EXPECTATIONS = (
    MODELS_MAX,
    ERROR_RATIO_MAX,
    LATENCY_BOUND,
    SLOW_RATIO_MAX,
    REQUESTS_MIN,
    LATENCY_INCREASE_MAX,
    LOAD_MAX,
    AVAILABILITY_OBJECTIVE,
    LATENCY_OBJECTIVE,
)
ALL = (*POLLS, *FACTS, *TRAFFIC, *EXPECTATIONS)
