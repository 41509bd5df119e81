"""Rule files from which one thing is missing, and the part of a case that should notice."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fakes import shipped
from tests.fakes.binaries import find

CASES = Path(__file__).parent / "rules"
_NAME = re.compile(r"[a-zA-Z_]\w*:[\w:]+")

Rule = dict[str, Any]


@dataclass(frozen=True)
class Mutant:
    """What is left of an alert without one thing; nothing at all without the rule itself."""

    missing: str
    rule: Rule | None


_WHOLE = Mutant("nothing", None)


def mutants(alert: Rule) -> Iterator[Mutant]:
    """Every way to take one thing from the alert."""
    yield Mutant("the rule", None)
    for part in ("labels", "annotations"):
        for key in alert[part]:
            less = copy.deepcopy(alert)
            del less[part][key]
            yield Mutant(f"{part}: {key}", less)
    if "for" in alert:
        yield Mutant("for", {key: value for key, value in alert.items() if key != "for"})


def needed(*alerts: Rule, asked: str = "") -> list[dict[str, Any]]:
    """The alerts and the records that they, their texts or what is `asked` rest on, in their groups."""
    groups = shipped.group_documents()
    records = {rule["record"]: rule for group in groups for rule in group["rules"] if "record" in rule}
    names = rested_on(set(_NAME.findall(asked)).union(*map(_named, alerts)), records)
    kept = [
        group | {"rules": [rule for rule in group["rules"] if rule in alerts or rule.get("record") in names]}
        for group in groups
    ]
    return [group for group in kept if group["rules"]]


def rested_on(names: Iterable[str], records: Mapping[str, Rule]) -> set[str]:
    """These records, and all that they are made of."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name in records and name not in found:
            found.add(name)
            waiting |= _named(records[name])
    return found


def _named(rule: Rule) -> set[str]:
    return set(_NAME.findall(json.dumps({key: text for key, text in rule.items() if key != "record"})))


def case_of(alert: Rule) -> Mapping[str, Any]:
    """The tests in which this rule fires, and what they say of it; nothing of other rules, nor of those of its name."""
    document = yaml.safe_load((CASES / f"{alert['alert']}.yml").read_text())
    tests = []
    for test in document["tests"]:
        steps = [
            step | {"exp_alerts": [each for each in step["exp_alerts"] or [] if _is_of(alert, each)]}
            for step in test.get("alert_rule_test", [])
            if step["alertname"] == alert["alert"]
        ]
        if any(step["exp_alerts"] for step in steps):
            rest = {key: value for key, value in test.items() if key != "promql_expr_test"}
            tests.append(rest | {"alert_rule_test": steps})
    return document | {"tests": tests}


def _is_of(alert: Rule, expected: Mapping[str, Any]) -> bool:
    return bool(alert["labels"].items() <= expected["exp_labels"].items())


def unnoticed_mutants(alert: Rule, folder: Path) -> set[str]:
    """What can be missing from the alert without its case failing; "nothing" is among it when the case is right.

    One run tries them all: each mutant has a name of its own, and the case asks for each by that name.
    """
    tried = {f"{alert['alert']}Mutant{number}": each for number, each in enumerate([_WHOLE, *mutants(alert)])}
    rules = {name: (alert if each is _WHOLE else each.rule) for name, each in tried.items()}
    groups = [
        group | {"rules": [variant for rule in group["rules"] for variant in _variants(rule, alert, rules)]}
        for group in needed(alert)
    ]
    case = dict(case_of(alert))
    case["tests"] = [
        test | {"alert_rule_test": [step | {"alertname": name} for name in tried for step in test["alert_rule_test"]]}
        for test in case["tests"]
    ]
    said = failures(groups, case, folder)
    return {each.missing for name, each in tried.items() if f"alertname: {name}," not in said}


def _variants(rule: Rule, alert: Rule, rules: Mapping[str, Rule | None]) -> list[Rule]:
    if rule != alert:
        return [rule]
    return [variant | {"alert": name} for name, variant in rules.items() if variant]


def failures(groups: Sequence[Mapping[str, Any]], case: Mapping[str, Any], folder: Path) -> str:
    """What promtool says of the case on these rules, or nothing when it comes out as it says."""
    folder.mkdir(exist_ok=True)
    held = {group["name"] for group in groups}
    order = [name for name in case.get("group_eval_order", []) if name in held]
    (folder / "rules.yml").write_text(json.dumps({"groups": groups}))
    (folder / "case.yml").write_text(json.dumps({**case, "rule_files": ["rules.yml"], "group_eval_order": order}))
    command = [str(find("promtool")), "test", "rules", str(folder / "case.yml")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0 or "alertname: " in done.stdout, done.stdout
    return done.stdout if done.returncode else ""
