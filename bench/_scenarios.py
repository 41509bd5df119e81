"""Labelled pasts of releases: what is wrong with each, and whether its version should be rolled back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.fakes.releases import Release

BEFORE, AFTER = 330, 310
"""Seconds of a scenario before and after its release."""

APART = 40
FLEET = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """One past. `is_fault` says whether version 2 should be rolled back. `hits` is when the whole fleet suffers with
    it: from, until, and how.
    """

    kind: str
    release: Release
    is_fault: bool
    hits: tuple[int, int, str] | None = None


Build = Callable[[Release, np.random.Generator], object]


def _since(release: Release, seconds: float) -> npt.NDArray[np.bool_]:
    return np.arange(release.seconds) >= release.at + seconds


def _between(release: Release, begin: float, lasts: float) -> npt.NDArray[np.bool_]:
    return _since(release, begin) & ~_since(release, begin + lasts)


def _errors(share: float) -> Build:
    def build(release: Release, chance: np.random.Generator) -> None:
        begin = float(chance.choice([0.0, 0.0, chance.uniform(10, 120)]))
        release.errors = np.where(_since(release, begin), share, release.errors)

    return build


def _latency(release: Release, chance: np.random.Generator) -> None:
    release.slow = np.where(_since(release, chance.uniform(0, 60)), chance.uniform(0.3, 0.9), release.slow)


def _accuracy(drop: float) -> Build:
    def build(release: Release, _chance: np.random.Generator) -> None:
        release.accuracy = np.where(release.after, 0.95 - drop, 0.95)

    return build


def _probes(release: Release, _chance: np.random.Generator) -> None:
    release.probes = True
    release.wrong = _since(release, 2)


def _load(release: Release, _chance: np.random.Generator) -> None:
    release.loads = False


def _spike(release: Release, chance: np.random.Generator) -> None:
    """More than the servers can bear: slow answers, and some that fail."""
    spike = _between(release, chance.uniform(20, 120), chance.uniform(60, 150))
    release.rate = np.where(spike, release.rate * chance.uniform(3, 6), release.rate)
    release.slow = np.where(spike, chance.uniform(0.1, 0.5), release.slow)
    release.errors = np.where(spike, chance.uniform(0.0, 0.04), release.errors)


def _exporter_gone(release: Release, chance: np.random.Generator) -> None:
    release.scraped = ~_between(release, chance.uniform(0, 60), chance.uniform(30, 200))


def _holes(release: Release, chance: np.random.Generator) -> None:
    for begin in chance.uniform(0, 300, 4):
        release.scraped &= ~_between(release, begin, chance.uniform(5, 25))


def _no_traffic(release: Release, chance: np.random.Generator) -> None:
    release.rate = np.where(release.after, chance.choice([0.0, 0.05, 0.3]), release.rate)
    release.errors = np.where(release.after, 0.03, release.errors)


def _restart(release: Release, chance: np.random.Generator) -> None:
    """The server is deployed anew: away, then cold."""
    begin = chance.uniform(20, 200)
    release.up = ~_between(release, begin, chance.uniform(4, 15))
    cold = _between(release, begin, 20)
    release.errors = np.where(_between(release, begin - 1, 1), 0.5, release.errors)
    release.slow = np.where(cold, 0.04, release.slow)


def _ramp(release: Release, chance: np.random.Generator) -> None:
    second = np.arange(release.seconds)
    release.rate = release.rate * (1 + chance.uniform(0.5, 1.5) * second / release.seconds)
    release.slow = 0.005 + 0.03 * second / release.seconds


def _noisy(release: Release, chance: np.random.Generator) -> None:
    release.errors = np.full(release.seconds, chance.uniform(0.02, 0.04))
    release.slow = np.full(release.seconds, chance.uniform(0.02, 0.04))
    release.accuracy = np.where(release.after, 0.87, 0.875)
    release.probes = True


def _clean(release: Release, chance: np.random.Generator) -> None:
    release.probes = True
    release.accuracy = np.full(release.seconds, chance.uniform(0.9, 0.98))


def _own_inputs(release: Release, chance: np.random.Generator) -> None:
    """What feeds this model alone breaks after the release: no version would do better."""
    begin = chance.uniform(60, 180)
    release.inputs_from = release.at + int(begin)
    release.accuracy = np.where(_since(release, begin), 0.6, 0.95)


FAULTS: Mapping[str, Build] = {
    "errors-100": _errors(1.0), "errors-20": _errors(0.2), "latency": _latency, "accuracy-collapse": _accuracy(0.45),
    "accuracy-drop-5": _accuracy(0.05), "probes": _probes, "load": _load,
}  # fmt: skip
CLEAN: Mapping[str, Build] = {"clean": _clean, "noisy": _noisy, "ramp": _ramp}
OTHERS: Mapping[str, Build] = {
    "load-spike": _spike, "exporter-gone": _exporter_gone, "holes": _holes, "no-traffic": _no_traffic,
    "server-restarts": _restart, "own-inputs": _own_inputs,
}  # fmt: skip
FLEET_WIDE = ("fleet-errors", "fleet-accuracy", "fleet-slow")


def scenarios(seeds: int, start: int) -> list[Scenario]:
    """All of them, one release a minute, in an order by chance; those that hit the whole fleet come after, apart."""
    chance = np.random.default_rng(7)
    kinds = [(kind, build, kind in FAULTS) for kind, build in {**FAULTS, **CLEAN, **OTHERS}.items()] * seeds
    order = chance.permutation(len(kinds))
    found = []
    for place, index in enumerate(order):
        kind, build, is_fault = kinds[index]
        release = _release(f"{kind}-{index // (len(kinds) // seeds)}", start + place * APART, int(index), chance)
        build(release, chance)
        found.append(Scenario(kind, release, is_fault))
    at = max(start + len(kinds) * APART + AFTER, start + 3700)
    for seed in range(seeds):
        for number, kind in enumerate(FLEET_WIDE):
            found.append(_with_the_fleet(kind, f"{kind}-{seed}", at, 1000 + 3 * seed + number, chance))
            at += BEFORE
    return found


def _release(name: str, start: int, seed: int, chance: np.random.Generator) -> Release:
    seconds = BEFORE + AFTER
    rate = float(np.exp(chance.uniform(math.log(20), math.log(150))))
    return Release(
        name, start, seconds, BEFORE, seed, serving=name, rate=np.full(seconds, rate),
        errors=np.full(seconds, chance.choice([0.0, 0.001, 0.01])), slow=np.full(seconds, 0.005),
    )  # fmt: skip


def _with_the_fleet(kind: str, name: str, start: int, seed: int, chance: np.random.Generator) -> Scenario:
    release = _release(name, start, seed, chance)
    begin, lasts = chance.uniform(30, 90), chance.uniform(40, 90)
    how = kind.partition("-")[2]
    release.accuracy = np.full(release.seconds, 0.95)
    _hit(release, _between(release, begin, lasts), how)
    first = start + BEFORE + int(begin)
    return Scenario(kind, release, is_fault=False, hits=(first, first + int(lasts), how))


def _hit(release: Release, when: npt.NDArray[np.bool_], how: str) -> None:
    if how == "errors":
        release.errors = np.where(when, 0.4, release.errors)
    elif how == "slow":
        release.slow = np.where(when, 0.5, release.slow)
    else:
        release.accuracy = np.where(when, 0.55, release.accuracy)


def fleet(known: list[Scenario], start: int, end: int) -> list[Release]:
    """Models that nobody releases, there from the beginning to the end."""
    found = []
    for number in range(FLEET):
        seconds = end - start
        name = f"fleet-{number}"
        release = Release(name, start, seconds, seconds, 5000 + number, serving=name, rate=np.full(seconds, 25.0))
        release.accuracy = np.full(seconds, 0.94)
        when = np.arange(seconds) + start
        for each in known:
            if each.hits:
                begin, last, how = each.hits
                _hit(release, (when >= begin) & (when < last), how)
        found.append(release)
    return found
