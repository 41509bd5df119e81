"""What each alert that a machine may answer rests on. One line of the table is one alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airbag.config import parse_duration
from airbag.rules import Profile
from airbag_rollback.engine.verdict import Bad

_RULE = "model_version:airbag_"
_VERSION = '{serving="$serving",model_name="$model",model_version="$version"}'
_MODEL = '{serving="$serving",model_name="$model"}'
_BY_MODEL = "by (serving, model_name)"
_PER_MODEL = "on (serving, model_name) group_left ()"


SERVER_S_FAULT = 'status!~"OK|CANCELLED|NOT_FOUND|UNAUTHENTICATED|PERMISSION_DENIED"'
"""Which answers count as errors, in the words of the rules."""


@dataclass(frozen=True)
class Signal:
    """The queries behind an alert; `fill` puts names, version and the profile's windows in.

    `history` and `history_samples` are asked at the moment when a version last served. Without `history` the signal
    has no baseline; without `samples` it rests on a state. `recovered` is asked instead of `value` once the version
    to go back to serves. A signal that `yields` leaves the decision to others when its baseline is bad or missing.

    What tells the release from the world: `others` answers for every model with enough data 1 when it is bad by this
    signal now and 0 when it is not; with `others_released` those count that were released lately too. `good` answers at
    the moments at which the version measured good on enough samples. Trouble of a signal that is `moved_by_load` or
    `moved_by_inputs` may come from more requests, or from other ones. `lately` is the same share over the last three
    scrapes alone: a fault that has stopped by itself stays in the window for a while.
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
    others: str = ""
    others_released: bool = False
    good: str = ""
    moved_by_load: bool = False
    moved_by_inputs: bool = False
    lately: str = ""


def fill(query: str, serving: str, model: str, version: int, pace: Profile) -> str:
    """The query about one version, with `$serving`, `$model`, `$version`, `$window`, `$burst` and `$lately` filled in.

    The names come from our own configuration, so that nothing needs escaping.
    """
    filled = query.replace("$serving", serving).replace("$model", model)
    filled = filled.replace("$lately", f"{3 * parse_duration(pace.interval):g}s")
    return filled.replace("$version", str(version)).replace("$window", pace.window).replace("$burst", pace.burst)


def _share(
    alertname: str, name: str, counted: str, threshold: str, raw: tuple[str, str], *, moved_by_load: bool = False
) -> Signal:  # fmt: skip
    """By the lower bound of the window, or of its latest part where that is worse and rests on enough answers.

    `raw` are the counters of bad answers and of all, as the rules select them.
    """
    bad, every = (f"sum(increase({each}[$lately]))" for each in raw)
    of, samples_min = f"{_RULE}tfs_{name}", f"max(airbag_tfs_requests_min{_MODEL})"
    lately = f"{_RULE}tfs_{counted}:increase$burst{_VERSION} >= on() group_left() {samples_min}"
    whole, latest = f"{of}:lower_bound$window{_VERSION}", f"({of}:lower_bound$burst{_VERSION} and {lately})"
    ratio, samples = f"{of}:ratio$window{_VERSION}", f"{_RULE}tfs_{counted}:increase$window{_VERSION}"
    return Signal(
        value=f"{latest} > {whole} or {whole} or {latest}",
        threshold=f"max({threshold}{_MODEL})",
        age=f"time() - timestamp({ratio})",
        samples=samples,
        samples_min=samples_min,
        history=f"avg_over_time({ratio}[5m])",
        history_samples=f"max_over_time({samples}[5m])",
        others=_others(alertname, f"{_RULE}tfs_{counted}:increase$window >= {_ENOUGH_ANSWERS}"),
        good=f"{ratio} <= {_limit(threshold)} and {samples} >= {_limit('airbag_tfs_requests_min')}",
        moved_by_load=moved_by_load,
        lately=f"{bad} / ({every} > 0)",
    )


def _others(alertname: str, judged: str) -> str:
    """1 for every model that the alert accuses, also if not for long enough yet, 0 for the others that are `judged`.

    The rule has judged them a moment ago; judging a fleet anew takes longer than all other questions together.
    """
    return f'max {_BY_MODEL} (ALERTS{{alertname="{alertname}"}}) or 0 * max {_BY_MODEL} ({judged})'


def _limit(name: str, choose: str = "max") -> str:
    """A threshold of the model, to compare series of its versions with."""
    return f"{_PER_MODEL} {choose} {_BY_MODEL} ({name}{_MODEL})"


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


_ENOUGH_ANSWERS = f"{_PER_MODEL} max {_BY_MODEL} (airbag_tfs_requests_min)"
_PROBES = f"airbag_tfs_probe_success{_VERSION}"
_ACCURACY = f"{_RULE}quality_accuracy:ratio$window{_VERSION}"
_ACCURACY_BOUND = f"{_RULE}quality_accuracy:upper_bound$window{_VERSION}"
_LABELLED = f"{_RULE}quality_labelled:increase$window{_VERSION}"
_ENOUGH_LABELS = f"{_RULE}quality_labelled:sufficient$window{_VERSION} == 1"
_DROP = f"{_RULE}quality_release_accuracy:drop_lower_bound{_VERSION}"
_CANDIDATE = f"{_RULE}quality_version_role:candidate{_VERSION}"
_RELEASE_LABELLED = f"{_RULE}quality_release_labelled:increase{_VERSION}"


def _low(alertname: str) -> Signal:
    """The bound of the accuracy that chance explains is below what is allowed."""
    sufficient = f"{_RULE}quality_labelled:sufficient$window == 1"
    return Signal(
        value=_ACCURACY_BOUND,
        threshold=f"min(airbag_quality_accuracy_min{_MODEL})",
        age=f"time() - timestamp({_ACCURACY})",
        bad=Bad.BELOW,
        samples=_LABELLED,
        samples_min=f"max(airbag_quality_labels_min{_MODEL})",
        history=f"avg_over_time({_ACCURACY}[5m])",
        history_samples=f"max_over_time({_LABELLED}[5m])",
        others=_others(alertname, f"{sufficient} and on (serving, model_name) airbag_quality_accuracy_min"),
        good=f"{_ACCURACY} >= {_limit('airbag_quality_accuracy_min', 'min')} and {_ENOUGH_LABELS}",
        moved_by_inputs=True,
    )


def _dropped() -> Signal:
    """The suspect's drop below the version before it, as far as chance does not explain it.

    Whom one would go back to has itself dropped below the version before it, or by nothing: then it was compared with
    none. Once it serves again it is compared with its own past hour, as the suspect answers no more. Other models have
    no version before them to be compared with, so for them it is what they measured an hour ago.
    """
    now, sufficient = f"{_RULE}quality_accuracy:upper_bound$window", f"{_RULE}quality_labelled:sufficient$window == 1"
    then = f"{_RULE}quality_release_accuracy:sufficient_ratio offset 1h"
    allowed = f"max {_BY_MODEL} (airbag_quality_accuracy_drop_max)"
    difference = f"model:airbag_quality_release_accuracy:difference{_MODEL}"
    return Signal(
        value=_DROP,
        threshold=f"max(airbag_quality_accuracy_drop_max{_MODEL})",
        age=f"time() - timestamp({_RELEASE_LABELLED})",
        samples=_RELEASE_LABELLED,
        samples_min=f"max(airbag_quality_labels_min{_MODEL})",
        history=f"avg_over_time({_DROP}[5m]) or 0 * max_over_time({_RELEASE_LABELLED}[5m])",
        history_samples=f"max_over_time({_RELEASE_LABELLED}[5m])",
        recovered=f"avg_over_time({_ACCURACY}[1h]) - ({_ACCURACY_BOUND} and {_ENOUGH_LABELS})",
        others=f"max {_BY_MODEL} (({then} - {now}) > bool {_PER_MODEL} {allowed} and {sufficient})",
        good=f"(0 - {difference}) <= {_limit('airbag_quality_accuracy_drop_max')} "
        f"and on (serving, model_name) {_CANDIDATE}",
        moved_by_inputs=True,
    )


SIGNALS: Mapping[str, Signal] = {
    "AirbagErrorRatioHigh": _share(
        "AirbagErrorRatioHigh", "errors_per_request", "requests", "airbag_tfs_error_ratio_max",
        (f"airbag_tfs_requests_total{_VERSION[:-1]},{SERVER_S_FAULT}}}", f"airbag_tfs_requests_total{_VERSION}"),
    ),
    "AirbagLatencyHigh": _share(
        "AirbagLatencyHigh", "slow_per_answer", "answers", "airbag_tfs_slow_ratio_max",
        (f"airbag_tfs_slow_requests_total{_VERSION}", f"airbag_tfs_answers_total{_VERSION}"), moved_by_load=True,
    ),
    "AirbagAccuracyLow": _low("AirbagAccuracyLow"),
    "AirbagAccuracyDropped": _dropped(),
    "AirbagProbeFailed": Signal(
        value=_wrong(_PROBES),
        threshold="vector(0)",
        age=_probe_age(),
        history=_wrong(f"last_over_time({_PROBES}[5m])"),
        others=_others("AirbagProbeFailed", "airbag_tfs_probe_success"),
        good=f"min({_PROBES}) == 1",
        yields=True,  # golden requests may be wrong themselves, which must not keep other alerts from acting
    ),
    "AirbagVersionLoadFailed": Signal(
        value=_failing(_VERSION),
        threshold="vector(0)",
        age='time() - min(airbag_tfs_last_poll_timestamp_seconds{serving="$serving"})',
        recovered=_failing(_MODEL),
        others=_others(
            "AirbagVersionLoadFailed", "airbag_tfs_available_versions and on (serving, target) (airbag_tfs_up == 1)"
        ),
        others_released=True,  # a load is tried at a release, and several that fail at once have one cause
    ),
}  # fmt: skip
