"""airbag.yaml beside a model."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from airbag.errors import ConfigError
from airbag.repository import Card
from airbag.repository.card import SIZE_MAX, read_card

GOOD = """\
trained_at: 2024-05-01T10:30:00+02:00
metrics: {accuracy: 0.97, val/auc: 1}
owner: team-vision
change: https://ci.example/runs/17
code_revision: 4f2c1e9
data_revision: "2024-04-30"
description: retrained on April
"""


def read(folder: Path, text: str | bytes) -> Card | None:
    (folder / "airbag.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_card(folder)


def test_a_full_card_is_read(tmp_path: Path) -> None:
    card = read(tmp_path, GOOD)
    assert card is not None
    assert card.trained_at == datetime(2024, 5, 1, 8, 30, tzinfo=UTC)
    assert card.metrics == {"accuracy": 0.97, "val/auc": 1.0}
    assert (card.owner, card.data_revision) == ("team-vision", "2024-04-30")


def test_everything_is_optional_and_so_is_the_file(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None
    assert read(tmp_path, "") == Card()


def test_every_problem_is_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "trained_at: 2024-05-01\nowners: me\nmetrics: {accuracy: high, loss: .nan}\nchange: ''\n")
    assert [problem.path for problem in caught.value.problems] == [
        "trained_at", "metrics.accuracy", "metrics.loss", "change", "owners",
    ]  # fmt: skip
    assert "did you mean `owner`?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("owner: [", "is not YAML"),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        ("x" * (SIZE_MAX + 1), "is larger than 64 KiB"),
        ("metrics: &a {x: *a}\n", "stands inside of what it names"),
        ("[" * 20_000, "is nested more than 60 levels deep"),
        ("owner: !!binary aGk=", "holds something that is neither"),
        ("? [1, 2]\n: x", "found unhashable key"),
        ("metrics: {x: " + "9" * 5000 + "}", "holds a value that its type does not allow"),
        ("owner: 'a\\\n  \x85 b'\nmetrics: {'a b': 1}", "metrics"),
        (f"owner: {'x' * 201}", "should be 1 to 200 characters"),
        ("metrics: {" + ", ".join(f"m{n}: 1" for n in range(51)) + "}", "at most 50 items"),
    ],
)
def test_what_is_no_card_is_refused_and_never_more_than_that(tmp_path: Path, text: str | bytes, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read(tmp_path, text)


def test_a_card_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "airbag.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_card(tmp_path)
