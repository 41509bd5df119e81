"""Asking one version one golden request, and what its answer says about that version."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from airbag.clock import Clock
from airbag.errors import Refused, RemoteError
from airbag.serving.proto import tfs_pb2
from airbag.serving.reader import Reader
from airbag_exporters.serving.golden.compare import differences
from airbag_exporters.serving.golden.file import Inputs, Request
from airbag_exporters.serving.golden.tensors import encode
from airbag_exporters.serving.own_requests import OwnRequests

log = logging.getLogger("airbag.exporter.serving")

DEFAULT_SIGNATURE = "serving_default"
LATE = "DEADLINE_EXCEEDED"
_NOT_THE_VERSION = frozenset({"RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_GONE = "Servable not found"


class Outcome(StrEnum):
    """What came back. Only a wrong answer says something bad about the version; an error of the model is one."""

    RIGHT = "right"
    WRONG = "wrong"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Result:
    """One asking. `text` says why it was not right, `code` is the server's; `at` is in seconds since the epoch."""

    outcome: Outcome
    seconds: float
    at: float
    text: str = ""
    code: str = ""


def build(
    model: str, version: int, asked: Inputs, signatures: tfs_pb2.SignatureDefMap, outputs: tuple[str, ...] = ()
) -> tfs_pb2.PredictRequest:
    """The request for the wire, only for those outputs; ValueError when the version does not take such inputs."""
    name = asked.signature or DEFAULT_SIGNATURE
    if name not in signatures.signature_def:
        raise ValueError(f"it has no signature {name!r}, only {_names(signatures.signature_def)}")
    takes = signatures.signature_def[name].inputs
    spec = tfs_pb2.ModelSpec(name=model, signature_name=asked.signature)
    spec.version.value = version
    request = tfs_pb2.PredictRequest(model_spec=spec, output_filter=outputs)
    for key, values in asked.inputs.items():
        if key not in takes:
            raise ValueError(f"it takes no input {key!r}, only {_names(takes)}")
        try:
            request.inputs[key].CopyFrom(encode(values, takes[key].dtype))
        except ValueError as error:
            raise ValueError(f"input {key!r}: {error}") from error
    return request


@dataclass(frozen=True)
class Asker:
    """Asks one server. Every call is announced to `own`, because the server counts it."""

    reader: Reader
    own: OwnRequests
    clock: Clock

    def ask(
        self, model: str, version: int, request: Request, signatures: tfs_pb2.SignatureDefMap, timeout: float
    ) -> Result:
        """Ask, and after a wrong answer once more at once: only what is wrong twice is wrong. Never raises."""
        result = self._once(model, version, request, signatures, timeout)
        if result.outcome is not Outcome.WRONG:
            return result
        again = self._once(model, version, request, signatures, timeout)
        if again.outcome is not Outcome.WRONG:
            names = {"model_name": model, "model_version": version, "probe": request.name}
            log.warning("was wrong once and not when asked again", extra={**names, "reason": result.text})
        return again

    def _once(
        self, model: str, version: int, request: Request, signatures: tfs_pb2.SignatureDefMap, timeout: float
    ) -> Result:
        try:
            ready = build(model, version, request, signatures, tuple(request.expect))
        except ValueError as error:
            return Result(Outcome.WRONG, 0.0, self.clock.now(), f"the version cannot be asked this: {error}")
        return self._judged(lambda: self._sent(model, version, ready, timeout), request)

    def _sent(self, model: str, version: int, ready: tfs_pb2.PredictRequest, timeout: float) -> tfs_pb2.PredictResponse:
        with self.own.asking(model, version):
            return self.reader.ask(ready, timeout)

    def _judged(self, send: Callable[[], tfs_pb2.PredictResponse], request: Request) -> Result:
        started = self.clock.monotonic()
        text, code = "", ""
        try:
            answer = send()
        except RemoteError as error:
            outcome = Outcome.WRONG if _blames_the_version(error) else Outcome.UNANSWERED
            text, code = str(error), error.code
        else:
            text = "; ".join(differences(request.expect, answer.outputs))
            outcome = Outcome.WRONG if text else Outcome.RIGHT
        return Result(outcome, self.clock.monotonic() - started, self.clock.now(), text, code)


def _blames_the_version(error: RemoteError) -> bool:
    """Whether the model itself failed, and not a server that is down, full or guarded, nor a version that just left."""
    if not isinstance(error, Refused) or error.code in _NOT_THE_VERSION:
        return False
    return not (error.code == "NOT_FOUND" and _GONE in str(error))


def _names(found: object) -> str:
    return ", ".join(sorted(map(repr, found))) or "none"  # type: ignore[call-overload]  # a protobuf map, of any kind
