"""Models that take tf.Examples, as the estimators of old and TensorFlow Model Analysis export them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

WARMUP = "assets.extra/tf_serving_warmup_requests"
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def examples_model(base: Path, version: int) -> Path:
    """From the features `a` (default 1) and `b` (default 10): `outputs` a + b, `scores` [a, b], `classes` two words.

    Signatures: `serving_default` and `regress` (a regressor), `classify` (both outputs), `labels` and `scores` (one
    each), and broken ones, each named for its fault.
    """
    target = base / str(version)
    graph = tf.Graph()
    with graph.as_default():
        tensors = _tensors()
        signatures = _signatures(tensors)
        with tf.compat.v1.Session(graph=graph) as session:
            builder = tf.compat.v1.saved_model.Builder(str(target))
            builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
            builder.save()
    return target


def record(version: Path, *logs: Any) -> None:
    """Write these PredictionLogs as the version's warm-up."""
    file = version / WARMUP
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def log_of(kind: str, request: Any) -> Any:
    """A PredictionLog with this request, `kind` as in `classify`."""
    log = prediction_log_pb2.PredictionLog()
    getattr(log, f"{kind}_log").request.CopyFrom(request)
    return log


def example(**features: float) -> Any:
    """A tf.Example of floats."""
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def _tensors() -> dict[str, Any]:
    serialized = tf.compat.v1.placeholder(tf.string, [None], name="examples")
    spec = {"a": tf.io.FixedLenFeature([], tf.float32, 1.0), "b": tf.io.FixedLenFeature([], tf.float32, 10.0)}
    parsed = tf.io.parse_example(serialized, spec)
    scores = tf.stack([parsed["a"], parsed["b"]], axis=1)
    words = tf.tile(tf.constant([["low", "high"]]), [tf.shape(serialized)[0], 1])
    factor = tf.compat.v1.placeholder(tf.float32, [], name="factor")
    return {
        "examples": serialized,
        "factor": factor,
        "product": (parsed["a"] + parsed["b"]) * factor,
        "sum": parsed["a"] + parsed["b"],
        "scores": scores,
        "words": words,
        "three": tf.concat([scores, scores[:, :1]], axis=1),
        "whole": tf.cast(parsed["a"], tf.int64),
        "one": tf.constant([1.0]),
    }


def _signatures(tensors: dict[str, Any]) -> dict[str, Any]:
    kinds: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
        "serving_default": (REGRESS, {"inputs": "examples"}, {"outputs": "sum"}),
        "regress": (REGRESS, {"inputs": "examples"}, {"outputs": "sum"}),
        "classify": (CLASSIFY, {"inputs": "examples"}, {"classes": "words", "scores": "scores"}),
        "labels": (CLASSIFY, {"inputs": "examples"}, {"classes": "words"}),
        "scores": (CLASSIFY, {"inputs": "examples"}, {"scores": "scores"}),
        "unnamed": ("", {"inputs": "examples"}, {"outputs": "sum"}),
        "two inputs": (REGRESS, {"inputs": "examples", "more": "examples"}, {"outputs": "sum"}),
        "three outputs": (CLASSIFY, {"inputs": "examples"}, {"classes": "words", "scores": "scores", "more": "sum"}),
        "other input": (REGRESS, {"x": "examples"}, {"outputs": "sum"}),
        "other output": (REGRESS, {"inputs": "examples"}, {"y": "sum"}),
        "flat scores": (CLASSIFY, {"inputs": "examples"}, {"scores": "sum"}),
        "swapped": (CLASSIFY, {"inputs": "examples"}, {"classes": "scores", "scores": "words"}),
        "words as scores": (CLASSIFY, {"inputs": "examples"}, {"scores": "words"}),
        "uneven": (CLASSIFY, {"inputs": "examples"}, {"classes": "words", "scores": "three"}),
        "wide": (REGRESS, {"inputs": "examples"}, {"outputs": "scores"}),
        "whole": (REGRESS, {"inputs": "examples"}, {"outputs": "whole"}),
        "one": (REGRESS, {"inputs": "examples"}, {"outputs": "one"}),
    }
    signatures = {name: _signature(tensors, *kind) for name, kind in kinds.items()}
    return signatures | {
        "defaulted": _signature(
            tensors, "", {"inputs": "examples", "factor": "factor"}, {"outputs": "product"}, {"factor": 5.0}
        )
    }


def _signature(
    tensors: dict[str, Any],
    method: str,
    inputs: dict[str, str],
    outputs: dict[str, str],
    defaults: dict[str, float] | None = None,
) -> Any:
    def infos(named: dict[str, str]) -> dict[str, Any]:
        return {name: tf.compat.v1.saved_model.build_tensor_info(tensors[key]) for name, key in named.items()}

    made = tf.compat.v1.saved_model.build_signature_def(infos(inputs), infos(outputs), method)
    for name, value in (defaults or {}).items():
        made.defaults[name].CopyFrom(tf.make_tensor_proto(value, tf.float32))
    return made
