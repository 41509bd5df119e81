"""TensorFlow Serving whose versions follow the configuration that it is sent, built on the official stubs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.fakes.tfs_wire import FakeServing, Status


class StatefulServing(FakeServing):
    """Serves what a reload asks for. `broken` versions fail with their code and text, `stuck` ones stay LOADING.

    As in the real server a version that is not wanted any more goes only when a wanted one is there, a version
    without files is not wanted, and labels of all models must name what is AVAILABLE before the reload, unless
    `keeps_labels`, which is the server's own flag for labels that stay where they were.

    `switches` lists the sets of versions that a reload asked of a model, without repetitions. While `reloads_open` is
    cleared, a reload is taken and neither applied nor answered; like the real server it is applied later although the
    caller is gone. `refuse_reload` answers with that code and applies nothing. With `deaf` it says OK and does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[int, tuple[int, str]] = {}
        self.stuck: set[int] = set()
        self.deaf = False
        self.keeps_labels = False
        self.switches: list[tuple[str, tuple[int, ...]]] = []
        self.reloads = 0
        self.reloads_open = threading.Event()
        self.reloads_open.set()
        self.refuse_reload: tuple[grpc.StatusCode, str] | None = None

    def load(self, config: str) -> None:
        """Serve what the text of a models.config says, as at the server's start."""
        parsed = text_format.Parse(config, model_server_config_pb2.ModelServerConfig())
        self._apply(parsed)
        self._label(parsed)
        self.switches.clear()

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.reloads += 1
        self.reloads_open.wait(60)
        if self.refuse_reload is not None:
            context.abort(*self.refuse_reload)
        if not self.deaf:
            self._check_labels(request.config, context)
            self._label(request.config)
            self._apply(request.config)
        return model_management_pb2.ReloadConfigResponse()

    def _check_labels(self, config: Any, context: grpc.ServicerContext) -> None:
        for model in config.model_config_list.config:
            for label, version in model.version_labels.items():
                stays = self.keeps_labels and self.labels.get(model.name, {}).get(label, version) == version
                if not stays and self.models.get(model.name, {}).get(version) != Status.AVAILABLE:
                    context.abort(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, which is not currently "
                        "available for inference",
                    )

    def _label(self, config: Any) -> None:
        self.labels = {model.name: dict(model.version_labels) for model in config.model_config_list.config}

    def _apply(self, config: Any) -> None:
        for model in config.model_config_list.config:
            wanted = _wanted(model)
            known = dict(self.models.get(model.name, {}))
            for version in wanted:
                known[version] = Status.LOADING if version in self.stuck else Status.AVAILABLE
                if version in self.broken:
                    known[version] = Status.END
                    self.errors[(model.name, version)] = self.broken[version]
            replaced = not wanted or any(known[version] == Status.AVAILABLE for version in wanted)
            for version in set(known) - set(wanted):
                if known[version] == Status.LOADING or replaced:
                    known[version] = Status.END
            changed = self.models.get(model.name) != known
            self.models[model.name] = known
            if changed:
                self.switches.append((model.name, wanted))

    def poll(self, model: str, base: Path) -> None:
        """Look at the folder of a model with the policy `latest`, as the server does every second."""
        newest = max((int(each.name) for each in base.iterdir() if each.name.isdigit()), default=None)
        self.models[model] = {
            version: Status.AVAILABLE if version == newest else Status.END
            for version in {*self.models.get(model, {}), *([newest] if newest is not None else [])}
        }


def _wanted(model: Any) -> tuple[int, ...]:
    """The versions that the policy names and that lie in the model's folder, where it has one here."""
    versions = tuple(model.model_version_policy.specific.versions)
    base = Path(model.base_path)
    return tuple(each for each in versions if (base / str(each)).is_dir()) if base.is_dir() else versions


@contextmanager
def stateful_serving() -> Iterator[StatefulServing]:
    """A running server on a free port."""
    fake = StatefulServing()
    fake.start()
    try:
        yield fake
    finally:
        fake.reloads_open.set()
        fake.die()
