"""How often each version was loaded, from TF Serving's own metrics page.

Two looks a second apart do not see a version that came and went in between. The server's count of loads does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from airbag.repository import version_number

# Inside a value the server escapes every quote, so that no name of a model can fake such a line.
_LOADED = re.compile(
    rb'^:tensorflow:cc:saved_model:load_attempt_count\{model_path="((?:[^"\\]|\\.)*+)",status="success"\} (\d{1,18})$',
    re.MULTILINE,
)
_ESCAPE = re.compile(rb'\\([\\"])')

Loads = Mapping[str, int]
"""Successful loads by the path of the version."""


def parse(page: bytes) -> Loads:
    """The counts on a page; empty for one that has none. Never raises."""
    return {
        _ESCAPE.sub(rb"\1", path).decode(errors="surrogateescape"): int(count) for path, count in _LOADED.findall(page)
    }


def loaded_between(before: Loads, after: Loads) -> list[tuple[str, int]]:
    """Folder of the model and number of the version, for each version that was loaded in between."""
    grown = [PurePosixPath(path) for path, count in after.items() if count > before.get(path, 0)]
    numbered = [(str(path.parent), version_number(path.name)) for path in grown]
    return [(folder, version) for folder, version in numbered if version is not None]
