"""The shipped docker-compose.yml on a real engine: a bad release is rolled back inside the containers."""

from __future__ import annotations

import json

from airbag_demo.ports import STANDARD
from tests.compose.kit.stack import Stack
from tests.fakes.wait import until

PROMETHEUS = "http://127.0.0.1:9090"


def test_every_target_is_up(stack: Stack) -> None:
    def health() -> dict[str, str] | None:
        targets = stack.get("prometheus", f"{PROMETHEUS}/api/v1/targets")["data"]["activeTargets"]
        found = {target["scrapeUrl"]: target["health"] for target in targets}
        return found if targets and set(found.values()) == {"up"} else None

    assert len(until(health, timeout=60, what="all targets up", every=0.5)) == 7


def test_the_story_of_the_demo_is_told_and_ends_well(stack: Stack) -> None:
    said = stack.compose("run", "--rm", "-T", "story", profile="demo", timeout=240)
    print(said)
    for words in ("version 3 is released", "alert fires", "first good response", "the receiver says: rolled back"):
        assert words in said

    [action] = json.loads(stack.run_in("receiver", "airbag", "history", "--json"))["actions"]
    assert (action["state"], action["bad_version"], action["to_version"]) == ("SUCCEEDED", 3, 2)
