"""The engine, the images and the stack for tests on real containers: for `make test-compose`, not `make test`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airbag_demo.ports import claim
from tests.compose.kit import engine, packages
from tests.compose.kit.images import Images
from tests.compose.kit.stack import AIRBAG, CORE, DEMO, Stack, build

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These are only for those who name this folder: they need root, an engine and minutes."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client whose engine runs and has every image."""
    engine.need()
    _timed("packages", packages.ensure)
    with engine.running(tmp_path_factory.mktemp("engine") / "dockerd.log") as env:
        images = Images(env)
        _timed("stand-ins", lambda: images.make(servers=True))
        _timed("images", lambda: build(env, tmp_path_factory.mktemp("build")))
        _timed("model server", lambda: images.serving(DEMO))
        print(f"{AIRBAG}: {images.size(AIRBAG) / 1e6:.0f} MB; {DEMO}: {images.size(DEMO) / 1e6:.0f} MB")
        yield env


@pytest.fixture(scope="session")
def ports() -> Iterator[dict[str, str]]:
    """Free ports for the two pages."""
    with ExitStack() as held:
        yield {"AIRBAG_PROBE_INTERVAL": "2s", "AIRBAG_PAGE_PORT": str(claim(held)), "GRAFANA_PORT": str(claim(held))}


@pytest.fixture(scope="module")
def stack(client: dict[str, str], ports: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack with the demo's models, healthy."""
    project = Stack(tmp_path_factory.mktemp("project"), "airbag-test", client, ports)
    project.down()
    try:
        up = ("up", "--detach", "--wait", "--wait-timeout=180", "--pull=never", *CORE)
        _timed("up", lambda: project.compose(*up, profile="demo"))  # the trainer is one of tf-serving's conditions
        yield project
    except AssertionError:
        print(project.logs())
        raise
    finally:
        _timed("down", project.down)


def _timed(what, work) -> None:  # type: ignore[no-untyped-def]
    begun = time.monotonic()
    work()
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)
