"""The formats that training data is read from: one file each, and one line in FORMATS."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from airbag.errors import ConfigError, Problem
from airbag_exporters.quality.reference.chunk import Table

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv_text",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def open_tables(paths: Iterable[Path], missing: frozenset[str]) -> list[Table]:
    """Each file by the reader of its suffix; ConfigError lists all that cannot be opened.

    `missing` are texts that stand for a missing value.
    """
    found: list[Table] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(_open(path, missing))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError("data", problems)
    return found


def _open(path: Path, missing: frozenset[str]) -> Table:
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        what = f"is no format that is read here: {', '.join(sorted(FORMATS))}"
        raise ConfigError("data", [Problem(str(path), what)])
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("Table", module.open_table(path, missing))
