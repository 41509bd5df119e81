"""Which version to go back to, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """What is known of one version.

    `soak` is how many seconds it served in all. `requests` is what it answered meanwhile, None when nobody could count.
    `bad` says that it was bad when it was last seen at work. `present` is None when the model store cannot be seen from
    here and the version is not loaded. `flaw` is anything else that speaks against it, in words: other files than when
    it served, a signature that clients of the suspect cannot use.
    """

    version: int
    soak: float = 0.0
    rolled_back: bool = False
    present: bool | None = None
    requests: float | None = None
    bad: bool = False
    quarantined: str = ""
    flaw: str = ""


@dataclass(frozen=True)
class Choice:
    """The version to go back to, or None; and the reason against each version that was refused."""

    target: int | None
    refused: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{version} {why}" for version, why in self.refused) or "no other version is known"


@dataclass(frozen=True)
class Rules:
    """What a version must have to count as proven. `soak_min` in seconds; `requests_min` 0 asks for none.

    Before `not_before` lies a change that one must not go back past. `tried` were gone back to already in
    vain.
    """

    soak_min: float
    requests_min: float = 0.0
    not_before: int = 0
    tried: frozenset[int] = frozenset()


def choose(candidates: Iterable[Candidate], suspect: int, rules: Rules, asked: int | None = None) -> Choice:
    """The newest version with proof, or the one that a person `asked` for if nothing but missing proof is against it.

    Only versions before the suspect count by themselves: going back means a lower number.
    """
    refused: list[tuple[int, str]] = []
    for candidate in sorted(candidates, key=lambda each: each.version, reverse=True):
        if candidate.version == suspect or (asked is not None and candidate.version != asked):
            continue
        why = _unusable(candidate, rules) or (None if asked is not None else _unproven(candidate, suspect, rules))
        if why is None:
            return Choice(candidate.version, tuple(refused))
        refused.append((candidate.version, why))
    if asked is not None and not refused:
        refused.append((asked, "is not known here" if asked != suspect else "is what serves now"))
    return Choice(None, tuple(refused))


def _unusable(candidate: Candidate, rules: Rules) -> str | None:
    """What not even a person's order overrides: going there would break more."""
    if candidate.quarantined:
        return f"is quarantined: {candidate.quarantined}"
    if candidate.version < rules.not_before:
        return f"is before {rules.not_before}, which one must not go back past"
    if candidate.present is None:
        return "is not loaded and the model store cannot be seen from here"
    if not candidate.present:
        return "is neither loaded nor complete on disk"
    return candidate.flaw or None


def _unproven(candidate: Candidate, suspect: int, rules: Rules) -> str | None:
    if candidate.version > suspect:
        return f"is newer than {suspect}"
    if candidate.version in rules.tried:
        return "was gone back to already and is bad as well"
    if candidate.rolled_back:
        return "was rolled back itself"
    if candidate.bad:
        return "was bad when it was last seen at work"
    if candidate.soak < rules.soak_min:
        return f"served {candidate.soak:.3g} s, proof takes {rules.soak_min:.3g} s"
    if candidate.requests is not None and candidate.requests < rules.requests_min:
        return f"answered {candidate.requests:.3g} requests, proof takes {rules.requests_min:.3g}"
    return None
