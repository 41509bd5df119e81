"""Going back by hiding the bad version from the servers: for those that cannot be told, under `latest` or `all`."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airbag.disk import sync_folder
from airbag.errors import AirbagError, ConfigError
from airbag.repository import QUARANTINED, Listing, list_versions
from airbag.serving.groups import ServingGroup
from airbag.serving.model_config import FileError, Locked, ModelConfigFile
from airbag_rollback import failpoints
from airbag_rollback.actions.landing import Effect, Found, Order, Planned, Reality, Result
from airbag_rollback.actions.step import listed
from airbag_rollback.look import Lookout, ModelView, TargetView, base_path, on_disk

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another writer of models.config; the caller asks again."""

_REMEDIES = {
    errno.EACCES: "let Airbag's user write to that folder",
    errno.EPERM: "run Airbag as the user who owns the folder",
    errno.EROFS: "mount the model store writable for Airbag",
}


class QuarantineDirectory:
    """The landing `quarantine-directory`: BASE/N becomes BASE/.airbag-quarantined-N-KEY, which is no version's name.

    The servers see that at their next look at the folder and load the highest number that is left. So everything
    between the target and the bad version goes as well, lowest first: the bad one answers until the last rename.
    Nothing is deleted; renaming it back undoes it.
    """

    restores = True

    def __init__(self, lookout: Lookout, group: ServingGroup) -> None:
        self._lookout = lookout
        self._group = group

    def plan(self, order: Order) -> Planned | Effect:
        view = self._lookout.look(self._group, order.model_name)
        if view.unreachable:
            return Effect(Result.RETRY, "server_unreachable", view.unreachable)
        base = self._base(order.model_name)
        if isinstance(base, Effect):
            return base
        try:
            listing = list_versions(base)
        except OSError as error:
            return Effect(Result.IMPOSSIBLE, "model_store", f"cannot read {base}: {error.strerror or error}")
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        wrong = _wrong(order, order.target, view, listing)
        if wrong:
            return wrong
        goes = _goes(order, order.target, listing)
        moves = {listing.versions[version][0]: _hidden(version, order.key) for version in goes}
        text = f"{', '.join(f'{base / name} becomes {hidden}' for name, hidden in moves.items())}; nothing is deleted"
        return Planned({"base": str(base), "moves": moves, "versions": goes}, text)

    def apply(self, order: Order) -> Effect:
        try:
            with self._alone():
                return self._apply(order)
        except Locked as error:
            return Effect(Result.RETRY, "file_locked", str(error))
        except FileError as error:
            return Effect(Result.FAILED, "models_config", str(error))

    def _apply(self, order: Order) -> Effect:
        base, moves = Path(order.plan["base"]), _moves(order)
        left = {name: hidden for name, hidden in moves.items() if not (base / hidden).exists()}
        if len(left) == len(moves):
            changed = self._no_longer_as_planned(order, base)
            if changed:
                return changed
        for name, hidden in left.items():
            try:
                failpoints.reached("before the version is hidden")
                (base / name).rename(base / hidden)
                sync_folder(base)
                failpoints.reached("after the version is hidden")
            except OSError as error:
                remedy = _REMEDIES.get(error.errno or 0, "see the system's log")
                text = f"cannot rename {base / name}: {error.strerror or error}; {remedy}"
                touched = any((base / each).exists() for each in moves.values())
                return Effect(Result.UNCLEAR if touched else Result.FAILED, "model_store", text)
        return Effect(Result.DONE, "hidden", f"{', '.join(moves)} in {base} is out of the servers' sight")

    def look(self, order: Order) -> Reality:
        view = self._lookout.look(self._group, order.model_name)
        if view.unreachable:
            return Reality(Found.UNSEEN, view.unreachable)
        base, moves = Path(order.plan["base"]), _moves(order)
        hidden = [name for name in moves if (base / moves[name]).exists()]
        back = [name for name in hidden if (base / name).exists()]
        if back:
            return Reality(Found.OTHER, f"{', '.join(back)} was put into {base} again by somebody else")
        if len(hidden) < len(moves):
            some = "some of it is hidden" if hidden else f"{', '.join(moves)} is where it was"
            return Reality(Found.PARTLY if hidden else Found.BEFORE, some)
        late = [server for server in view.answering if not _followed(server, order)]
        text = "; ".join(f"{each.name} followed" if _followed(each, order) else str(each) for each in view.targets)
        if late:  # renaming again would not help: the servers look by themselves
            return Reality(Found.MOVING, text)
        return Reality(Found.UNSEEN if view.silent else Found.DONE, text if view.silent else f"{order.target} serves")

    def _no_longer_as_planned(self, order: Order, base: Path) -> Effect | None:
        view = self._lookout.look(self._group, order.model_name)
        if view.unreachable:
            return Effect(Result.RETRY, "server_unreachable", view.unreachable)
        if view.serves != order.expected:
            text = f"{listed(view.serves)} serves and no longer {listed(order.expected)}"
            moving = view.serves & order.expected
            return Effect(*((Result.RETRY, "servers_moving") if moving else (Result.SUPERSEDED, "superseded")), text)
        assert order.target is not None  # noqa: S101 - it restores, so there is a target
        try:
            return _wrong(order, order.target, view, list_versions(base))
        except OSError as error:
            return Effect(Result.RETRY, "model_store", f"cannot read {base}: {error.strerror or error}")

    def _base(self, model: str) -> Path | Effect:
        if self._group.model_config_file is not None:
            try:
                return base_path(ModelConfigFile(self._group.model_config_file).read(), model)
            except AirbagError as error:
                return Effect(Result.RETRY, "models_config", str(error))
        entry = self._group.model(model)
        if entry is None or entry.base_path is None:
            text = f"nobody says where {model} lies: give it `base_path` in exporters.yml, or name a model_config_file"
            return Effect(Result.IMPOSSIBLE, "no_base_path", text)
        return entry.base_path

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep releases and prunes out, where there is a file to lock."""
        if self._group.model_config_file is None:
            yield
            return
        try:
            with ModelConfigFile(self._group.model_config_file).locked(LOCK_TIMEOUT):
                yield
        except ConfigError as error:
            raise FileError(str(error)) from error


def _wrong(order: Order, target: int, view: ModelView, listing: Listing) -> Effect | None:
    """Why renaming would not do, or would do harm: the servers choose the highest number that they see."""
    there, base = listing.versions, listing.base
    complete = on_disk(base) or frozenset()
    if target not in complete:
        text = f"version {target} is not complete under {base}; without {order.bad_version} the model could go away"
        return Effect(Result.IMPOSSIBLE, "no_eligible_target", text)
    twice = sorted(version for version in listing.twice if target < version <= order.bad_version)
    if twice:
        text = f"{base} has more than one folder for version {listed(frozenset(twice))}; remove the one that is wrong"
        return Effect(Result.IMPOSSIBLE, "model_store", text)
    newer = frozenset(version for version in there if version > order.bad_version)
    if newer:
        text = f"{listed(newer)} is newer than {order.bad_version}; servers would go there and not to {target}"
        return Effect(Result.IMPOSSIBLE, "newer_version", text)
    if target > order.bad_version:
        text = f"{target} is newer than {order.bad_version}; the servers go there by themselves"
        return Effect(Result.IMPOSSIBLE, "newer_version", text)
    if not _goes(order, target, listing):
        return Effect(Result.SUPERSEDED, "superseded", f"there is no {order.bad_version} in {base} any more")
    if view.wanted is not None and target not in view.wanted:
        text = (
            f"models.config names {listed(view.wanted)} and not {target}, so renaming would leave the model without a "
            "version; use serving-version, or a policy `latest`"
        )
        return Effect(Result.IMPOSSIBLE, "wrong_policy", text)
    return None


def _goes(order: Order, target: int, listing: Listing) -> list[int]:
    """The versions to hide, lowest first. The bad one is hidden already when its first target was bad as well."""
    return [version for version in sorted(listing.versions) if target < version <= order.bad_version]


def _followed(server: TargetView, order: Order) -> bool:
    gone = server.busy.isdisjoint(order.plan["versions"])
    return not server.error and gone and server.default == order.target


def _moves(order: Order) -> Mapping[str, str]:
    moves: Mapping[str, str] = order.plan["moves"]
    return moves


def _hidden(version: int, key: str) -> str:
    return f"{QUARANTINED}{version}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
