"""Which version is the candidate and which one the stable version that it is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from airbag_exporters.quality.columns import Owner

CANDIDATE, STABLE = "candidate", "stable"


def roles(seen: Mapping[Owner, float], now: float, window: float) -> dict[Owner, str]:
    """Of the versions of a model that answered within `window` seconds, the newest is compared with the one before it.

    A version is newer when its number is higher. A model's only version is stable. Times are in epoch
    seconds.
    """
    alive: dict[tuple[str, str], list[Owner]] = defaultdict(list)
    for owner, at in seen.items():
        if owner.version.isdecimal() and now - at <= window:
            alive[owner.serving, owner.model].append(owner)
    found: dict[Owner, str] = {}
    for versions in alive.values():
        newest, *older = sorted(versions, key=lambda owner: int(owner.version), reverse=True)
        found[newest] = CANDIDATE if older else STABLE
        if older:
            found[older[0]] = STABLE
    return found
