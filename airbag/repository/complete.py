"""Whether a version is whole, and what is missing if not. TensorFlow Serving itself checks none of this beforehand."""

from __future__ import annotations

import re
from pathlib import Path

from airbag.repository.folder import File, Folder
from airbag.repository.saved_model import BINARY, CHUNKED, TEXT, Model, NotAModel, read_model

INDEX = "variables/variables.index"
_SHARD = re.compile(r"variables/variables\.data-(\d{5})-of-(\d{5})")


def model_file(folder: Folder) -> File | None:
    """The file that holds the model, in the server's order of preference."""
    return next((file for name in (CHUNKED, BINARY, TEXT) if (file := folder.file(name))), None)


def judge(path: Path, folder: Folder) -> tuple[str, Model | None]:
    """Why the version in `path` is not complete, "" when it is; and what its model file says, if it can be read."""
    if folder.problems:
        return folder.problems[0], None
    if not folder.files:
        return "the folder is empty", None
    file = model_file(folder)
    if file is None:
        return f"it has no {BINARY}", None
    try:
        model = read_model(path / file.path)
    except NotAModel as error:
        return f"{file.path} {error}", None
    except OSError as error:
        return f"{file.path} cannot be read: {error.strerror or error}", None
    return variables_problem(folder, needed=model.has_objects), model


def variables_problem(folder: Folder, *, needed: bool) -> str:
    """What is wrong with the weights: an index and all of its shards belong together, none of them empty."""
    shards = {match.groups(): file for file in folder.files if (match := _SHARD.fullmatch(file.path))}
    index = folder.file(INDEX)
    if index is None:
        if shards:
            return f"it has {len(shards)} of variables.data-* and no variables.index"
        return "it has no variables folder, and was saved with one" if needed else ""
    empty = next((file.path for file in (index, *shards.values()) if file.size == 0), None)
    if empty:
        return f"{empty} is empty"
    if not shards:
        return "it has variables.index and no variables.data-*"
    for total in sorted({of for _, of in shards}):
        missing = [f"{n:05}" for n in range(int(total)) if (f"{n:05}", total) not in shards]
        if not missing:
            return ""
    return f"variables.data-{missing[0]}-of-{total} is missing, and {len(missing) - 1} more"
