"""What the exporters would have told of a model while a version was released: counters and states, second by second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tests.fakes.history import Series

Floats = npt.NDArray[np.float64]
OLD, NEW = 1, 2
_SERVING = {"job": "airbag-serving", "instance": "serving:9810"}
_QUALITY = {"job": "airbag-quality", "instance": "quality:9811"}


@dataclass
class Release:
    """Version 2 over version 1 at second `at` of `seconds`. Rates are per second, shares between 0 and 1.

    Arrays say what whoever answers does in each second. `accuracy` None is a model without labels. `loads` False:
    version 2 fails to load, and 1 goes on. From the second `inputs_from` on the inputs come from elsewhere. `scraped`
    says at which seconds Prometheus got a page; `up` whether the server answered the exporter.
    """

    model: str
    start: int
    seconds: int
    at: int
    seed: int
    serving: str = "main"
    loads: bool = True
    probes: bool = False
    errors_max: float = 0.05
    slow_max: float = 0.05
    accuracy_min: float = 0.85
    drop_max: float = 0.02
    inputs_from: int | None = None
    inputs_until: int | None = None
    rate: Floats = field(default_factory=lambda: np.zeros(0))
    errors: Floats = field(default_factory=lambda: np.zeros(0))
    slow: Floats = field(default_factory=lambda: np.zeros(0))
    accuracy: Floats | None = None
    labelled: float = 0.5
    wrong: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    scraped: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    up: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        """Healthy and steady where nothing else is said."""
        zeros = np.zeros(self.seconds)
        self.rate = self.rate if self.rate.size else zeros + 30
        self.errors = self.errors if self.errors.size else zeros + 0.001
        self.slow = self.slow if self.slow.size else zeros + 0.005
        self.wrong = self.wrong if self.wrong.size else zeros > 0
        self.scraped = self.scraped if self.scraped.size else zeros == 0
        self.up = self.up if self.up.size else zeros == 0

    @property
    def after(self) -> npt.NDArray[np.bool_]:
        """The seconds since the release."""
        return np.arange(self.seconds) >= self.at

    def series(self) -> Iterator[Series]:
        """Everything that the two exporters would have shown."""
        chance = np.random.default_rng(self.seed)
        yield from self._states()
        for version in (OLD, NEW):
            answers = self.after if version == NEW else ~self.after
            if not self.loads:
                answers = np.full(self.seconds, version == OLD)
            requests = np.where(answers & self.up, chance.poisson(self.rate), 0)
            failed = chance.binomial(requests, self.errors)
            slow = chance.binomial(requests - failed, self.slow)
            yield from self._counters(version, requests, failed, slow)
            if self.accuracy is not None:
                yield from self._labels(version, requests - failed, chance)

    def _states(self) -> Iterator[Series]:
        always = np.ones(self.seconds, bool)
        where = {"serving": self.serving, "target": "a", **_SERVING}
        model = {"serving": self.serving, "model_name": self.model, **_SERVING}
        served = np.where(self.after & self.loads, NEW, OLD)
        clock = self.start + np.arange(self.seconds)
        yield self._one("airbag_tfs_default_version", {**model, "target": "a"}, served, self.up)
        yield self._one("airbag_tfs_available_versions", {**model, "target": "a"}, always, self.up)
        for name, value in (
            ("error_ratio_max", self.errors_max), ("slow_ratio_max", self.slow_max), ("requests_min", 20.0),
        ):  # fmt: skip
            yield self._one(f"airbag_tfs_{name}", model, always * value)
        yield self._one("airbag_tfs_up", where, self.up * 1.0)
        yield self._one("airbag_tfs_last_poll_timestamp_seconds", where, clock)
        for version in (OLD, NEW):
            there = always if version == OLD else self.after
            about = {**model, "target": "a", "model_version": str(version)}
            yield self._one("airbag_tfs_model_version_wanted", about, always, there)
            if version == NEW and not self.loads:
                yield self._one("airbag_tfs_model_version_error", {**about, "code": "INVALID_ARGUMENT"}, always, there)
                continue
            state = {**about, "state": "AVAILABLE"}
            yield self._one("airbag_tfs_model_version_state", state, always, there & self.up)
            if self.probes:
                served_now = there & self.up
                asked = {**about, "probe": "zero"}
                right = 1.0 - self.wrong if version == NEW else always * 1.0
                yield self._one("airbag_tfs_probe_success", asked, right, served_now)
                yield self._one("airbag_tfs_probe_last_timestamp_seconds", asked, clock, served_now)

    def _counters(self, version: int, requests: Floats, failed: Floats, slow: Floats) -> Iterator[Series]:
        about = {"serving": self.serving, "model_name": self.model, "model_version": str(version), "target": "a"}
        there = np.arange(self.seconds) >= (0 if version == OLD else max(0, self.at - 3))
        if version == NEW and not self.loads:
            return
        counted = {"OK": requests - failed, "INTERNAL": failed}
        for status, count in counted.items():
            labels = {**about, "status": status, **_SERVING}
            yield self._one("airbag_tfs_requests_total", labels, np.cumsum(count), there)
        yield self._one("airbag_tfs_answers_total", {**about, **_SERVING}, np.cumsum(requests - failed), there)
        yield self._one("airbag_tfs_slow_requests_total", {**about, **_SERVING}, np.cumsum(slow), there)

    def _labels(self, version: int, answered: Floats, chance: np.random.Generator) -> Iterator[Series]:
        assert self.accuracy is not None
        model = {"serving": self.serving, "model_name": self.model, **_QUALITY}
        about = {**model, "model_version": str(version)}
        there = np.arange(self.seconds) >= (0 if version == OLD else self.at)
        known = np.roll(chance.binomial(answered, self.labelled), 1)  # labels come a second later
        known[0] = 0
        right = chance.binomial(known, self.accuracy)
        for correct, count in (("true", right), ("false", known - right)):
            yield self._one("airbag_quality_labelled_total", {**about, "correct": correct}, np.cumsum(count), there)
        roles = {"candidate": there} if version == NEW else {"stable": self.after, "candidate": ~self.after}
        for role, when in roles.items():
            yield self._one("airbag_quality_version_role", {**about, "role": role}, np.ones(self.seconds), when)
        yield from self._inputs(version, answered, about, chance)
        if version == OLD:
            for name, value in (("min", self.accuracy_min), ("drop_max", self.drop_max)):
                yield self._one(f"airbag_quality_accuracy_{name}", model, np.full(self.seconds, value))
            yield self._one("airbag_quality_labels_min", model, np.full(self.seconds, 50.0))

    def _inputs(
        self, version: int, answered: Floats, about: dict[str, str], chance: np.random.Generator
    ) -> Iterator[Series]:  # fmt: skip
        """One feature in four bins, cumulative as a histogram."""
        second = np.arange(self.seconds)
        moved = np.zeros(self.seconds, bool)
        if self.inputs_from is not None:
            moved = (second >= self.inputs_from) & (second < (self.inputs_until or self.seconds))
        shares = np.where(moved[:, None], (0.7, 0.2, 0.07, 0.03), (0.25, 0.25, 0.25, 0.25))
        there = second >= (0 if version == OLD else self.at)
        parts = chance.multinomial(answered.astype(int), shares)
        for number, count in enumerate(np.cumsum(parts, axis=1).T):
            labels = {**about, "feature": "brightness", "ref": "r1", "bin": str(number), "prev": str(number - 1)}
            yield self._one("airbag_quality_feature_le_total", labels, np.cumsum(count), there)

    def _one(
        self, name: str, labels: dict[str, str], values: Floats | npt.NDArray[np.bool_],
        there: npt.NDArray[np.bool_] | None = None,
    ) -> Series:  # fmt: skip
        seen = self.scraped if there is None else self.scraped & there
        times: Sequence[int] = (self.start + np.flatnonzero(seen)).tolist()
        return Series(name, labels, times, np.asarray(values, float)[seen].tolist())
