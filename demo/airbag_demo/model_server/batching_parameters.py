"""The parameters of batching, as `--batching_parameters_file` and `batching_params.pbtxt` give them."""

from __future__ import annotations

from dataclasses import dataclass

from airbag_demo.model_server.flags import CPUS
from airbag_demo.model_server.protos import message
from airbag_demo.model_server.status import invalid
from airbag_demo.model_server.text_protos import parse as parse_text

PER_MODEL_FILE = "batching_params.pbtxt"


@dataclass(frozen=True)
class BatchingParameters:
    """Sizes are counted along dimension 0. The number of threads is the whole server's, never one model's."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = CPUS
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    max_execution_batch_size: int = 0
    """Tasks above this size are split over several batches; 0: they are not split."""


def parse(text: str) -> BatchingParameters:
    """The text form of a BatchingParameters message. StatusError INVALID_ARGUMENT if it is not."""
    found = parse_text(text, message("BatchingParameters")())
    default = BatchingParameters()
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    given = {name: getattr(found, name).value for name in names if found.HasField(name)}
    size = given.get("max_batch_size", default.max_batch_size)
    whole = found.max_execution_batch_size.value if found.HasField("max_execution_batch_size") else size
    return BatchingParameters(
        **given,
        allowed_batch_sizes=tuple(found.allowed_batch_sizes),
        pad_variable_length_inputs=found.pad_variable_length_inputs,
        max_execution_batch_size=whole if found.enable_large_batch_splitting.value else 0,
    )


def check_server(parameters: BatchingParameters) -> None:
    """What must be true before the server starts. StatusError INVALID_ARGUMENT."""
    if parameters.num_batch_threads < 1:
        raise invalid(f"num_batch_threads must be positive; was {parameters.num_batch_threads}")


def check_model(parameters: BatchingParameters) -> None:
    """What must be true before a model is loaded with them. StatusError INVALID_ARGUMENT."""
    allowed, size = parameters.allowed_batch_sizes, parameters.max_batch_size
    if allowed and allowed[-1] != size:
        raise invalid(
            f"Last entry in allowed_batch_sizes must match max_batch_size; last entry was {allowed[-1]}; "
            f"expected {size}"
        )
    if size < 1:
        raise invalid(f"input_batch_size_limit must be positive; was {size}")
    if parameters.batch_timeout_micros < 0:
        raise invalid(f"batch_timeout_micros must be non-negative; was {parameters.batch_timeout_micros}")
    if parameters.max_enqueued_batches < 1:
        raise invalid(f"max_enqueued_batches must be positive; was {parameters.max_enqueued_batches}")
    if parameters.max_execution_batch_size > size:
        raise invalid(
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size."
        )
