"""Touching TensorFlow Serving: the one call that changes what it serves."""

from __future__ import annotations

from airbag.errors import ConfigError, Problem, Refused
from airbag.serving.model_config.policy import parse
from airbag.serving.proto import tfs_pb2
from airbag.serving.values import Endpoint, code_name
from airbag.serving.wire import RELOAD_CONFIG, Wire


def reload(endpoint: Endpoint, config: tfs_pb2.ModelServerConfig | str, *, timeout: float = 10.0) -> None:
    """Make the server's whole configuration `config`: a message, or the text of a models.config.

    The call replaces everything, so pass exactly what the file says, or the server's next look at the file undoes it.
    Safe to repeat. Returning means that the configuration was taken, not that any version moved: poll for that.

    Raises ConfigError for a configuration without models (it would unload everything), Refused when the server said no,
    Unreachable when no answer came. After a passed deadline the server may still be applying it.
    """
    message = parse(config) if isinstance(config, str) else config
    if not message.model_config_list.config:
        what = "has no model in model_config_list"
        raise ConfigError("reload", [Problem("config", what, "sending it would unload every model")])
    with Wire(endpoint) as wire:
        answer = wire.call(RELOAD_CONFIG, tfs_pb2.ReloadConfigRequest(config=message), timeout)
    if answer.status.error_code:
        code = code_name(answer.status.error_code)
        raise Refused(f"reload on {endpoint.grpc}: {code}: {answer.status.error_message}", code)
