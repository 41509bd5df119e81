"""The local model server in a cell of the crash matrix, behind a server that passes everything on and keeps it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from airbag.serving import control
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State
from tests.fakes.crashing import RecordingServing, Row
from tests.fakes.model_server import running
from tests.fakes.rollback import Surroundings
from tests.fakes.saved_models import add_model
from tests.fakes.wait import until

REAL = "local server"
_VERSIONS = {"digits": (1, 2, 3), "other": (7,)}


class Relayed(RecordingServing):
    """Passes on what the receiver asks and tells. What a cell lays out is loaded once it is `live`."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.live = False
        self._at = Endpoint(address, None)
        self._channel = grpc.insecure_channel(address)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._answers = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def load(self, config: str) -> None:
        """Serve what the text says, and nothing else; returns when it does."""
        if not self.live:
            return
        parsed = text_format.Parse(config, model_server_config_pb2.ModelServerConfig())
        control.reload(self._at, config, timeout=30)
        [digits] = [each for each in parsed.model_config_list.config if each.name == "digits"]
        wanted = set(digits.model_version_policy.specific.versions)
        until(lambda: self.available() == wanted, timeout=60, what=f"{wanted} of digits")

    def up(self) -> dict[int, int]:
        with Reader(self._at) as reader:
            return {each.version: each.state.value for each in reader.versions("digits") if each.state is not State.END}

    def available(self) -> set[int]:
        """The versions of digits that answer."""
        with Reader(self._at) as reader:
            return {each.version for each in reader.versions("digits") if each.state is State.AVAILABLE}

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _passed_on(self._models.GetModelStatus, request, context)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _passed_on(self._answers.GetModelMetadata, request, context)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.keep(request)
        return _passed_on(self._models.HandleReloadConfigRequest, request, context)


def _passed_on(call: Any, request: Any, context: grpc.ServicerContext) -> Any:  # Any: the official stubs carry no types
    try:
        return call(request, timeout=30)
    except grpc.RpcError as error:
        context.abort(error.code(), error.details())


@contextmanager
def local_server(folder: Path) -> Iterator[Relayed]:
    """A running one, with nothing of a cell in it yet."""
    store = folder / "store"
    for model, versions in _VERSIONS.items():
        for version in versions:
            add_model(store / model, version)
    with running(base_path=store / "other", model_name="other") as server:
        here = Relayed(server.grpc_address)
        here.start()
        try:
            yield here
        finally:
            here.die()


def with_real_models(row: Row, server: Relayed) -> Row:
    """The same row against that server, with models in the store that it can load."""

    def arrange(around: Surroundings) -> None:
        shutil.rmtree(around.folder / "store")
        for model, versions in _VERSIONS.items():
            for version in versions:
                add_model(around.folder / "store" / model, version)
        server.live = True  # what is laid out from here on can be loaded

    return replace(row, name=REAL, arrange=arrange)
