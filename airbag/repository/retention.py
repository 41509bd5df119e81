"""Which versions a retention policy lets go, and why the others stay. Knows no disk, network or clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from airbag.serving.groups import Retention
from airbag.serving.model_config import Kind, Policy
from airbag.serving.values import State, VersionStatus

ABANDONED = 86400.0
"""Seconds without a change after which a version that is not whole counts as given up."""


@dataclass(frozen=True)
class Stored:
    """A version on disk. `touched_at`: its newest change, seconds since the epoch. `leans_on`: versions that its links
    lead to."""

    version: int
    complete: bool
    touched_at: float
    reason: str = ""
    leans_on: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Uses:
    """What the versions of a model are needed for, all servers and all names of the model together.

    `labels` are the versions that labels stand for, `asked` those that models.config makes servers load, `targets`
    those that one would go back to. `unknown` says what could not be found out; then nothing may go.
    """

    serves: frozenset[int] = frozenset()
    loaded: frozenset[int] = frozenset()
    labels: Mapping[int, str] = field(default_factory=dict)
    asked: frozenset[int] = frozenset()
    targets: frozenset[int] = frozenset()
    twice: frozenset[int] = frozenset()
    unknown: str = ""

    def with_(self, other: Uses) -> Uses:
        """Both together."""
        return Uses(
            self.serves | other.serves,
            self.loaded | other.loaded,
            {**self.labels, **other.labels},
            self.asked | other.asked,
            self.targets | other.targets,
            self.twice | other.twice,
            self.unknown or other.unknown,
        )


@dataclass(frozen=True)
class Fate:
    """Whether a version goes; `reasons` are all that speak for its staying, or why it goes."""

    version: int
    goes: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def used(default: int | None, statuses: Iterable[VersionStatus]) -> Uses:
    """The uses that one server makes of a model: what answers by default, and all that is not at END."""
    loaded = frozenset(status.version for status in statuses if status.state is not State.END)
    return Uses(frozenset() if default is None else frozenset({default}), loaded)


def asked_for(policy: Policy, on_disk: Collection[int]) -> frozenset[int]:
    """The versions that a server with this policy wants to have loaded, the named ones also when they are missing."""
    match policy.kind:
        case Kind.SPECIFIC:
            return frozenset(policy.versions)
        case Kind.ALL:
            return frozenset(on_disk)
        case Kind.LATEST:
            return frozenset(sorted(on_disk, reverse=True)[: policy.count])


def fates(stored: Iterable[Stored], uses: Uses, keep: Retention, now: float) -> tuple[Fate, ...]:
    """The fate of every version, newest number first.

    A version goes when at least `keep.keep_last` newer ones are complete, nothing in it changed for `keep.keep_for`
    seconds, and nobody needs it. One that is not complete goes by the same rule, once it was given up for ABANDONED
    seconds; it is never one of those that are kept because they are new.
    """
    versions = sorted(stored, key=lambda each: each.version, reverse=True)
    if uses.unknown:
        return tuple(Fate(each.version, False, (uses.unknown,)) for each in versions)
    if not uses.serves:
        return tuple(Fate(each.version, False, ("no server serves this model now",)) for each in versions)
    complete = [each.version for each in versions if each.complete]
    back = frozenset(next((v for v in complete if v < serving), serving) for serving in uses.serves)
    reasons = {
        each.version: [*_needed(each.version, uses, back), *_kept(each, complete, keep, now)] for each in versions
    }
    _spread(versions, reasons)
    return tuple(_fate(each, tuple(reasons[each.version]), keep) for each in versions)


def _fate(each: Stored, reasons: tuple[str, ...], keep: Retention) -> Fate:
    if reasons:
        return Fate(each.version, False, reasons)
    newer = f"{keep.keep_last} newer complete " + ("one" if keep.keep_last == 1 else "ones")
    return Fate(each.version, True, (f"{each.reason}; {newer}" if each.reason else newer,))


def _needed(version: int, uses: Uses, back: frozenset[int]) -> list[str]:
    """Why it is needed now."""
    reasons = []
    if version in uses.serves:
        reasons.append("serves")
    elif version in uses.loaded:
        reasons.append("is loaded")
    if version in uses.labels:
        reasons.append(f"has the label {uses.labels[version]}")
    if version in uses.asked:
        reasons.append("models.config asks for it")
    if version in uses.targets:
        reasons.append("is the rollback target")
    elif version in back - uses.serves:
        reasons.append("is the newest complete one below what serves")
    if version in uses.twice:
        reasons.append("two names spell this number")
    return reasons


def _kept(each: Stored, complete: list[int], keep: Retention, now: float) -> list[str]:
    """Why the policy keeps it."""
    reasons = []
    newer = sum(version > each.version for version in complete)
    if newer < keep.keep_last:
        if each.complete:
            reasons.append(f"is one of the newest {keep.keep_last}")
        else:
            reasons.append(f"is not complete, with fewer than {keep.keep_last} newer complete ones: {each.reason}")
    if now - each.touched_at < keep.keep_for:
        reasons.append(f"is younger than {span(keep.keep_for)}")
    if not each.complete and now - each.touched_at < ABANDONED:
        reasons.append(f"is not complete and may still be arriving: {each.reason}")
    return reasons


def _spread(versions: list[Stored], reasons: dict[int, list[str]]) -> None:
    """What a version that stays leans on stays too, and what that leans on."""
    todo = [each for each in versions if reasons[each.version]]
    leans = {each.version: each for each in versions}
    while todo:
        each = todo.pop()
        for other in sorted(each.leans_on & leans.keys()):
            if not reasons[other]:
                todo.append(leans[other])
            text = f"{each.version} has links into it"
            if text not in reasons[other]:
                reasons[other].append(text)


def span(seconds: float) -> str:
    """A length of time for people: its largest unit, one decimal at most."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + unit
    return f"{seconds:.0f}s"
