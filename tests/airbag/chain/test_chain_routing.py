"""Who gets an alert: the same answers as the real amtool gives."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from airbag.chain import matchers
from airbag.chain.documents import Route
from airbag.chain.routing import reached
from tests.fakes.binaries import run

LABELS = ("severity", "team", "model_name")
VALUES = ("critical", "warning", "a", "ab", "")


def _matcher(chance: random.Random) -> str:
    name, operator = chance.choice(LABELS), chance.choice(["=", "!=", "=~", "!~"])
    value = chance.choice(["a.*", "critical|warning", ".+", "(?i:A)", ""] if "~" in operator else VALUES)
    form = chance.choice(['{}{}"{}"', '{} {} "{}"', "{}{}{}"])
    return form.format(name, operator, value)


def _route(chance: random.Random, receivers: list[str], depth: int = 0) -> dict[str, Any]:
    receivers.append(f"r{len(receivers)}")
    route: dict[str, Any] = {"receiver": receivers[-1]}
    if depth:
        route["continue"] = chance.random() < 0.5
        if chance.random() < 0.3:
            route |= {"match": {chance.choice(LABELS): chance.choice(VALUES)}}
        elif chance.random() < 0.3:
            route |= {"match_re": {chance.choice(LABELS): "a|critical"}}
        else:
            route |= {"matchers": [_matcher(chance) for _ in range(chance.randint(1, 2))]}
    if depth < 3:
        route["routes"] = [_route(chance, receivers, depth + 1) for _ in range(chance.randint(0, 3))]
    return route


@pytest.mark.parametrize("seed", range(12))
def test_random_trees_reach_the_receivers_that_amtool_names(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    receivers: list[str] = []
    tree = _route(chance, receivers)
    config = tmp_path / "alertmanager.yml"
    config.write_text(yaml.safe_dump({"route": tree, "receivers": [{"name": name} for name in receivers]}))
    for _ in range(4):
        labels = {name: chance.choice(VALUES) for name in LABELS if chance.random() < 0.8}
        given = [f"{name}={value}" for name, value in labels.items()]
        said = run("amtool", "config", "routes", "test", f"--config.file={config}", *given)
        theirs = [line for line in said.splitlines() if not line.startswith("Warning")][-1].split(",")
        ours = [each.receiver for each in reached(Route.model_validate(tree), labels)]
        assert sorted(ours) == sorted(theirs), (tree, labels)


def test_settings_are_inherited_until_a_route_has_its_own_and_time_intervals_are_not() -> None:
    tree = {
        "receiver": "top", "group_by": ["alertname"], "group_wait": "5s", "mute_time_intervals": ["night"],
        "routes": [{"matchers": ['a="b"'], "group_interval": "1s", "group_by": ["..."]}],
    }  # fmt: skip
    [below] = reached(Route.model_validate(tree), {"a": "b"})
    assert (below.receiver, below.group_wait, below.group_interval, below.repeat_interval) == ("top", 5, 1, 14_400)
    assert below.group_by is None
    assert below.intervals == ()
    [top] = reached(Route.model_validate(tree), {})
    assert (top.path, top.group_interval, top.intervals) == ("route", 300, ("night",))


@pytest.mark.parametrize(
    ("line", "labels", "is_met"),
    [
        ('a="x,y"', {"a": "x,y"}, True),
        ('{a="x", b=~"y.*"}', {"a": "x", "b": "yes"}, True),
        ('{a="x", b=~"y.*"}', {"a": "x", "b": "no"}, False),
        ('a=~"x"', {"a": "xx"}, False),
        (r'a="say \"hi\""', {"a": 'say "hi"'}, True),
        (r'a=~"\\d+"', {"a": "12"}, True),
        ('a!=""', {}, False),
        ("a=b", {"a": "b"}, True),
    ],
    ids=range(8),
)
def test_a_line_of_matchers_is_read_as_alertmanager_reads_it(line: str, labels: dict[str, str], is_met: bool) -> None:
    assert all(each.matches(labels) for each in matchers.of([line], {}, {})) is is_met


@pytest.mark.parametrize("line", ["a", 'a="b', 'a=~"("', "=b", 'a=~"[z-a]"'])
def test_what_is_no_matcher_is_refused(line: str) -> None:
    with pytest.raises(matchers.NotAMatcher):
        matchers.of([line], {}, {})
