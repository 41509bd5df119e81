"""From settings and hand-written rules to rule files, and the pace of prometheus.yml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from airbag.errors import ConfigError, Problem
from airbag.rules import RuleSettings
from airbag_exporters.rules.files import groups
from airbag_exporters.rules.rule import Group
from airbag_exporters.rules.write import text

_USED = re.compile(r"\b(?:model|pipeline)\w*:airbag_\w+:\w+")
_RECORDED = re.compile(r"(?m)^ *- record: (\S+)")
_TOKEN = re.compile(r"\$\{(\w+)\}")  # Prometheus' own templates have no `${`
_TIME_INTERVAL = re.compile(r"(?m)^( +timeInterval:) \S+")
_PACE = re.compile(r"(?m)^(  (?:scrape|evaluation)_interval:) \S+")


def build(settings: RuleSettings, written: Mapping[str, str]) -> dict[str, str]:
    """Every rule file's text by its name. ConfigError when a rule rests on what these settings do not record."""
    filled, problems = _filled(settings, written)
    files = groups(settings, filled)
    problems += _unrecorded(files)
    problems += [
        Problem(name, "goes to no rule file", f"one of {', '.join(files)}") for name in written if name not in files
    ]
    if problems:
        raise ConfigError("rules", problems)
    return {f"{name}.yml": text(each) for name, each in files.items() if any(g.records or g.rules for g in each)}


def tokens(settings: RuleSettings) -> dict[str, str]:
    """What hand-written rules may name in `${...}`: the profile's durations, and the windows of people's alerts."""
    pace = settings.pace
    windows = {"window": pace.window, "burst": pace.burst, "quality": settings.quality[0], "drift": settings.drift[0]}
    words = {f"{name}_in_words": re.sub(r"(\d)([a-z])", r"\1 \2", window) for name, window in windows.items()}
    return {"hold": pace.hold, "interval": pace.interval} | windows | words


def with_pace(settings: RuleSettings, prometheus: str) -> str:
    """The text of prometheus.yml with the profile's intervals in its section `global`, and nothing else changed."""
    before, section, rest = prometheus.partition("global:\n")
    return before + section + _PACE.sub(rf"\1 {settings.pace.interval}", rest, count=2)


def with_time_interval(settings: RuleSettings, data_sources: str) -> str:
    """The text of Grafana's data sources with the profile's scrape interval, from which `$__rate_interval` follows."""
    return _TIME_INTERVAL.sub(rf"\1 {settings.pace.interval}", data_sources)


def _filled(settings: RuleSettings, written: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    known = tokens(settings)
    unknown = [
        Problem(f"{name}.yml", f"names ${{{token}}}, which there is not", f"one of {', '.join(known)}")
        for name, rules in written.items()
        for token in sorted(set(_TOKEN.findall(rules)) - set(known))
    ]
    filled = {name: _TOKEN.sub(lambda found: known.get(found[1], found[0]), rules) for name, rules in written.items()}
    return filled, unknown


def _unrecorded(files: Mapping[str, Iterable[Group]]) -> list[Problem]:
    every = [(name, group) for name, each in files.items() for group in each]
    recorded = {record.name for _, group in every for record in group.records}
    recorded |= {name for _, group in every for name in _RECORDED.findall(group.rules)}
    used = {(name, record) for name, group in every for record in _USED.findall(group.rules)}
    remedy = "add its window to `rules` in exporters.yml, or change the rule"
    return [
        Problem(f"{name}.yml", f"a rule uses {record}, which nothing records", remedy)
        for name, record in sorted(used)
        if record not in recorded
    ]


def read_written(folder: Path) -> dict[str, str]:
    """The hand-written rules by file name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yml"))}


def write(files: Mapping[Path, str]) -> None:
    """Write the files that are not yet as they should be."""
    for path in stale(files):
        path.write_text(files[path], encoding="utf-8")


def stale(files: Mapping[Path, str]) -> list[Path]:
    """The files that are missing or say something else."""
    return [path for path, text in files.items() if _text(path) != text]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
