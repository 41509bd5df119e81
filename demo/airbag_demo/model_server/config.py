"""Configuration files, and what must be true of a model config before it is taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from airbag_demo.model_server.flags import Flags
from airbag_demo.model_server.status import Code, StatusError, invalid
from airbag_demo.model_server.storage import Every, Latest, Policy, Source, Specific

Config = Any  # a ModelServerConfig; the official messages have no types
PLATFORM = "tensorflow"
METRICS_PATH = "/monitoring/prometheus/metrics"

_URI = re.compile(r"[A-Za-z][A-Za-z0-9.]*://.*", re.DOTALL)


def parse_models(text: str) -> Config:
    """The text form of a ModelServerConfig. StatusError INVALID_ARGUMENT if it is not."""
    return _parse(text, model_server_config_pb2.ModelServerConfig())


def first(flags: Flags) -> Config:
    """The configuration to start with. StatusError if the flags name none, or one that cannot be used."""
    if flags.model_config_file:
        return read(flags.model_config_file, parse_models)
    if not flags.model_base_path:
        raise invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    return single_model(flags.model_name, flags.model_base_path)


def single_model(name: str, base_path: str) -> Config:
    """The configuration that `--model_name` and `--model_base_path` stand for."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def read(path: str, parse: Callable[[str], Any]) -> Any:
    """Parse a file. StatusError NOT_FOUND if it cannot be read, INVALID_ARGUMENT if it cannot be understood."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StatusError(Code.NOT_FOUND, f"{path}: {error}") from error
    try:
        return parse(text)
    except StatusError as error:
        raise invalid(f"Invalid protobuf file: '{path}': {error}") from error


def parse_monitoring(text: str) -> str | None:
    """The path of the metrics page that a MonitoringConfig asks for; None if it asks for none."""
    wanted = _parse(text, _monitoring_config()()).prometheus_config
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


def check_platforms_kept(old: Mapping[str, Any], new: Iterable[Any]) -> None:
    """A model that exists already names a platform, the same as before."""
    for model in new:
        before = old.get(model.name)
        if before is not None and (asked := _platform(model)) != (had := _platform(before)):
            raise invalid(
                f"Illegal to change a model's platform. For model {model.name} platform was {had} "
                f"and is requested to be {asked}"
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
        raise invalid("Illegal setting both model_type(deprecated) and model_platform.")
    if model.model_type:
        return PLATFORM if model.model_type == model_server_config_pb2.TENSORFLOW else "other"
    if not model.model_platform:
        raise invalid("Illegal setting neither model_type(deprecated) nor model_platform.")
    return str(model.model_platform)


def _parse(text: str, message: Any) -> Any:
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid(str(error)) from error


def _monitoring_config() -> Any:
    """The message MonitoringConfig, which the Python package does not ship."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="monitoring.proto", package="local", syntax="proto3")
    page = file.message_type.add(name="PrometheusConfig")
    page.field.add(name="enable", number=1, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    page.field.add(name="path", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    whole = file.message_type.add(name="MonitoringConfig")
    whole.field.add(
        name="prometheus_config",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".local.PrometheusConfig",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("local.MonitoringConfig"))
