"""Replays the requests that a version carries in its `assets.extra/` before it may serve."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from airbag_demo.model_server.classify import classify
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.multi_inference import multi_inference
from airbag_demo.model_server.predict import predict
from airbag_demo.model_server.regress import regress
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import Setting
from airbag_demo.model_server.status import Code, StatusError, invalid

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000

_INFERENCES = {
    "predict_log": predict,
    "classify_log": classify,
    "regress_log": regress,
    "multi_inference_log": multi_inference,
}


def warm_up(model: SavedModel, setting: Setting, times: int) -> None:
    """Replay every record so many times; the first that fails is raised as StatusError, and then nothing is counted."""
    file = Path(model.path, FILE)
    if not file.exists():
        return
    started = time.perf_counter()
    count = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            log = _parsed(record, file)
            for _ in range(times):
                _replay(model, log, setting)
            count += 1
            if count > MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
    except tf.errors.DataLossError as error:
        _count(setting.metrics, model.path, f"DATA_LOSS: {error.message}", started, count)
        message = f"{error.message}. Please verify your warmup data is in TFRecord format."
        raise StatusError(Code.DATA_LOSS, message) from error
    _count(setting.metrics, model.path, "OK", started, count)


def _parsed(record: bytes, file: Path) -> Any:
    log: Any = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError as error:
        text = record.decode("utf-8", "replace")
        raise invalid(f"Failed to parse warmup record: {text} from {file}") from error
    return log


def _replay(model: SavedModel, log: Any, setting: Setting) -> None:
    """A record without a request, as of a newer kind, passes."""
    kind = log.WhichOneof("log_type")
    if kind in _INFERENCES:
        _INFERENCES[kind](model, getattr(log, kind).request, 0, setting)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise StatusError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")


def _count(metrics: ServerMetrics, path: str, status: str, started: float, records: int) -> None:
    metrics.warmup_latency.observe(int((time.perf_counter() - started) * 1e6), path, status)
    metrics.warmup_records.add(path, status, by=records)
