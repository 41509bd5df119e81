"""What each alert that a machine may answer rests on. One line of the table is one alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airbag.rules import Profile
from airbag_rollback.engine.verdict import Bad

_RULE = "model_version:airbag_"
_VERSION = '{serving="$serving",model_name="$model",model_version="$version"}'
_MODEL = '{serving="$serving",model_name="$model"}'


@dataclass(frozen=True)
class Signal:
    """The queries behind an alert; `fill` puts names, version and the profile's windows in.

    `history` and `history_samples` are asked at the moment when a version last served. Without `history` the signal
    has no baseline; without `samples` it rests on a state. `recovered` is asked instead of `value` once the version
    to go back to serves. A signal that `yields` leaves the decision to others when its baseline is bad or missing.
    """

    value: str
    threshold: str
    age: str
    bad: Bad = Bad.ABOVE
    samples: str = ""
    samples_min: str = ""
    history: str = ""
    history_samples: str = ""
    recovered: str = ""
    yields: bool = False


def fill(query: str, serving: str, model: str, version: int, pace: Profile) -> str:
    """The query about one version, with `$serving`, `$model`, `$version`, `$window` and `$burst` filled in.

    The names come from our own configuration, so that nothing needs escaping.
    """
    filled = query.replace("$serving", serving).replace("$model", model)
    return filled.replace("$version", str(version)).replace("$window", pace.window).replace("$burst", pace.burst)


def _compared(value: str, records: str, samples: str, threshold: str, samples_min: str, bad: Bad = Bad.ABOVE) -> Signal:
    choose = "max" if bad is Bad.ABOVE else "min"
    return Signal(
        value=value,
        threshold=f"{choose}({threshold}{_MODEL})",
        age=f"time() - timestamp({records})",
        bad=bad,
        samples=samples,
        samples_min=f"max({samples_min}{_MODEL})",
        history=f"avg_over_time({records}[5m])",
        history_samples=f"max_over_time({samples}[5m])",
    )


def _share(name: str, counted: str, threshold: str) -> Signal:
    """By the lower bound of the window, or of its latest part where that is worse and rests on enough answers."""
    of, samples_min = f"{_RULE}tfs_{name}", f"max(airbag_tfs_requests_min{_MODEL})"
    lately = f"{_RULE}tfs_{counted}:increase$burst{_VERSION} >= on() group_left() {samples_min}"
    whole, latest = f"{of}:lower_bound$window{_VERSION}", f"({of}:lower_bound$burst{_VERSION} and {lately})"
    ratio, samples = f"{of}:ratio$window{_VERSION}", f"{_RULE}tfs_{counted}:increase$window{_VERSION}"
    return _compared(f"{latest} > {whole} or {whole} or {latest}", ratio, samples, threshold, "airbag_tfs_requests_min")


def _failing(selector: str) -> str:
    """How many versions fail that are wanted; 0 only while the exporter sees the server, else no answer."""
    wanted = f"airbag_tfs_model_version_wanted{selector} == 1"
    match = "on(serving, target, model_name, model_version)"
    failing = f"count((airbag_tfs_model_version_error{selector} == 1) and {match} ({wanted}))"
    return f'{failing} or (0 * count(airbag_tfs_up{{serving="$serving"}} == 1))'


def _wrong(probes: str) -> str:
    """How many golden requests fail; no answer before any was asked."""
    return f"count({probes} == 0) or (0 * count({probes}))"


def _probe_age() -> str:
    """That of the youngest wrong answer, else of the oldest right one."""
    last = f"airbag_tfs_probe_last_timestamp_seconds{_VERSION}"
    match = "on(serving, target, model_name, model_version, probe)"
    return f"time() - (max({last} and {match} ({_PROBES} == 0)) or min({last}))"


_PROBES = f"airbag_tfs_probe_success{_VERSION}"
_ACCURACY = f"{_RULE}quality_accuracy:ratio$window{_VERSION}"
_ACCURACY_BOUND = f"{_RULE}quality_accuracy:upper_bound$window{_VERSION}"
_LABELLED = f"{_RULE}quality_labelled:increase$window{_VERSION}"
_ENOUGH_LABELS = f"{_RULE}quality_labelled:sufficient$window{_VERSION} == 1"
_DROP = f"{_RULE}quality_release_accuracy:drop_lower_bound{_VERSION}"
_RELEASE_LABELLED = f"{_RULE}quality_release_labelled:increase{_VERSION}"


def _dropped() -> Signal:
    """The suspect's drop below the version before it, as far as chance does not explain it.

    Whom one would go back to has itself dropped below the version before it, or by nothing: then it was compared with
    none. Once it serves again it is compared with its own past hour, as the suspect answers no more.
    """
    return Signal(
        value=_DROP,
        threshold=f"max(airbag_quality_accuracy_drop_max{_MODEL})",
        age=f"time() - timestamp({_RELEASE_LABELLED})",
        samples=_RELEASE_LABELLED,
        samples_min=f"max(airbag_quality_labels_min{_MODEL})",
        history=f"avg_over_time({_DROP}[5m]) or 0 * max_over_time({_RELEASE_LABELLED}[5m])",
        history_samples=f"max_over_time({_RELEASE_LABELLED}[5m])",
        recovered=f"avg_over_time({_ACCURACY}[1h]) - ({_ACCURACY_BOUND} and {_ENOUGH_LABELS})",
    )


SIGNALS: Mapping[str, Signal] = {
    "AirbagErrorRatioHigh": _share("errors_per_request", "requests", "airbag_tfs_error_ratio_max"),
    "AirbagLatencyHigh": _share("slow_per_answer", "answers", "airbag_tfs_slow_ratio_max"),
    "AirbagAccuracyLow": _compared(
        _ACCURACY_BOUND, _ACCURACY, _LABELLED, "airbag_quality_accuracy_min", "airbag_quality_labels_min", Bad.BELOW
    ),
    "AirbagAccuracyDropped": _dropped(),
    "AirbagProbeFailed": Signal(
        value=_wrong(_PROBES),
        threshold="vector(0)",
        age=_probe_age(),
        history=_wrong(f"last_over_time({_PROBES}[5m])"),
        yields=True,  # golden requests may be wrong themselves, which must not keep other alerts from acting
    ),
    "AirbagVersionLoadFailed": Signal(
        value=_failing(_VERSION),
        threshold="vector(0)",
        age='time() - min(airbag_tfs_last_poll_timestamp_seconds{serving="$serving"})',
        recovered=_failing(_MODEL),
    ),
}  # fmt: skip
