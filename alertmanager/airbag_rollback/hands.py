"""Steps the actions of several models side by side, so that one slow server or script holds up no other model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from airbag_rollback.records import Action

_MOST = 8
"""Models at a time; more than this wait for a free hand."""


class Hands:
    """At most one step in progress for each model. `step` says whether the action moved, and raises nothing.

    `late` is called at the end of a step that took longer than the turn that began it.
    """

    def __init__(self, step: Callable[[Action], bool], late: Callable[[], None]) -> None:
        self._step = step
        self._late = late
        self._pool = ThreadPoolExecutor(_MOST, thread_name_prefix="hand")
        self._busy: dict[tuple[str, str], Future[bool]] = {}

    def turn(self, actions: Iterable[Action], patience: float | None) -> bool:
        """Begin one step of every action whose model no hand is at, and give all of them `patience` seconds (None: as
        long as they take). Whether any action moved, in a step that ended now or since the last turn.
        """
        moved = self._ended()
        waiting: dict[tuple[str, str], list[Action]] = {}
        for action in actions:
            waiting.setdefault((action.serving, action.model_name), []).append(action)
        begun = {model: self._pool.submit(self._all, own) for model, own in waiting.items() if model not in self._busy}
        self._busy |= begun
        wait(self._busy.values(), timeout=patience)
        moved = self._ended() or moved
        for model in begun.keys() & self._busy.keys():
            self._busy[model].add_done_callback(lambda _: self._late())
        return moved

    def rest(self) -> None:
        """Wait for every step in progress."""
        wait(self._busy.values())

    def close(self) -> None:
        """Wait for every step in progress and begin none any more."""
        self._pool.shutdown(wait=True)

    def _all(self, actions: list[Action]) -> bool:
        moved = [self._step(action) for action in actions]
        return any(moved)

    def _ended(self) -> bool:
        ended = [model for model, future in self._busy.items() if future.done()]
        moved = [self._busy.pop(model).result() for model in ended]
        return any(moved)
