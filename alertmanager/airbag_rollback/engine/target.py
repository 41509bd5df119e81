"""Which version to go back to, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """What is known of one version.

    `soak` is how many seconds it served in all; `present` is None when the model store cannot be seen from here and
    the version is not loaded.
    """

    version: int
    soak: float = 0.0
    rolled_back: bool = False
    present: bool | None = None


@dataclass(frozen=True)
class Choice:
    """The version to go back to, or None; and the reason against each version that was refused."""

    target: int | None
    refused: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{version} {why}" for version, why in self.refused) or "no other version is known"


def choose(candidates: Iterable[Candidate], suspect: int, soak_min: float) -> Choice:
    """The newest version with proof. Only versions before the suspect count: going back means a lower number."""
    refused: list[tuple[int, str]] = []
    for candidate in sorted(candidates, key=lambda each: each.version, reverse=True):
        if candidate.version == suspect:
            continue
        why = _against(candidate, suspect, soak_min)
        if why is None:
            return Choice(candidate.version, tuple(refused))
        refused.append((candidate.version, why))
    return Choice(None, tuple(refused))


def _against(candidate: Candidate, suspect: int, soak_min: float) -> str | None:
    if candidate.version > suspect:
        return f"is newer than {suspect}"
    if candidate.rolled_back:
        return "was rolled back itself"
    if candidate.soak < soak_min:
        return f"served {candidate.soak:.3g} s, proof takes {soak_min:.3g} s"
    if candidate.present is None:
        return "is not loaded and the model store cannot be seen from here"
    return None if candidate.present else "is neither loaded nor complete on disk"
