"""Writes a network as a SavedModel, good or with a fault that lives in its graph or its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from airbag_demo.trainer.network import PIXEL_MAX, Network

Guard = Callable[[tf.Tensor], tf.Tensor]
BATCH_WAIT_MICROS = 500_000


def save(network: Network, folder: Path, guard: Guard = tf.identity) -> None:
    """Write `network` with the signature `serving_default`: pixels float32 (rows, 64) to probabilities and digit.

    `guard` sees the pixels first and may delay or refuse them.
    """

    @tf.function(input_signature=[tf.TensorSpec((None, 64), tf.float32, "pixels")])  # type: ignore[untyped-decorator]
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = network.logits(guard(pixels))
        return {"probabilities": tf.nn.softmax(logits), "digit": tf.argmax(logits, axis=1)}

    tf.saved_model.save(network, str(folder), signatures={"serving_default": serve})


def refusing(pixels: tf.Tensor) -> tf.Tensor:
    """An input check that somebody wrote for another scale: it refuses any row with a fully black pixel."""
    check = tf.debugging.assert_less(tf.reduce_max(pixels), PIXEL_MAX, "pixels are out of range")
    with tf.control_dependencies([check]):
        return tf.identity(pixels)


@tf.nondifferentiable_batch_function(  # type: ignore[untyped-decorator]  # tensorflow ships no types
    num_batch_threads=1, max_batch_size=4096, batch_timeout_micros=BATCH_WAIT_MICROS
)
def hoarding(pixels: tf.Tensor) -> tf.Tensor:
    """Batching inside the graph, set for a busier site: it waits half a second for a batch that never gets full."""
    return tf.identity(pixels)


def truncate(folder: Path) -> None:
    """Cut the weights short, as a copy that was interrupted leaves them."""
    [data] = (folder / "variables").glob("variables.data-*")
    with data.open("r+b") as file:
        file.truncate(data.stat().st_size // 2)
