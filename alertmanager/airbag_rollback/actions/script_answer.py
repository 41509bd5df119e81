"""What a script prints: its last line may be JSON, anything else is text for people."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError

from airbag.config import Section
from airbag_rollback.actions.landing import Found

_LINE = 500
"""Characters of a line that people get to see."""


class WrongAnswer(ValueError):
    """The last line looks like JSON and is not as documented; the message quotes it."""


class Answer(Section):
    """The JSON of the last line. Without JSON only `text` is known."""

    state: Found | None = None
    text: str = ""
    plan: dict[str, Any] = Field(default_factory=dict)  # Any: the script's own JSON
    steps: Annotated[int, Field(ge=1, le=100)] = 1


def read_answer(stdout: str, *, cut: bool = False) -> Answer:
    """The answer in the last line. `cut` says that the beginning of `stdout` is missing."""
    lines = [line for line in stdout.splitlines() if line.strip()]
    if cut and len(lines) == 1:
        raise WrongAnswer(f"the last line of its output is longer than what is kept: ...{shown(lines[0][-80:])}")
    if not lines or not lines[-1].lstrip().startswith("{"):
        return Answer(text=last_line(stdout))
    try:
        found = Answer.model_validate_json(lines[-1])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise WrongAnswer(f"its answer is wrong at {where}: {first['msg']}: {shown(lines[-1])}") from None
    return found.model_copy(update={"text": shown(found.text)})


def last_line(output: str) -> str:
    """The last line that is not empty, fit for people."""
    return next((shown(line) for line in reversed(output.splitlines()) if line.strip()), "")


def shown(line: str) -> str:
    """Without control characters, and not longer than people read."""
    clean = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line.strip())
    return clean if len(clean) <= _LINE else f"{clean[:_LINE]}..."
