"""What every inference needs to know of the server it runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.status import invalid

PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
DEFAULT_SIGNATURE = "serving_default"
RUNTIME = "TF1"


@dataclass(frozen=True)
class Setting:
    """Where runs are counted, and two switches of the command line.

    `checks_methods`: a signature answers only the calls that its method name speaks of. `sends_content`: tensors of a
    predict answer go out as one block of bytes.
    """

    metrics: ServerMetrics
    checks_methods: bool = False
    sends_content: bool = False

    def ran(self, model_name: str, api: str, seconds: float) -> None:
        """Count a graph run that succeeded."""
        self.metrics.runtime_latency.observe(int(seconds * 1e6), model_name, api, RUNTIME)

    def check_method(self, kind: str, wanted: str, method: str) -> None:
        """StatusError INVALID_ARGUMENT if method names are checked and this is another."""
        if self.checks_methods and method != wanted:
            raise invalid(f"Expected {kind} signature method_name to be {wanted}. Was: {method}")


Inference = Callable[[SavedModel, Any, int, Setting], Any]
"""Answers a request with a model, all but the version, within so many milliseconds (0: no limit), or StatusError."""
