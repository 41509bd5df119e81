"""Whose predictions they are."""

from __future__ import annotations

from typing import NamedTuple

from airbag_exporters.quality.columns import BadBatch, Owner
from airbag_exporters.quality.models import Models, Spec

VERSION_MAX = (1 << 63) - 1


class Whose(NamedTuple):
    """As it was given."""

    serving: str | None
    model: str
    version: int | str


class Known(NamedTuple):
    """What is known of an owner."""

    spec: Spec
    owner: Owner


def known(whose: Whose, models: Models) -> Known:
    """BadBatch, naming the field, for a version that is no version or a group that is not one."""
    version = version_text(whose.version)
    serving = models.serving(whose.serving, whose.model)
    return Known(models.find(serving, whose.model, version), models.owner(serving, whose.model, version))


def version_text(version: int | str) -> str:
    """How a version is written in labels: "03" is 3."""
    text = str(version)
    if not (len(text) <= 19 and text.isascii() and text.isdecimal()) or int(text) > VERSION_MAX:
        raise BadBatch("field `model_version`: Expected a whole number from 0 to 2^63-1, or its digits")
    return str(int(text))
