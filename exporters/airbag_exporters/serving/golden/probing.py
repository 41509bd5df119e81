"""Everything around golden requests in one process: a prober per server, one page, the alerts that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airbag.clock import Clock
from airbag.serving.model_config import Policy
from airbag_exporters.config import ExportersConfig
from airbag_exporters.serving.own_requests import OwnRequests
from airbag_exporters.serving.poll import TargetState


class Probing:
    """Asks golden requests as the pollers see versions come, and tells Alertmanager what failed.

    `policies` gives, by the name of a serving, what its models.config says. `adopt` comes before `start` and before the
    pollers run.
    """

    def __init__(self, clock: Clock, policies: Callable[[str], Mapping[str, Policy]]) -> None:
        self._clock = clock
        self._policies = policies

    def adopt(self, config: ExportersConfig) -> None:
        """Ask what `config` names from now on. ConfigError, and nothing changed, when a golden file is wrong."""

    def listener(self, serving: str, target: str, own: OwnRequests) -> Callable[[TargetState], None]:
        """What the poller of that target calls with its state after each poll. It never blocks."""
        return lambda _state: None

    def start(self) -> None:
        """Let alerts go out."""

    def stop(self) -> None:
        """End every thread; returns within about two seconds. What is in flight is given up."""

    def page(self) -> bytes:
        """The families of the probes, ready to append to a scrape in the classic text format. From any thread."""
        return b""
