"""The command line: the real server's flags and one of our own, read the way the real server reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

CPUS = os.cpu_count() or 1


def _flag(default: Any, help: str) -> Any:  # Any: the type of the field it stands for
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Flags:
    """Every flag with the real server's default; times in the unit that the flag's name says."""

    port: int = _flag(8500, "TCP port to listen on for gRPC. Disabled if port set to zero.")
    grpc_socket_path: str = _flag("", "If non-empty, listen to a UNIX socket for gRPC API on the given path.")
    rest_api_port: int = _flag(0, "Port to listen on for HTTP/REST API. If set to zero it will not be exported.")
    rest_api_num_threads: int = _flag(4 * CPUS, "Threads for HTTP/REST API processing; one of them only accepts.")
    rest_api_timeout_in_ms: int = _flag(30000, "Timeout for HTTP/REST API calls.")
    rest_api_enable_cors_support: bool = _flag(False, "Enable CORS headers in response")
    grpc_max_threads: int = _flag(4 * CPUS, "Max grpc server threads to handle grpc messages.")
    grpc_channel_arguments: str = _flag(
        "",
        "A comma separated list of arguments for the grpc server. (e.g. grpc.max_connection_age_ms=2000)",
    )
    ssl_config_file: str = _flag("", "If non-empty, read an ascii SSLConfig protobuf and set up a secure gRPC channel.")
    enable_grpc_healthcheck_service: bool = _flag(False, "Enable the standard gRPC healthcheck service.")
    model_name: str = _flag("default", "name of model (ignored if --model_config_file flag is set)")
    model_base_path: str = _flag("", "path to export (ignored if --model_config_file flag is set, otherwise required)")
    model_config_file: str = _flag("", "If non-empty, read an ascii ModelServerConfig protobuf from this file.")
    model_config_file_poll_wait_seconds: int = _flag(0, "Seconds between two polls of the config file; 0: never.")
    file_system_poll_wait_seconds: int = _flag(1, "Interval in seconds between each poll of the file system; 0: once.")
    num_load_threads: int = _flag(0, "The number of threads used to load servables; 0: the manager's own thread.")
    num_unload_threads: int = _flag(0, "The number of threads used to unload servables; 0: the manager's own thread.")
    max_num_load_retries: int = _flag(5, "maximum number of times it retries loading a model after the first failure")
    load_retry_interval_micros: int = _flag(60_000_000, "Microseconds between two tries of a load.")
    monitoring_config_file: str = _flag("", "If non-empty, read an ascii MonitoringConfig protobuf from this file.")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "If true, allows assigning unused version labels to models that are not available yet."
    )
    saved_model_tags: str = _flag("serve", "Comma-separated set of tags of the meta graph def to load.")
    enable_model_warmup: bool = _flag(True, "Enables model warmup with the records in assets.extra/.")
    num_request_iterations_for_warmup: int = _flag(
        0, "Number of times a request is iterated during warmup replay. This value is used only if > 0."
    )
    enable_batching: bool = _flag(False, "enable batching")
    batching_parameters_file: str = _flag("", "If non-empty, read an ascii BatchingParameters protobuf from this file.")
    enable_per_model_batching_parameters: bool = _flag(
        False, "Read the batching parameters of each model from batching_params.pbtxt in its SavedModel directory."
    )
    enable_signature_method_name_check: bool = _flag(False, "Enable method_name check for SignatureDef.")
    enable_serialization_as_tensor_content: bool = _flag(
        False, "Enable serialization of predict response as tensor content."
    )
    tensorflow_session_parallelism: int = _flag(0, "Threads that run a session; 0: the number of CPUs.")
    tensorflow_inter_op_parallelism: int = _flag(0, "Threads that run ops side by side; 0: the number of CPUs.")
    tensorflow_intra_op_parallelism: int = _flag(0, "Threads that run one op; 0: the number of CPUs.")
    per_process_gpu_memory_fraction: float = _flag(0.0, "Fraction of the GPU memory to take; 0: TensorFlow chooses.")
    flush_filesystem_caches: bool = _flag(True, "Known, without effect here.")
    enable_profiler: bool = _flag(True, "Known, without effect here: there is no profiler service.")
    remove_unused_fields_from_bundle_metagraph: bool = _flag(True, "Known, without effect here.")
    bind_address: str = _flag(
        "127.0.0.1",
        "Address to listen on, gRPC and REST. Ours alone: the real server listens on all interfaces.",
    )


@dataclass(frozen=True)
class CommandLine:
    """What was read. `complaints` are printed and the server starts all the same; an `error` stops it."""

    flags: Flags
    complaints: tuple[str, ...] = ()
    error: str = ""
    wants_help: bool = False


def parse(argv: Sequence[str]) -> CommandLine:
    """Read `--flag=value`. A bare `--flag` means true for the boolean ones; the last of several wins."""
    known = {one.name: type(one.default) for one in fields(Flags)}
    values: dict[str, object] = {}
    complaints: list[str] = []
    for argument in argv:
        if argument == "--help":
            return CommandLine(Flags(), wants_help=True)
        name, has_value, text = argument.removeprefix("--").partition("=")
        kind = known.get(name) if argument.startswith("--") else None
        if kind is None or (not has_value and kind is not bool):
            complaints.append(f"unknown argument: {argument}")
            continue
        value = _READERS[kind](text if has_value else "true")
        if value is None:
            return CommandLine(Flags(), error=f"Couldn't interpret value {text} for flag {name}.")
        values[name] = value
    return CommandLine(Flags(**values), tuple(complaints))  # type: ignore[arg-type]  # each was read by its field's type


def usage(program: str) -> str:
    """The page that the real server prints after an unknown argument."""
    kinds = {int: "int32", str: "string", bool: "bool", float: "float"}
    lines = [f"usage: {program}", "Flags:"]
    for one in fields(Flags):
        shown = str(one.default).lower() if isinstance(one.default, bool) else repr(one.default).replace("'", '"')
        lines.append(f"\t--{one.name}={shown:<24}\t{kinds[type(one.default)]}\t{one.metadata['help']}")
    return "\n".join(lines)


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else None


def _truth(text: str) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower())


def _real(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_READERS: dict[type, Callable[[str], object]] = {int: _whole, bool: _truth, str: str, float: _real}
