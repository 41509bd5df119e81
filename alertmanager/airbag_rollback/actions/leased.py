"""A landing in the hands of a leader only."""

from __future__ import annotations

from collections.abc import Callable

from airbag_rollback.actions.landing import Effect, Landing, Order, Planned, Reality


class Leased:
    """The landing, which touches nothing unless `ensure` lets it: at that moment this process has to lead.

    What `ensure` raises goes through `apply`: a receiver that does not lead must not even write down what came of it.
    """

    def __init__(self, landing: Landing, ensure: Callable[[], None]) -> None:
        self._landing = landing
        self._ensure = ensure
        self.restores = landing.restores

    def plan(self, order: Order) -> Planned | Effect:
        return self._landing.plan(order)

    def apply(self, order: Order) -> Effect:
        self._ensure()
        return self._landing.apply(order)

    def look(self, order: Order) -> Reality:
        return self._landing.look(order)
