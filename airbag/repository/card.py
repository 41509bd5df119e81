"""`airbag.yaml`, which a training pipeline may put beside saved_model.pb: where the version comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, FiniteFloat

from airbag.config import Section, parse, written_as
from airbag.errors import ConfigError, Problem

NAME = "airbag.yaml"
SIZE_MAX = 64 << 10

Text = Annotated[str, written_as(r"[^\x00-\x1f\x7f]{1,200}", "1 to 200 characters in one line")]
MetricName = Annotated[str, written_as(r"[A-Za-z0-9_.:/-]{1,64}", "1 to 64 letters, digits, `_`, `.`, `:`, `/` or `-`")]


class Card(Section):
    """The file; everything in it is optional. `trained_at` needs its time zone, such as `2024-05-01T08:30:00Z`.

    `metrics` are what the pipeline measured before it published the version.
    """

    trained_at: AwareDatetime | None = None
    metrics: dict[MetricName, FiniteFloat] = Field(default_factory=dict, max_length=50)
    owner: Text | None = None
    change: Text | None = None
    code_revision: Text | None = None
    data_revision: Text | None = None
    description: Text | None = None


def read_card(folder: Path) -> Card | None:
    """The card in a version's folder; None when there is none. ConfigError lists all that is wrong with it."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > SIZE_MAX:
        raise _refusal(path, f"is larger than {SIZE_MAX >> 10} KiB")
    try:
        return parse(data.decode(), Card, source=str(path), base=folder)
    except UnicodeDecodeError as error:
        raise _refusal(path, f"is not UTF-8 at byte {error.start}") from error


def _refusal(path: Path, what: str) -> ConfigError:
    return ConfigError(str(path), [Problem(NAME, what)])
