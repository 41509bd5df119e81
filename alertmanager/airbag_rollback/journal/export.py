"""The audit as a file: one JSON object per line. The first says where the audit begins, the last that it is whole."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from airbag.disk import sync_folder
from airbag.errors import ConfigError, Problem
from airbag_rollback.journal.audit import Record, canonical


def write_export(records: Iterable[Record], kept: tuple[int, str], output: Path | None) -> int:
    """Write the records, to standard output without `output`; how many. OSError leaves what was there before."""
    count = 0
    with _file(output) as file:
        file.write(json.dumps({"begins_after": kept[0], "mac": kept[1]}) + "\n")
        for record in records:
            file.write(f'{{"mac": "{record.mac}", "record": {_shown(record)}}}\n')
            count += 1
        file.write(json.dumps({"records": count}) + "\n")
    return count


def _shown(record: Record) -> str:
    """The record as the object that it is; as text where it is no longer as it was signed."""
    with suppress(ValueError):
        if canonical(json.loads(record.text)) == record.text:
            return record.text
    return json.dumps(record.text)


def read_export(path: Path) -> tuple[tuple[int, str], Iterator[Record]]:
    """Where the export begins, and its records. ConfigError, also while the records are read, for what is no export."""
    lines = _lines(path)
    try:
        _, head = next(lines)
        kept = (int(head["begins_after"]), str(head["mac"]))
    except (StopIteration, ValueError, KeyError, TypeError) as error:
        raise ConfigError(str(path), [Problem("line 1", "is not the head of an export of the audit")]) from error
    return kept, _records(path, lines)


def _records(path: Path, lines: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Record]:
    count = 0
    for number, line in lines:
        if line.get("records") == count:
            return
        count += 1
        try:
            found, mac = line["record"], str(line["mac"])
            text = found if isinstance(found, str) else canonical(found)
            fields = json.loads(text)
            yield Record(int(fields["seq"]), fields["at"], fields["kind"], fields.get("action_id"), text, mac)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(str(path), [Problem(f"line {number}", "is no record of the audit")]) from error
    raise ConfigError(str(path), [Problem(f"line {count + 1}", "is the last one, and the export does not end with it")])


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:  # Any: JSON
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise ConfigError(str(path), [Problem(f"line {number}", "is no JSON")]) from error
            if not isinstance(found, dict):
                raise ConfigError(str(path), [Problem(f"line {number}", "is no JSON object")])
            yield number, found


@contextmanager
def _file(output: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that appears whole under its name at the end."""
    if output is None:
        yield sys.stdout
        return
    new = output.with_name(f".{output.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(output)
        sync_folder(output.parent)
    finally:
        with suppress(OSError):
            new.unlink()
