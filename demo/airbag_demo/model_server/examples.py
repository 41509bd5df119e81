"""The `Input` of Classify, Regress and MultiInference: tf.Examples, fed to the graph as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.status import invalid


def run(model: SavedModel, examples: Any, inputs: Iterable[str], outputs: Sequence[str], timeout_ms: int) -> list[Any]:
    """Feed serialized examples to these tensors and fetch those. StatusError with TensorFlow's code and message."""
    arrays = model.run(dict.fromkeys(sorted(inputs), examples), outputs, timeout_ms)
    return [np.asarray(array) for array in arrays]


def serialized(sent: Any) -> Any:
    """A vector of serialized examples; a context is put before each, so that the example's own features win.

    StatusError INVALID_ARGUMENT if there are none.
    """
    listed = sent.example_list_with_context if sent.HasField("example_list_with_context") else sent.example_list
    context = listed.context.SerializeToString() if sent.HasField("example_list_with_context") else b""
    vector = np.array([context + example.SerializeToString() for example in listed.examples], dtype=object)
    if not len(vector):
        raise invalid("Input is empty.")
    return vector


def shape_text(array: Any) -> str:
    return f"[{','.join(map(str, array.shape))}]"
