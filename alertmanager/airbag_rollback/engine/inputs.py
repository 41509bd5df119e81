"""Do two versions get the same inputs? What can be said of that in spite of chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

CHANCE = 0.001
"""How often a difference may be claimed, over all inputs together, where there is none."""

Counts = Mapping[tuple[str, str], Mapping[str, float]]
"""For each feature and `ref`, which names its bins: how many rows lie at or below the upper edge of each bin."""


@dataclass(frozen=True)
class Shift:
    """The input that differs most, and by how much at least (Kolmogorov-Smirnov distance, 0 to 1)."""

    feature: str
    distance: float


def largest_shift(now: Counts, then: Counts, looks: int = 1) -> Shift | None:
    """The input that surely differs most between two samples; None when none was counted in both in the same bins.

    The distance between the two samples in a feature is D = max over bins of |F(bin) - G(bin)|, F and G being shares of
    rows at or below the bin. What is returned is the lower bound

        D - sqrt(ln(2 / a) / 2) * (1 / sqrt(n) + 1 / sqrt(m)),    a = CHANCE / (2 * features)

    at least 0, for n and m rows. The Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant (Massart 1990,
    "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality", Annals of Probability 18) says that the shares of
    a sample lie nowhere farther than sqrt(ln(2 / a) / (2 n)) from the true ones, but for a probability of a, whatever
    the distribution. The two samples add up, and 2 * features such statements share CHANCE (Bonferroni), so that many
    features are not many chances. Between two edges the true distance may be larger, never smaller. Rows that came in
    bursts of alike ones count for fewer than they are, which this does not know. Who takes the largest of several
    `looks` says how many: they share CHANCE as well.
    """
    both = now.keys() & then.keys()
    found = [
        Shift(key[0], _bound(now[key], then[key], len(both) * looks)) for key in both if _rows(now[key], then[key])
    ]
    return max(found, key=lambda each: (each.distance, each.feature), default=None)


def _rows(now: Mapping[str, float], then: Mapping[str, float]) -> bool:
    """Whether both hold rows, in the same bins."""
    return now.keys() == then.keys() and max(now.values(), default=0) > 0 and max(then.values(), default=0) > 0


def _bound(now: Mapping[str, float], then: Mapping[str, float], features: int) -> float:
    rows_now, rows_then = max(now.values()), max(then.values())
    distance = max(abs(now[edge] / rows_now - then[edge] / rows_then) for edge in now)
    chance = math.sqrt(math.log(4 * features / CHANCE) / 2)
    return max(0.0, distance - chance * (1 / math.sqrt(rows_now) + 1 / math.sqrt(rows_then)))
