"""Is it the release, or the world? Evidence that going back would not help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldLimits:
    """From when on the world is the likelier cause; 0 turns a test off.

    `others_share`: share of the other models that are bad by the same signal without having been released lately.
    `good_for`: seconds for which the suspect was good by this signal since its release. `load_ratio`: how many times
    the traffic is that under which the version before was measured. `inputs_ks`: the largest KS distance of an input
    between then and now, beyond what chance explains.
    """

    others_share: float = 0.5
    good_for: float = 600.0
    load_ratio: float = 2.0
    inputs_ks: float = 0.2


@dataclass(frozen=True)
class World:
    """What is known beside the suspect itself. None is "nobody can tell", and speaks for nothing.

    `others_judged` counts models with enough data and no release of their own lately, `others_bad` those of them that
    are bad by the same signal now. `inputs_ks` is the lower bound of the distance, `input` the feature it was found in.
    """

    others_bad: int = 0
    others_judged: int = 0
    good_for: float | None = None
    load_ratio: float | None = None
    inputs_ks: float | None = None
    input: str = ""


def suspects(world: World, limits: WorldLimits) -> tuple[str, str] | None:
    """A short word and a sentence when the world is the likelier cause, else None."""
    share = world.others_bad / world.others_judged if world.others_judged else 0.0
    if limits.others_share and world.others_bad and share >= limits.others_share:
        text = f"{world.others_bad} of {world.others_judged} other models, not released lately, are bad as well"
        return "others_suffer", text
    if limits.good_for and (world.good_for or 0.0) >= limits.good_for:
        return "was_good", f"it was good for {world.good_for:.3g} s after its release"
    if limits.load_ratio and (world.load_ratio or 0.0) >= limits.load_ratio:
        return "load_changed", f"it gets {world.load_ratio:.3g} times the traffic of the version before"
    if limits.inputs_ks and (world.inputs_ks or 0.0) >= limits.inputs_ks:
        text = f"the input {world.input} is not what the version before got (KS at least {world.inputs_ks:.3g})"
        return "inputs_changed", text
    return None
