"""A busy model server whose versions follow models.config, as slowly as TensorFlow Serving's do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, model_management_pb2

from airbag.serving import control
from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag.serving.values import Endpoint
from bench._server import BusyServer, Model
from tests.fakes.tfs_wire import FakeServing, Status

GOOD = 1
LOAD_SECONDS = (0.1, 1.1)
"""A load takes a random time between these, so that faults begin at any phase of everybody's intervals."""

POLL = 1.0
"""Seconds between two looks of the server at what it should serve; a reload is followed at the next one."""

ENTRY = """\
  config {{
    name: "{name}"
    base_path: "{store}/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {good} }} }}
  }}
"""


@dataclass
class Fault:
    """One bad release. `kind` errors: every answer is an error; load: it cannot be loaded, and the one before stays.

    `bad_at` is when its first request is answered badly, or its load has failed; `good_at` when the version before
    answers again, or the server is back at the configuration without it.
    """

    model: str
    version: int
    kind: str
    released_at: float
    bad_at: float | None = None
    good_at: float | None = None


class _Switching(FakeServing):
    """Passes reloads and golden requests on."""

    def __init__(self, server: ReleaseServer) -> None:
        super().__init__()
        self._owner = server

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        self._owner.told(request.config)
        return model_management_pb2.ReloadConfigResponse()

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        answer = super().GetModelMetadata(request, context)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        for side in (signature.inputs["x"], signature.outputs["x"]):
            side.dtype = types_pb2.DT_FLOAT
            side.tensor_shape.dim.add(size=-1)
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        version = self._resolve(request.model_spec, context)
        if self._owner.is_bad(request.model_spec.name, version):
            context.abort(grpc.StatusCode.INTERNAL, "a bad release")
        return super().Predict(request, context)


class ReleaseServer(BusyServer):
    """Version 1 of every model answers well; every later one is bad. Any thread may call it.

    A reload is answered at once and followed at the server's next look, once a second; a version that is new takes
    `LOAD_SECONDS` more.
    """

    def __init__(self, models: Iterable[Model], folder: Path) -> None:
        super().__init__(models)
        self._serving = _Switching(self)
        self._serving.models = {name: {GOOD: Status.AVAILABLE} for name in self.models}
        self.faults: list[Fault] = []
        self.config = folder / "models.config"
        for name in self.models:
            self._publish(folder, name, GOOD)
        entries = "".join(ENTRY.format(name=name, store=folder, good=GOOD) for name in self.models)
        self.config.write_text(f"model_config_list {{\n{entries}}}\n")
        self._folder = folder
        self._wanted: dict[str, tuple[int, ...]] = {}
        self._aspired: dict[str, tuple[int, ...]] = {}
        self._loading: dict[tuple[str, int], float] = {}
        self._ending = threading.Event()
        self._looks = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        super().start()
        self._looks.start()

    def stop(self) -> None:
        self._ending.set()
        self._looks.join()
        super().stop()

    def release(self, name: str, kind: str) -> Fault:
        """Put the next version live beside the good one, as a person does."""
        version = max(self._serving.models[name]) + 1
        self._publish(self._folder, name, version)
        file = ModelConfigFile(self.config)
        with file.locked():
            snapshot = file.read()
            snapshot = file.replace(snapshot, edit_versions(snapshot.text, name, (GOOD, version)))
            fault = Fault(name, version, kind, time.time())
            with self._lock:
                self.faults.append(fault)
            control.reload(Endpoint(*self.addresses), snapshot.config)
        return fault

    def is_bad(self, name: str, version: int) -> bool:
        """Whether that version answers with errors."""
        return version != GOOD and name in self.models

    def told(self, config: Any) -> None:  # Any: official messages carry no types
        """A reload came."""
        with self._lock:
            for entry in config.model_config_list.config:
                self._wanted[entry.name] = tuple(entry.model_version_policy.specific.versions)

    def _publish(self, folder: Path, name: str, version: int) -> None:
        place = folder / name / str(version)
        place.mkdir(parents=True)
        (place / "saved_model.pb").write_bytes(b"model")

    def _look_on(self) -> None:
        looks_at = time.monotonic()
        while not self._ending.wait(0.01):
            now = time.monotonic()
            with self._lock:
                due = [key for key, at in self._loading.items() if at <= now]
                for name, version in due:
                    del self._loading[name, version]
                    self._loaded(name, version)
                if now < looks_at:
                    continue
                looks_at += POLL
                self._aspired |= self._wanted
                self._wanted = {}
                for name, versions in self._aspired.items():
                    self._follow(name, versions)

    def _follow(self, name: str, versions: tuple[int, ...]) -> None:
        """Begin to load what is new; let go what is not wanted any more."""
        known = dict(self._serving.models[name])
        for version in set(versions) - set(known):
            known[version] = Status.LOADING
            self._loading[name, version] = time.monotonic() + random.uniform(*LOAD_SECONDS)  # noqa: S311 - no secret
        for version in set(known) - set(versions):
            known[version] = Status.END
        self._show(name, known)

    def _loaded(self, name: str, version: int) -> None:
        known = dict(self._serving.models[name])
        kind = next(each.kind for each in self.faults if (each.model, each.version) == (name, version))
        known[version] = Status.END if kind == "load" else Status.AVAILABLE
        if kind == "load":
            self._serving.errors[name, version] = (13, "a bad release")
        self._show(name, known)

    def _show(self, name: str, known: dict[int, int]) -> None:
        self.show(name, known)
        answers, now = self.answering(name), time.time()
        self.fail(name, 0.0 if answers == GOOD else 1.0)
        for fault in self.faults:
            if fault.model != name or fault.good_at is not None:
                continue
            failed = (name, fault.version) in self._serving.errors
            if fault.bad_at is None and (fault.version == answers or failed):
                fault.bad_at = now
            elif fault.bad_at is not None and fault.version not in self._aspired[name]:
                fault.good_at = now
