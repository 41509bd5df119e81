"""TensorFlow Serving whose versions follow the configuration that it is sent, built on the official stubs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.fakes.tfs_wire import FakeServing, Status


class StatefulServing(FakeServing):
    """Serves what a reload asks for. `broken` versions fail with their code and text, `stuck` ones stay LOADING.

    `switches` lists the sets of versions that a reload asked of a model, without repetitions. While `reloads_open` is
    cleared, a reload is taken and neither applied nor answered; like the real server it is applied later although the
    caller is gone. `refuse_reload` answers with that code and applies nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[int, tuple[int, str]] = {}
        self.stuck: set[int] = set()
        self.switches: list[tuple[str, tuple[int, ...]]] = []
        self.reloads = 0
        self.reloads_open = threading.Event()
        self.reloads_open.set()
        self.refuse_reload: tuple[grpc.StatusCode, str] | None = None

    def load(self, config: str) -> None:
        """Serve what the text of a models.config says, as at the server's start."""
        self._apply(text_format.Parse(config, model_server_config_pb2.ModelServerConfig()))
        self.switches.clear()

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.reloads += 1
        self.reloads_open.wait(60)
        if self.refuse_reload is not None:
            context.abort(*self.refuse_reload)
        self._apply(request.config)
        return model_management_pb2.ReloadConfigResponse()

    def _apply(self, config: Any) -> None:
        for model in config.model_config_list.config:
            wanted = tuple(model.model_version_policy.specific.versions)
            known = dict(self.models.get(model.name, {}))
            for version in known:
                if version not in wanted and known[version] != Status.END:
                    known[version] = Status.END
            for version in wanted:
                known[version] = Status.LOADING if version in self.stuck else Status.AVAILABLE
                if version in self.broken:
                    known[version] = Status.END
                    self.errors[(model.name, version)] = self.broken[version]
            changed = self.models.get(model.name) != known
            self.models[model.name] = known
            if changed:
                self.switches.append((model.name, wanted))


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
