"""In which order the tests run."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that none of them is begun when all other work is done."""
    items.sort(key=lambda item: not ({"story", "long"} & item.keywords.keys()))
