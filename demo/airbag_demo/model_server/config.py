"""Configuration files, and what must be true of a model config before it is taken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from airbag_demo.model_server import batching_parameters
from airbag_demo.model_server.batching_parameters import BatchingParameters
from airbag_demo.model_server.flags import Flags
from airbag_demo.model_server.protos import message
from airbag_demo.model_server.status import invalid
from airbag_demo.model_server.storage import Every, Latest, Policy, Source, Specific
from airbag_demo.model_server.text_protos import parse, read

Config = Any  # a ModelServerConfig; the official messages have no types
PLATFORM = "tensorflow"
METRICS_PATH = "/monitoring/prometheus/metrics"

_URI = re.compile(r"[A-Za-z][A-Za-z0-9.]*://.*", re.DOTALL)


def parse_models(text: str) -> Config:
    """The text form of a ModelServerConfig. StatusError INVALID_ARGUMENT if it is not."""
    return parse(text, model_server_config_pb2.ModelServerConfig())


def first(flags: Flags) -> Config:
    """The configuration to start with. StatusError if the flags name none, or one that cannot be used."""
    if not flags.port and not flags.grpc_socket_path:
        raise invalid("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
    if not flags.model_base_path and not flags.model_config_file:
        raise invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if flags.model_config_file:
        return read(flags.model_config_file, parse_models)
    return single_model(flags.model_name, flags.model_base_path)


def single_model(name: str, base_path: str) -> Config:
    """The configuration that `--model_name` and `--model_base_path` stand for."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def batching(flags: Flags) -> BatchingParameters | None:
    """How to batch; None if not at all. StatusError if the flags contradict each other, or the file is wrong."""
    if not flags.enable_batching and flags.batching_parameters_file:
        raise invalid(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    if not flags.enable_batching:
        return None
    file = flags.batching_parameters_file
    parameters = read(file, batching_parameters.parse) if file else BatchingParameters()
    batching_parameters.check_server(parameters)
    return parameters


def parse_monitoring(text: str) -> str | None:
    """The path of the metrics page that a MonitoringConfig asks for; None if it asks for none."""
    wanted = parse(text, message("MonitoringConfig")()).prometheus_config
    return (wanted.path or METRICS_PATH) if wanted.enable else None


def check(models: Iterable[Any]) -> None:
    """Names are unique and every base path is absolute or a URI."""
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
        if not model.base_path.startswith("/") and not _URI.fullmatch(model.base_path):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )


def check_platforms_kept(old: Iterable[Any], new: Iterable[Any]) -> None:
    """A model that exists already names a platform, the same as before.

    So a model that was once taken without one refuses everything that follows.
    """
    before = {model.name: _platform(model) for model in old}
    for model in new:
        if model.name in before and (asked := _platform(model)) != before[model.name]:
            raise invalid(
                f"Illegal to change a model's platform. For model {model.name} platform was {before[model.name]} "
                f"and new platform requested is {asked}"
            )


def check_platforms_known(models: Iterable[Any]) -> None:
    """Every model names a platform that this server can load."""
    for model in models:
        if (asked := _platform(model)) != PLATFORM:
            raise invalid(f"Model {model.name} requests unsupported platform {asked}")


def source_of(model: Any) -> Source:
    """Where to look for the versions of a model."""
    return Source(model.name, model.base_path, _policy(model.model_version_policy))


def _policy(policy: Any) -> Policy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return Every()
        case "specific":
            return Specific(frozenset(policy.specific.versions))
        case _:
            return Latest(policy.latest.num_versions)


def _platform(model: Any) -> str:
    if model.model_type and model.model_platform:
        raise invalid(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            f"model name is {model.name}"
        )
    if model.model_type == model_server_config_pb2.TENSORFLOW:
        return PLATFORM
    if model.model_type:
        raise invalid(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
    if not model.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            f"model name is {model.name}"
        )
    return str(model.model_platform)
