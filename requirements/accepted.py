"""Vulnerabilities that somebody looked at and found to be no danger here, until a day: accepted.yml."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Accepted(BaseModel):
    """One of them. On the day after `until` somebody has to look again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Z]+-[\w-]+$")]
    package: str
    reason: Annotated[str, Field(min_length=20)]
    until: date


def read_accepted(path: Path) -> list[Accepted]:
    """All of them. pydantic's ValidationError says what is wrong with the file."""
    return TypeAdapter(list[Accepted]).validate_python(yaml.safe_load(path.read_text()) or [])
