"""A model's versions on disk together with all that needs them: servers, models.config, the receiver's ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from airbag.errors import AirbagError, ConfigError, Problem
from airbag.repository import (
    Fate,
    Listing,
    Repository,
    Signatures,
    Uses,
    VersionFacts,
    asked_for,
    fates,
    of_map,
    scan,
    stored,
    used,
)
from airbag.serving.groups import Retention, ServingGroup, Servings
from airbag.serving.model_config import ModelConfigFile, policy_of
from airbag.serving.proto.tfs_pb2 import ModelConfig
from airbag.serving.reader import Reader
from airbag_rollback.engine.target import Rules, choose
from airbag_rollback.journal import JournalError
from airbag_rollback.journal.peek import Peek, peek
from airbag_rollback.look import Lookout, ModelView
from airbag_rollback.policy import Policy
from airbag_rollback.records import Served


class NotVisible(AirbagError):
    """The model's folder cannot be seen from here; the message holds the remedy."""

    reason = "not_visible"


@dataclass(frozen=True)
class Name:
    """One name under which a folder is served: a model of a group. Without models.config there is no `entry`."""

    group: ServingGroup
    model: str
    entry: ModelConfig | None = None


@dataclass(frozen=True)
class Survey:
    """Everything about one model. `keep` is the most careful retention of all groups that use its folder.

    `notes` say what could not be taken into account.
    """

    group: ServingGroup
    model: str
    base: Path
    repository: Repository
    view: ModelView
    uses: Uses
    keep: Retention
    fates: tuple[Fate, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    def fate(self, version: int) -> Fate | None:
        """What becomes of one version; None when it is not on disk."""
        return next((fate for fate in self.fates if fate.version == version), None)

    @property
    def goes(self) -> tuple[int, ...]:
        """What may go, oldest first: under `latest` nothing that goes is ever asked for in between."""
        return tuple(sorted(fate.version for fate in self.fates if fate.goes))

    @property
    def refusal(self) -> str:
        """Why nothing of this model may be removed now, or ""."""
        if self.uses.unknown:
            return self.uses.unknown
        return "" if self.uses.serves else "no server serves this model now, so nobody knows what is still needed"


@dataclass
class Store:
    """Looks at models on behalf of one command. `now` gives seconds since the epoch."""

    policy: Policy
    servings: Servings
    lookout: Lookout
    now: Callable[[], float]

    def models(self, model: str | None, serving: str | None) -> list[tuple[ServingGroup, str]]:
        """The models meant on the command line: all, or those of that name. ConfigError when there are none."""
        found = [
            (group, name)
            for group in self.servings.servings
            if serving in (None, group.name)
            for name in _names(group)
            if model in (None, name)
        ]
        if not found:
            there = ", ".join(f"{group.name}: {' '.join(_names(group))}" for group in self.servings.servings)
            what = "is on no such serving" if model else "has no model"
            raise ConfigError("exporters.yml", [Problem(model or serving or "servings", what, f"there: {there}")])
        return found

    def survey(
        self, group: ServingGroup, model: str, keep: Mapping[str, float] | None = None, before: Survey | None = None,
        again: Iterable[int] = (),
    ) -> Survey:  # fmt: skip
        """Look at everything now. `keep` overrides single fields of the retention.

        With `before` the files of versions that rested then are taken as they were, except those in `again`.
        ConfigError or NotVisible when the model's folder is not known or not to be seen from here.
        """
        base = _base(group, model)
        facts: Mapping[int, VersionFacts] = before.repository.versions if before else {}
        try:
            repository = scan(base, self.now(), facts, (lambda _: again) if before else None)
        except OSError as error:
            remedy = "run this where the model store is mounted at the path that models.config names"
            raise NotVisible(f"{group.name}/{model}: {base} cannot be read: {error.strerror}; {remedy}") from error
        names, lost = self._names_of(base, group, model)
        views = [(name, self.lookout.look(name.group, name.model)) for name in names]
        uses = reduce(Uses.with_, (_uses(name, view, repository.listing) for name, view in views), lost)
        targets, notes = self._targets(views, repository)
        uses = uses.with_(targets)
        retention = _careful(name.group.retention for name in names).model_copy(update=dict(keep or {}))
        files = {os.path.realpath(name.group.model_config_file) for name in names if name.group.model_config_file}
        view = next(view for name, view in views if (name.group, name.model) == (group, model))
        return Survey(
            group, model, base, repository, view, uses, retention,
            fates(stored(repository), uses, retention, self.now()), tuple(map(Path, sorted(files))), notes,
        )  # fmt: skip

    def serving_signatures(self, survey: Survey) -> tuple[int, Signatures] | None:
        """The version that answers by default and what it takes; None while servers differ or none could be asked."""
        if len(survey.view.serves) != 1:
            return None
        (version,) = survey.view.serves
        for target in survey.group.targets:
            try:
                with Reader(survey.group.endpoint(target)) as reader:
                    return version, of_map(reader.signatures(survey.model, version).signature_def)
            except AirbagError:
                continue
        return None

    def _names_of(self, base: Path, group: ServingGroup, model: str) -> tuple[list[Name], Uses]:
        """Every name under which the folder is served, in all groups; and what could not be found out about that."""
        names, lost, real = [], Uses(), os.path.realpath(base)
        for each in self.servings.servings:
            if each.model_config_file is None:  # where its models lie is not known: the same name counts as the same
                names += [Name(each, model)] if each.model(model) else []
                continue
            try:
                entries = ModelConfigFile(each.model_config_file).read().config.model_config_list.config
            except ConfigError as error:
                problem = error.problems[0]
                lost = Uses(unknown=f"{error.source} of {each.name} cannot be read: {problem}; it may use {base} too")
                names += [Name(each, model)] if each is group else []
                continue
            names += [Name(each, entry.name, entry) for entry in entries if os.path.realpath(entry.base_path) == real]
        return names, lost

    def _targets(self, views: list[tuple[Name, ModelView]], repository: Repository) -> tuple[Uses, tuple[str, ...]]:
        """What the receiver would go back to now. Without its journal only `fates` protects such a version."""
        try:
            with peek(self.policy.journal) as journal:
                each = [self._target(journal, name, view, repository) for name, view in views]
        except JournalError as error:
            note = (
                f"{error}: of the versions to go back to, only the newest complete one below what serves is protected"
            )
            return Uses(), (note,)
        return reduce(Uses.with_, each, Uses()), ()

    def _target(self, journal: Peek, name: Name, view: ModelView, repository: Repository) -> Uses:
        busy = journal.under_way(name.group.name, name.model)
        if busy:
            return Uses(unknown=f"the receiver is at work on {name.group.name}/{name.model}: {busy}")
        served = {each.version: each for each in journal.ledger.served(name.group.name, name.model, self.now())}
        candidates = [
            served.get(version, Served.never(version)).candidate(facts.complete)
            for version, facts in repository.versions.items()
        ]
        rules = Rules(self.policy.soak_min, self.policy.requests_min)
        choices = (choose(candidates, suspect, rules).target for suspect in view.serves)
        return Uses(targets=frozenset(target for target in choices if target is not None))


def _names(group: ServingGroup) -> list[str]:
    names = [entry.name for entry in group.models]
    if group.discover and group.model_config_file:
        try:
            names += ModelConfigFile(group.model_config_file).read().models
        except ConfigError:
            return names  # whoever asks for one of them hears about the file
    return list(dict.fromkeys(names))


def _base(group: ServingGroup, model: str) -> Path:
    if group.model_config_file is None:
        what = "has no model_config_file, which says where its models lie"
        raise ConfigError("exporters.yml", [Problem(f"serving {group.name}", what, "name the servers' models.config")])
    return Path(ModelConfigFile(group.model_config_file).read().model(model).base_path)


def _uses(name: Name, view: ModelView, listing: Listing) -> Uses:
    unknown = view.unreachable or view.silent
    if unknown:
        return Uses(unknown=f"{name.group.name}: {unknown}")
    found = reduce(Uses.with_, (used(target.default, target.versions) for target in view.targets), Uses())
    if name.entry is None:
        return replace(found, twice=listing.twice)
    labels = {version: label for label, version in sorted(name.entry.version_labels.items())}
    asked = asked_for(policy_of(name.entry), listing.versions)
    return found.with_(Uses(labels=labels, asked=asked, twice=listing.twice))


def _careful(retentions: Iterable[Retention]) -> Retention:
    """What keeps most of each."""
    each = list(retentions)
    return Retention().model_copy(
        update={"keep_last": max(r.keep_last for r in each), "keep_for": max(r.keep_for for r in each)}
    )
