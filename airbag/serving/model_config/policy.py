"""What a model should serve, read from models.config."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from google.protobuf import text_format

from airbag.errors import ConfigError, Problem
from airbag.serving.proto.tfs_pb2 import FileSystemStoragePathSourceConfig, ModelConfig, ModelServerConfig

ServableVersionPolicy = FileSystemStoragePathSourceConfig.ServableVersionPolicy


class Kind(Enum):
    """The three policies that TensorFlow Serving knows."""

    LATEST = "latest"
    ALL = "all"
    SPECIFIC = "specific"


@dataclass(frozen=True)
class Policy:
    """Which versions of a model a server should load: the newest `count`, all, or exactly `versions`."""

    kind: Kind
    count: int = 0
    versions: tuple[int, ...] = ()

    @classmethod
    def latest(cls, count: int = 1) -> Policy:
        return cls(Kind.LATEST, count=count)

    @classmethod
    def all(cls) -> Policy:
        return cls(Kind.ALL)

    @classmethod
    def specific(cls, *versions: int) -> Policy:
        return cls(Kind.SPECIFIC, versions=versions)

    def __str__(self) -> str:
        if self.kind is Kind.SPECIFIC:
            return f"specific {{{', '.join(map(str, self.versions))}}}"
        return f"latest {self.count}" if self.kind is Kind.LATEST else "all"


def parse(text: str, source: str = "models.config") -> ModelServerConfig:
    """The message in a models.config, every field of it. ConfigError with the line when it cannot be read."""
    try:
        return text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as error:
        where = f"line {error.GetLine()}" if error.GetLine() else "text"
        remedy = "TensorFlow Serving keeps its present configuration until this is right"
        raise ConfigError(source, [Problem(where, str(error), remedy)]) from error


def model_names(config: ModelServerConfig) -> tuple[str, ...]:
    """The models in the order of the file."""
    return tuple(model.name for model in config.model_config_list.config)


def find_model(config: ModelServerConfig, name: str, source: str = "models.config") -> ModelConfig:
    """The entry of one model. ConfigError when there is none, or more than one (which the server refuses)."""
    found = [model for model in config.model_config_list.config if model.name == name]
    if len(found) == 1:
        return found[0]
    path = f"model {name}"
    if found:
        raise ConfigError(source, [Problem(path, f"is listed {len(found)} times", "keep one entry")])
    there = ", ".join(model_names(config)) or "no models at all"
    raise ConfigError(source, [Problem(path, "is not in the file", f"the file has: {there}")])


def policy_of(model: ModelConfig) -> Policy:
    """The policy in a model's entry. None written, or a `num_versions` of 0, means the newest one, as in the server."""
    policy = model.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return Policy.all()
        case "specific":
            return Policy.specific(*policy.specific.versions)
        case _:
            return Policy.latest(policy.latest.num_versions or 1)
