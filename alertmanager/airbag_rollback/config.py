"""Everything the receiver needs from its files, read once and checked whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airbag.config import Secret, load
from airbag.errors import ConfigError, Problem
from airbag.serving.groups import Servings, load_servings
from airbag_rollback.actions import script_checks
from airbag_rollback.keys import Keys, read_keys
from airbag_rollback.place import PostgresqlJournal
from airbag_rollback.policy import Policy


@dataclass(frozen=True)
class Settings:
    """Policy, servers and secrets. `token` and `audit_key` never go into a message or a log."""

    policy: Policy
    servings: Servings
    token: str
    audit_key: bytes
    keys: Keys

    def __repr__(self) -> str:
        return f"Settings({self.policy!r})"


def load_settings(path: Path) -> Settings:
    """Read policy.yml and what it points to; ConfigError lists the problems of all of them."""
    policy = load(path, Policy)
    problems: list[Problem] = []
    token = _secret("webhook_token", policy.webhook_token, problems)
    audit_key = _secret("audit_key", policy.audit_key, problems)
    keys = read_keys(policy, problems)
    if isinstance(policy.journal, PostgresqlJournal) and policy.journal.password:
        _secret("journal.password", policy.journal.password, problems)  # read anew with each connection
    problems += policy.http_problems() + script_checks.problems(policy)
    servings = None
    try:
        servings = load_servings(policy.exporters_file)
    except ConfigError as error:
        problems += [Problem(f"exporters_file: {each.path}", each.what, each.remedy) for each in error.problems]
    else:
        problems += [
            Problem(f"exporters_file: {each.path}", each.what, each.remedy) for each in servings.tls_problems()
        ]
        problems += _idle_rules(policy, servings) + _drilled(policy, servings) + _unlabelled(policy, servings)
    if servings is None or problems:
        raise ConfigError(str(path), problems)
    return Settings(policy, servings, token, audit_key.encode(), keys)


def _secret(name: str, secret: Secret, problems: list[Problem]) -> str:
    try:
        return secret.read()
    except ConfigError as error:
        problems += [Problem(f"{name}: {each.path}", each.what, each.remedy) for each in error.problems]
        return ""


def _drilled(policy: Policy, servings: Servings) -> list[Problem]:
    """Models to drill on that are not there."""
    drill = policy.drill
    named = {"drill": (drill.serving, drill.model)} if drill.model else {}
    named |= {"drill.shadow": (drill.shadow.serving, drill.shadow.model)} if drill.shadow else {}
    return [
        Problem(where, f"exporters.yml has {'no' if not count else 'more than one'} model {serving or '*'}/{model}")
        for where, (serving, model) in named.items()
        if (count := len([each for each in servings.servings if each.model(model) and serving in (None, each.name)]))
        != 1
    ]


def _unlabelled(policy: Policy, servings: Servings) -> list[Problem]:
    """Models that are to go back by a label, though their clients ask for none: no rollback would reach them."""
    alerts = {"", *(alert for rule in policy.models for alert in rule.alerts)}
    return [
        Problem(
            f"{group.name}/{entry.name}", "goes back by serving-label, and its clients do not ask for labels",
            "`routing: labels` for it in exporters.yml, or another landing",
        )
        for group in servings.servings
        for entry in group.models
        if entry.routing != "labels"
        and any(policy.rule(group.name, entry.name, alert).landing == "serving-label" for alert in alerts)
    ]  # fmt: skip


def _idle_rules(policy: Policy, servings: Servings) -> list[Problem]:
    """Rules for models that are not there: a misspelt name would leave a model under another rule than meant."""
    known = [(group.name, entry.name) for group in servings.servings for entry in group.models]
    discovering = any(group.discover for group in servings.servings)
    return [
        Problem(f"models[{number}]", f"matches no model of exporters.yml: {rule.serving}/{rule.model}",
                "there: " + ", ".join("/".join(each) for each in known))
        for number, rule in enumerate(policy.models)
        if not discovering and not any(rule.matches(*each, next(iter(rule.alerts), "")) for each in known)
    ]  # fmt: skip
