"""Reads the files of the chain from where they lie, although they name each other as they are deployed."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airbag.chain.documents import AlertmanagerFile, PrometheusFile, RuleFile, TargetFile
from airbag.chain.finding import Finding, of_error
from airbag.config import load
from airbag.errors import ConfigError, Problem

T = TypeVar("T", PrometheusFile, AlertmanagerFile, RuleFile, TargetFile)


@dataclass(frozen=True)
class Paths:
    """Where deployed paths lie here: `given` prefixes, then `beside` (the usual folders of a prefix), then as they are.

    The first that exists counts, so that the same files can be checked in a checkout and inside a container.
    """

    given: Mapping[str, Path] = field(default_factory=dict)
    beside: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def candidates(self, deployed: str, base: Path = Path()) -> Iterator[Path]:
        """Every place to look at, in order; a relative path counts from `base`."""
        for prefix in sorted(self.given, key=len, reverse=True):
            if _is_below(deployed, prefix):
                yield self.given[prefix] / _below(deployed, prefix)
        for prefix, folders in self.beside.items():
            if _is_below(deployed, prefix):
                yield from (folder / _below(deployed, prefix) for folder in folders)
        yield base / deployed

    def find(self, deployed: str) -> Path | None:
        """The file; None when there is none."""
        return next((path for path in self.candidates(deployed) if path.is_file()), None)

    def glob(self, deployed: str, base: Path) -> list[Path]:
        """The files of a pattern, sorted."""
        for path in self.candidates(deployed, base):
            found = [Path(each) for each in sorted(glob.glob(str(path)))]  # noqa: PTH207 - Path.glob takes no absolute one
            if any(each.is_file() for each in found):
                return [each for each in found if each.is_file()]
        return []


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def _below(path: str, prefix: str) -> str:
    return path[len(prefix.rstrip("/")) :].lstrip("/")


def parse_prefix(text: str) -> tuple[str, str]:
    """`/etc/prometheus=prometheus`; ValueError for anything else."""
    deployed, equals, local = text.partition("=")
    if not (deployed and equals and local):
        raise ValueError(f"{text!r} is no pair; write DEPLOYED=HERE, such as /etc/prometheus=prometheus")
    return deployed, local


@dataclass
class Files:
    """Prometheus' and Alertmanager's files as far as they could be read, and what was wrong with the others."""

    prometheus: PrometheusFile | None = None
    alertmanager: AlertmanagerFile | None = None
    rules: dict[str, RuleFile] = field(default_factory=dict)
    target_files: dict[str, dict[str, TargetFile]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read_files(prometheus: Path, alertmanager: Path, paths: Paths) -> Files:
    """Read both and all that prometheus.yml points to. Never raises for what a file holds."""
    files = Files()
    files.prometheus = _read(files, prometheus, PrometheusFile)
    files.alertmanager = _read(files, alertmanager, AlertmanagerFile)
    if files.prometheus is not None:
        _read_rules(files, files.prometheus, prometheus, paths)
        _read_targets(files, files.prometheus, prometheus.parent, paths)
    return files


def _read(files: Files, path: Path, schema: type[T]) -> T | None:
    try:
        return load(path, schema)
    except ConfigError as error:
        files.findings += of_error(shown_path(path), error)
        return None


def _read_rules(files: Files, document: PrometheusFile, source: Path, paths: Paths) -> None:
    for at, pattern in enumerate(document.rule_files):
        found = paths.glob(pattern, source.parent)
        if not found:
            problem = Problem(f"rule_files[{at}]", f"there is no file {pattern}", "write it, or map it with --path")
            files.findings += of_error(shown_path(source), ConfigError(str(source), [problem]))
        for path in found:
            rules = _read(files, path, RuleFile)
            if rules is not None:
                files.rules[shown_path(path)] = rules
    if not document.rule_files:
        problem = Problem("rule_files", "is empty: no alert is ever raised", "name the rule files")
        files.findings += of_error(shown_path(source), ConfigError(str(source), [problem]))


def _read_targets(files: Files, document: PrometheusFile, base: Path, paths: Paths) -> None:
    discovering = [*document.scrape_configs, *document.alerting.alertmanagers]
    patterns = {pattern for each in discovering for sd in each.file_sd_configs for pattern in sd.files}
    for pattern in sorted(patterns):
        found = files.target_files.setdefault(pattern, {})
        for path in paths.glob(pattern, base):
            targets = _read(files, path, TargetFile)
            if targets is not None:
                found[shown_path(path)] = targets


def shown_path(path: Path) -> str:
    """As short as it can be written from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
