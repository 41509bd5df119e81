"""From windows and hand-written alerts to rule files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from airbag.errors import ConfigError, Problem
from airbag_exporters.quality.rules.files import groups
from airbag_exporters.quality.rules.rule import Group
from airbag_exporters.quality.rules.windows import RuleWindows
from airbag_exporters.quality.rules.write import text

_USED = re.compile(r"\b(?:model|pipeline)\w*:airbag_\w+:\w+")


def build(windows: RuleWindows, alerts: Mapping[str, str]) -> dict[str, str]:
    """Every rule file's text by its name. ConfigError when an alert rests on what these windows do not record."""
    files = groups(windows, alerts)
    problems = [problem for name, each in files.items() for problem in _problems(name, each)]
    problems += [
        Problem(name, "goes to no rule file", f"one of {', '.join(files)}") for name in alerts if name not in files
    ]
    if problems:
        raise ConfigError("rules", problems)
    return {f"{name}.yml": text(each) for name, each in files.items()}


def _problems(name: str, file: list[Group]) -> list[Problem]:
    recorded = {record.name for group in file for record in group.records}
    used = {record for group in file for record in _USED.findall(group.alerts)}
    remedy = "add its window to `quality.rules`, or change the alert"
    return [Problem(f"{name}.yml", f"an alert uses {each}, which nothing records", remedy) for each in used - recorded]


def read_alerts(folder: Path) -> dict[str, str]:
    """The hand-written alerts by file name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yml"))}


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files that are not yet as they should be."""
    for name in stale(files, folder):
        (folder / name).write_text(files[name], encoding="utf-8")


def stale(files: Mapping[str, str], folder: Path) -> list[str]:
    """The names of the files that are missing or say something else."""
    return [name for name, text in files.items() if _text(folder / name) != text]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
