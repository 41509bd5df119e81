"""The OpenAPI document of the intake."""

from __future__ import annotations

from typing import Any

from airbag import __version__
from airbag_exporters.config import Limits

Json = dict[str, Any]  # a document made of plain JSON values


def document(limits: Limits, *, needs_token: bool) -> Json:
    """OpenAPI 3.1."""
    return {"openapi": "3.1.0", "info": {"title": "Airbag quality exporter", "version": __version__}, "paths": {}}
