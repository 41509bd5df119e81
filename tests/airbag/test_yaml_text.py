"""YAML that is small on disk and endless in memory, or not what its tags say, is refused in words."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag.config import Section, parse
from airbag.errors import ConfigError
from airbag.yaml_text import DEPTH_MAX, VALUES_MAX, read_yaml
from tests.airbag.rubbish import BOMB, RUBBISH


class Anything(Section):
    value: dict[str, object] | None = None


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_refused_quickly_and_in_words(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        parse(RUBBISH[name], Anything, source="sample.yml", base=Path())
    assert time.monotonic() - began < 20
    assert caught.value.problems


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 20_000, f"line 1, column {DEPTH_MAX + 1}: is nested more than {DEPTH_MAX} levels deep"),
        (BOMB, f"holds more than {VALUES_MAX:,} values"),
        ("&a [*a]", "line 1, column 5: the alias 'a' stands inside of what it names"),
        ("a: &a {b: 1, <<: *a}", "stands inside of what it names"),
        ("!!timestamp x", "file: holds a value that its type does not allow"),
        ("*gone", "is not YAML: found undefined alias"),
    ],
    ids=["deep", "bomb", "itself", "merged into itself", "tag", "no anchor"],
)
def test_what_is_wrong_is_said_with_its_place(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read_yaml(text, "sample.yml")


def test_honest_aliases_and_merges_and_depth_are_read() -> None:
    assert read_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: [*x, *x]", "f") == {
        "a": {"b": 1}, "c": {"b": 1, "d": 2}, "e": [{"b": 1}, {"b": 1}],
    }  # fmt: skip
    levels = DEPTH_MAX
    assert read_yaml("[" * levels + "]" * levels, "f")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]{}:,-?*&!<>|'\"#%@` \nab1\\", max_size=60))
def test_no_text_ends_in_anything_but_a_document_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text, Anything, source="sample.yml", base=Path())
