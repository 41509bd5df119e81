"""The server's core: takes configurations, keeps the labels, hands out the version that answers a request."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airbag_demo.model_server import config as configs
from airbag_demo.model_server import text_protos
from airbag_demo.model_server.manager import Servable, VersionManager
from airbag_demo.model_server.routing import Route
from airbag_demo.model_server.states import Decision, Event, EventBus, State, StateMonitor
from airbag_demo.model_server.status import Code, Status, StatusError, invalid
from airbag_demo.model_server.storage import StoragePoller

log = logging.getLogger("airbag.model_server")

Labels = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Wanted:
    """The model that a request is for: by default the highest loaded version, else a number or a label."""

    name: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def of(cls, spec: Any) -> Wanted:
        """What a ModelSpec asks for."""
        match spec.WhichOneof("version_choice"):
            case "version":
                return cls(spec.name, version=spec.version.value)
            case "version_label":
                return cls(spec.name, label=spec.version_label)
            case _:
                return cls(spec.name)


class ServerCore:
    """One configuration at a time; reloads run one after the other, however they come in."""

    def __init__(
        self, manager: VersionManager, bus: EventBus, storage: StoragePoller, allow_labels_for_unavailable: bool
    ) -> None:
        self.monitor = StateMonitor()
        bus.subscribe(self.monitor)
        self._manager = manager
        self._bus = bus
        self._storage = storage
        self._allow_labels = allow_labels_for_unavailable
        self._reloading = threading.Lock()
        self._config: configs.Config | None = None
        self._labels: Labels = {}

    def start(self, config: configs.Config, fast_threads: int, threads: int) -> None:
        """Take the first configuration and wait, without limit, until each model has a version AVAILABLE or failed.

        Loads run in `fast_threads` threads until then, and in `threads` afterwards; changing over waits for loads that
        still retry. StatusError if any model failed.
        """
        self._manager.use_load_threads(fast_threads)
        try:
            self.reload(config, first=True)
        finally:
            self._manager.use_load_threads(threads)

    def reload(self, config: configs.Config, *, first: bool = False) -> None:
        """Replace the whole configuration. Waits for models that are new, never for existing ones.

        StatusError in the order and with the lasting effects of the real server: what was done before the failing
        step stays done.
        """
        with self._reloading:
            models = self._accept(config)
            self._config = config
            self._labels = self._checked_labels(models)
            log.info("Adding/updating models.")
            configs.check_platforms_known(models)
            self._apply(models, first)
            if any(model.HasField("logging_config") for model in models):
                raise invalid("No request-logger-creator provided.")

    @contextmanager
    def hold(self, wanted: Wanted) -> Iterator[Route[Servable]]:
        """The version that answers a request for this, held while it runs. StatusError if there is none."""
        if not wanted.name:
            raise invalid("ModelSpec has no name specified.")
        with self._manager.routes.hold(wanted.name, self._version(wanted)) as route:
            yield route

    def status(self, wanted: Wanted) -> list[Event]:
        """All versions ever heard of, highest first, or the one asked for. A label is ignored.

        StatusError NOT_FOUND.
        """
        if wanted.version is not None:
            event = self.monitor.version(wanted.name, wanted.version)
            if event is None:
                raise StatusError(Code.NOT_FOUND, f"Could not find version {wanted.version} of model {wanted.name}")
            return [event]
        events = self.monitor.versions(wanted.name)
        if not events:
            raise StatusError(Code.NOT_FOUND, f"Could not find any versions of model {wanted.name}")
        return events

    def _version(self, wanted: Wanted) -> int | None:
        if wanted.label is None:
            return wanted.version
        version = self._labels.get(wanted.name, {}).get(wanted.label)
        if version is None:
            raise invalid(f"Unrecognized servable version label: {wanted.label}")
        return version

    def _accept(self, config: configs.Config) -> list[Any]:
        if config.WhichOneof("config") == "custom_model_config" and self._config is None:
            raise invalid("ModelServer does not yet support custom model config.")
        if self._config is not None and config.WhichOneof("config") != "model_config_list":
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "Cannot transition to requested config. It is only legal to transition "
                "from one ModelConfigList to another.",
            )
        models = list(config.model_config_list.config)
        configs.check(models)
        if self._config is not None:
            configs.check_platforms_kept(self._config.model_config_list.config, models)
        return models

    def _checked_labels(self, models: list[Any]) -> Labels:
        labels: Labels = {}
        for model in models:
            for label, version in model.version_labels.items():
                if not self._may_label(model.name, label, version):
                    raise StatusError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference",
                    )
                labels.setdefault(model.name, {})[label] = version
        return labels

    def _may_label(self, name: str, label: str, version: int) -> bool:
        has_moved = self._labels.get(name, {}).get(label, version) != version
        if self._allow_labels and not has_moved:
            return True
        event = self.monitor.version(name, version)
        return event is not None and event.state is State.AVAILABLE

    def _apply(self, models: list[Any], first: bool) -> None:
        new = {model.name for model in models} - self._storage.names
        decision = Decision(new)
        self._bus.subscribe(decision)
        try:
            for model in models:
                log.info(" (Re-)adding model: %s", model.name)
            self._storage.replace(configs.source_of(model) for model in models)
            if first:
                self._storage.start()
            _wait_available(decision, "servable(s)" if first else "model(s)")
        finally:
            self._bus.unsubscribe(decision)


def poll_config(
    path: str,
    seconds: float,
    reload: Callable[[configs.Config], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Apply the file again and again, for ever, whether it changed or not: now, then `seconds` from start to start.

    Errors are only logged. A reload that never returns ends the polling for good.
    """
    while True:
        started = time.monotonic()
        try:
            _poll_once(path, reload)
        except Exception:
            log.exception("the config poll failed")
        sleep(max(0.0, started + seconds - time.monotonic()))


def _poll_once(path: str, reload: Callable[[configs.Config], None]) -> None:
    try:
        config = text_protos.read(path, configs.parse_models)
    except StatusError as error:
        log.error("Failed to read ModelServerConfig file: %s", error.status.message)  # noqa: TRY400
        return
    try:
        reload(config)
    except StatusError as error:
        log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error.status.message)  # noqa: TRY400


def _wait_available(decision: Decision, kind: str) -> None:
    failed = [event for event in decision.wait() if event.state is State.END]
    if failed:
        what = "".join(f"{{{_failure(event)}}}, " for event in failed)
        raise StatusError(Code.UNKNOWN, f"{len(failed)} {kind} did not become available: {{{what}}}")


def _failure(event: Event) -> str:
    reason: Status = event.status
    shown = f"{{name: {event.name} version: {event.version}}}"
    return shown if reason.is_ok else f"{shown} due to error: {reason}"
