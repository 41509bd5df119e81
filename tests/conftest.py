"""In which order the tests run, on which examples, and the browser that some of them drive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

settings.register_profile("same", derandomize=True)
settings.register_profile("search")  # make test ARGS='--hypothesis-profile=search' looks for what nobody has seen yet
settings.load_profile("same")

_WITH_LONG = 3


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first on every worker, so that none of them is begun when all other work is done.

    Each worker begins with an equal stretch of what was collected: at the head of each stand its share of the modules
    with long tests, on no more than a few workers: each of them runs a whole stack.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    modules: dict[Path, list[pytest.Item]] = {}
    short = []
    for item in items:
        if {"story", "long"} & item.keywords.keys():
            modules.setdefault(item.path, []).append(item)
        else:
            short.append(item)
    stretches: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, module in enumerate(modules.values()):
        stretches[number % min(workers, _WITH_LONG)] += module
    length = len(items) // workers
    rest = iter(short)
    for stretch in stretches:
        stretch += islice(rest, max(0, length - len(stretch)))
    items[:] = [item for stretch in stretches for item in stretch] + list(rest)


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
