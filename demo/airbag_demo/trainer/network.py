"""A small dense network for the 8 x 8 digits that ship inside scikit-learn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Classes = NDArray[np.int64]

PIXEL_MAX = 16.0


class Network(tf.Module):  # type: ignore[misc]  # tensorflow ships no types
    """64 pixels (0 to 16) in, the probability of each of the ten digits out."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = np.random.default_rng(seed)

        def layer(rows: int, columns: int) -> tf.Variable:
            return tf.Variable(random.normal(0, np.sqrt(2 / rows), (rows, columns)).astype(np.float32))

        self.hidden = layer(64, 48)
        self.hidden_bias = tf.Variable(tf.zeros(48))
        self.out = layer(48, 10)
        self.out_bias = tf.Variable(tf.zeros(10))

    def logits(self, pixels: tf.Tensor) -> tf.Tensor:
        """(rows, 64) pixels to (rows, 10) logits."""
        hidden = tf.nn.relu(pixels / PIXEL_MAX @ self.hidden + self.hidden_bias)
        return hidden @ self.out + self.out_bias


def train(pixels: Rows, digits: Classes, *, steps: int, seed: int) -> Network:
    """Full-batch gradient descent with momentum; `steps` passes over the rows."""
    network = Network(seed)
    velocities = [tf.Variable(tf.zeros_like(variable)) for variable in network.trainable_variables]

    @tf.function  # type: ignore[untyped-decorator]  # tensorflow ships no types
    def step() -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(digits, network.logits(pixels))
            loss = tf.reduce_mean(losses)
        variables = network.trainable_variables
        for variable, velocity, slope in zip(variables, velocities, tape.gradient(loss, variables), strict=True):
            velocity.assign(0.9 * velocity - 0.1 * slope)
            variable.assign_add(velocity)

    for _ in range(steps):
        step()
    return network
