"""The shipped configuration files as tests look at them."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from airbag.config import replace_tokens
from airbag.rules import RuleSettings
from airbag_exporters.rules.build import build, read_written
from tests.fakes.binaries import ROOT

RULES = ROOT / "prometheus" / "rules"
RUNBOOKS = ROOT / "prometheus" / "runbooks"


def rules() -> list[dict[str, Any]]:
    """Every record and alert, in order."""
    return [rule for group in group_documents() for rule in group["rules"]]


def groups() -> list[str]:
    """The name of every group; one that rests on another stands behind it."""
    return [str(group["name"]) for group in group_documents()]


def group_documents() -> list[dict[str, Any]]:
    """Every group with its rules, in the order of `groups`; the caller's own."""
    return copy.deepcopy(_read())


@cache
def _read() -> list[dict[str, Any]]:
    """Once a process: it takes a third of a second, and hundreds of tests ask."""
    return [group for file in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]]


def alert_rules() -> list[dict[str, Any]]:
    """Every alerting rule. Several may have one name: the steps of a budget, or of how full something is."""
    return [rule for rule in rules() if "alert" in rule]


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name; of several rules of one name the first."""
    return {rule["alert"]: rule for rule in reversed(alert_rules())}


def build_rules(settings: RuleSettings, folder: Path) -> list[Path]:
    """Write the rule files that these settings would give."""
    folder.mkdir(parents=True, exist_ok=True)
    files = build(settings, read_written(ROOT / "prometheus" / "src"))
    for name, text in files.items():
        (folder / name).write_text(text)
    return sorted(folder / name for name in files)


def copied(folder: str, target: Path, tokens: dict[str, str]) -> Path:
    """A copy of a folder's configuration files with local paths and addresses, as `airbag up` makes it."""
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in {".yml", ".tmpl"}:
            local = target / path.relative_to(ROOT / folder)
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_text(replace_tokens(path.read_text(), tokens))
    return target
