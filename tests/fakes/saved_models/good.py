"""Versions that load."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.saved_models.graphs import built
from tests.fakes.saved_models.publish import WARMUP, publish


def add_model(base: Path, version: int, *, scale: float = 2.0, offset: float = 0.0, name: str | None = None) -> Path:
    """A model that answers `y = scale * x + offset`. `name` spells the version's folder differently."""
    return publish(built("linear", scale, offset), base, version, name=name)


def two_inputs(base: Path, version: int) -> Path:
    """A model of floats `a` and `b` that answers their `sum` and their `product`."""
    return publish(built("pair", 0.0, 0.0), base, version)


def echo(base: Path, version: int) -> Path:
    """A model of strings `s` that answers `text` and `raw_bytes`, both what was sent."""
    return publish(built("echo"), base, version)


def examples(base: Path, version: int) -> Path:
    """A model whose signatures `classify` and `regress` take tf.Examples with the float feature `x`.

    `regress` answers `2x`, `classify` the classes `up` with score `2x` and `down` with `-2x`.
    """
    return publish(built("examples"), base, version)


def slow(base: Path, version: int, seconds: float, *, scale: float = 2.0, offset: float = 0.0) -> Path:
    """A model whose answers take `seconds`, up to an eighth less when another request came shortly before."""
    return publish(built("slow", scale, offset, seconds), base, version)


def slow_load(base: Path, version: int, seconds: float, *, scale: float = 2.0) -> Path:
    """A version that takes `seconds` to initialise, and is good then."""
    return publish(built("slow_load", scale, 0.0, seconds), base, version)


def hanging(base: Path, version: int, *, scale: float = 2.0) -> Path:
    """A version whose requests wait until somebody calls its signature `release`: one call frees one request."""
    return publish(built("hanging", scale), base, version)


def wrong(base: Path, version: int, *, scale: float = 2.0) -> Path:
    """A version that answers as fast as a good one, with the wrong sign."""
    return publish(built("linear", -scale), base, version)


def failing(base: Path, version: int, *, scale: float = 2.0, offset: float = 0.0) -> Path:
    """A model that loads and then fails every request with INVALID_ARGUMENT: an assertion in the graph."""
    return publish(built("failing", scale, offset), base, version)


def failing_for_negative(base: Path, version: int, *, scale: float = 2.0) -> Path:
    """A model that fails with INVALID_ARGUMENT when one of the numbers is negative."""
    return publish(built("failing_for_negative", scale), base, version)


def erring(base: Path, version: int) -> Path:
    """A model with one signature for each code in `CODES`, all of float `x`."""
    return publish(built("erring"), base, version)


def with_warmup(
    base: Path, version: int, *, seconds: float = 0.0, good: bool = True, model_name: str = "m", records: int = 1
) -> Path:
    """A version with warm-up records. `seconds` is how long its replay (and so the load, and every answer) takes;
    a bad record names an input the model does not have, so the load fails."""
    model = built("slow", 2.0, 0.0, seconds) if seconds else built("linear", 2.0, 0.0)
    return publish(
        model, base, version, lambda copy: _write_warmup(copy, "x" if good else "unknown", model_name, records)
    )


def _write_warmup(model: Path, input_name: str, model_name: str, records: int) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.inputs[input_name].CopyFrom(tf.make_tensor_proto([1.0], tf.float32))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    folder = model / "assets.extra"
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for _ in range(records):
            writer.write(log.SerializeToString())
