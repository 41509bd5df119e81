"""The file models.config: what every model server should serve. Airbag is its only writer.

`text` reads protobuf text, `policy` names what a model should serve, `edit` changes one model and proves it,
`file` replaces the file on disk so that no server ever sees half of it.
"""

from airbag.serving.model_config.edit import edit_versions
from airbag.serving.model_config.file import FencedOff, FileError, Locked, ModelConfigFile, Snapshot, StaleGeneration
from airbag.serving.model_config.policy import Kind, Policy, find_model, model_names, parse, policy_of

__all__ = [
    "FencedOff",
    "FileError",
    "Kind",
    "Locked",
    "ModelConfigFile",
    "Policy",
    "Snapshot",
    "StaleGeneration",
    "edit_versions",
    "find_model",
    "model_names",
    "parse",
    "policy_of",
]
