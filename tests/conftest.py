"""In which order the tests run, and the browser that some of them drive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that none of them is begun when all other work is done."""
    items.sort(key=lambda item: not ({"story", "long"} & item.keywords.keys()))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's browser."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is not on PATH; install it with the system's package manager")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
