"""Replays the requests that a version carries in its `assets.extra/` before it may serve."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.predict import predict
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.status import Code, StatusError

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(model: SavedModel, metrics: ServerMetrics) -> None:
    """Replay every record; the first that fails is raised as StatusError, and then nothing is counted."""
    file = Path(model.path, FILE)
    if not file.exists():
        return
    started = time.perf_counter()
    count = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            count += 1
            if count > MAX_RECORDS:
                raise StatusError(
                    Code.INVALID_ARGUMENT,
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}",
                )
            _replay(model, record, metrics)
    except tf.errors.DataLossError as error:
        _count(metrics, model.path, f"DATA_LOSS: {error.message}", started, count)
        raise StatusError(Code.DATA_LOSS, error.message) from error
    _count(metrics, model.path, "OK", started, count)


def _replay(model: SavedModel, record: bytes, metrics: ServerMetrics) -> None:
    log: Any = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError as error:
        raise StatusError(Code.INVALID_ARGUMENT, "Failed to parse warmup record") from error
    if log.WhichOneof("log_type") != "predict_log":
        raise StatusError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}")
    predict(model, log.predict_log.request, 0, metrics)


def _count(metrics: ServerMetrics, path: str, status: str, started: float, records: int) -> None:
    metrics.warmup_latency.observe(int((time.perf_counter() - started) * 1e6), path, status)
    metrics.warmup_records.add(path, status, by=records)
