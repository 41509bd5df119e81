"""Tiny real SavedModels, good and broken, written so that a polling server never sees half of one.

Every function makes `base/VERSION` and returns that path. All of them answer the signature `serving_default`,
float `x` of any shape to float `y`, unless they say otherwise. Graphs are built once per process and copied afterwards.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

WARMUP = "tf_serving_warmup_requests"


def add_model(base: Path, version: int, *, scale: float = 2.0, offset: float = 0.0) -> Path:
    """A model that answers `y = scale * x + offset`."""
    return _place(_built("linear", scale, offset), base, version)


def failing(base: Path, version: int, *, scale: float = 2.0, offset: float = 0.0) -> Path:
    """A model that loads and then fails every request with INVALID_ARGUMENT: an assertion in the graph."""
    return _place(_built("failing", scale, offset), base, version)


def slow(base: Path, version: int, seconds: float, *, scale: float = 2.0, offset: float = 0.0) -> Path:
    """A model whose answers take `seconds`. Requests sleep side by side only as far as inter-op threads reach."""
    return _place(_built("slow", scale, offset, seconds), base, version)


def two_inputs(base: Path, version: int) -> Path:
    """A model of floats `a` and `b` that answers their `sum` and their `product`."""
    return _place(_built("pair", 0.0, 0.0), base, version)


def echo(base: Path, version: int) -> Path:
    """A model of strings `s` that answers `text` and `raw_bytes`, both what was sent."""
    return _place(_built("echo", 0.0, 0.0), base, version)


def truncated(base: Path, version: int) -> Path:
    """A version whose load fails: its variables were cut short in the copying."""
    broken = _copy(_built("linear", 2.0, 0.0))
    data = next((broken / "variables").glob("variables.data-*"))
    data.write_bytes(data.read_bytes()[:1])
    return _publish(broken, base, version)


def without_variables(base: Path, version: int) -> Path:
    """A version that loads without its `variables` folder; every request then gets FAILED_PRECONDITION."""
    broken = _copy(_built("linear", 2.0, 0.0))
    shutil.rmtree(broken / "variables")
    return _publish(broken, base, version)


def without_graph(base: Path, version: int) -> Path:
    """A version directory that holds no `saved_model.pb`: the load fails with NOT_FOUND."""
    empty = _copy(_built("linear", 2.0, 0.0))
    (empty / "saved_model.pb").unlink()
    return _publish(empty, base, version)


def with_warmup(base: Path, version: int, *, seconds: float = 0.0, good: bool = True, model_name: str = "m") -> Path:
    """A version with one warm-up record. `seconds` is how long its replay (and so the load, and every answer) takes;
    a bad record names an input the model does not have, so the load fails."""
    model = _copy(_built("slow", 2.0, 0.0, seconds) if seconds else _built("linear", 2.0, 0.0))
    _write_warmup(model, "x" if good else "unknown", model_name)
    return _publish(model, base, version)


def _place(built: Path, base: Path, version: int) -> Path:
    return _publish(_copy(built), base, version)


def _copy(built: Path) -> Path:
    copy = Path(tempfile.mkdtemp(dir=_cache())) / "model"
    shutil.copytree(built, copy)
    return copy


def _publish(model: Path, base: Path, version: int) -> Path:
    """Copy under a name that is no number, then rename: the only safe way to hand a version to a polling server."""
    base.mkdir(parents=True, exist_ok=True)
    arriving, final = base / f"arriving-{version}", base / str(version)
    shutil.copytree(model, arriving)
    shutil.rmtree(model.parent)
    return arriving.rename(final)


@functools.cache
def _cache() -> Path:
    root = Path(tempfile.mkdtemp(prefix="airbag-saved-models-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


@functools.cache
def _built(kind: str, scale: float, offset: float, seconds: float = 0.0) -> Path:
    import tensorflow as tf

    target = _cache() / f"{kind}-{scale}-{offset}-{seconds}"
    module = tf.Module()
    module.scale, module.offset = tf.Variable(scale, dtype=tf.float32), tf.Variable(offset, dtype=tf.float32)
    tf.saved_model.save(module, str(target), signatures=_signature(tf, module, kind, seconds))
    return target


def _signature(tf: Any, module: Any, kind: str, seconds: float) -> Any:  # Any: tensorflow ships no types
    def linear(x: Any) -> dict[str, Any]:
        return {"y": module.scale * x + module.offset}

    def failing(x: Any) -> dict[str, Any]:
        # One zero is made from the input, so that the assertion is not folded away when the graph is optimised.
        zero = tf.reduce_sum(x) * 0.0
        check = tf.raw_ops.Assert(condition=tf.not_equal(zero, 0.0), data=[tf.constant("this model is broken")])
        with tf.control_dependencies([check]):
            return {"y": tf.identity(module.scale * x + module.offset)}

    def slow(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([_sleep(tf, seconds)]):
            return {"y": tf.identity(module.scale * x + module.offset)}

    def pair(a: Any, b: Any) -> dict[str, Any]:
        return {"sum": a + b + module.offset, "product": a * b}

    def echo(s: Any) -> dict[str, Any]:
        return {"text": tf.identity(s), "raw_bytes": tf.identity(s)}

    number, text = tf.TensorSpec(None, tf.float32), tf.TensorSpec(None, tf.string)
    body, inputs = {
        "linear": (linear, {"x": number}),
        "failing": (failing, {"x": number}),
        "slow": (slow, {"x": number}),
        "pair": (pair, {"a": number, "b": number}),
        "echo": (echo, {"s": text}),
    }[kind]
    return tf.function(body, autograph=False).get_concrete_function(**inputs)


def _sleep(tf: Any, seconds: float) -> Any:
    """An op that takes `seconds`.

    `Dataset.reduce` and friends run on one background thread per op, so requests would queue behind each other;
    `IteratorGetNextSync` sleeps on the inter-op thread that runs it.
    """
    from tensorflow.python.data.experimental.ops.testing import sleep

    dataset = tf.data.Dataset.range(1).apply(sleep(int(seconds * 1_000_000)))
    kinds: dict[str, Any] = {"output_types": [tf.int64], "output_shapes": [tf.TensorShape([])]}
    iterator = tf.raw_ops.AnonymousIteratorV3(**kinds)
    made = tf.raw_ops.MakeIterator(dataset=dataset._variant_tensor, iterator=iterator)
    with tf.control_dependencies([made]):
        return tf.raw_ops.IteratorGetNextSync(iterator=iterator, **kinds)[0]


def _write_warmup(model: Path, input_name: str, model_name: str) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.inputs[input_name].CopyFrom(tf.make_tensor_proto([1.0], tf.float32))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    folder = model / "assets.extra"
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        writer.write(log.SerializeToString())
