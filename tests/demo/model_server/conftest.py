"""One real server with many models for the tests that only ask it things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.model_server.client import Client, models_config
from tests.fakes import model_server, saved_models


@pytest.fixture(scope="session")
def model_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`m` in versions 1 (y = 2x) and 2 (y = 3x + 1), and one model of every other kind, each in version 1."""
    root = tmp_path_factory.mktemp("models")
    saved_models.add_model(root / "m", 1)
    saved_models.add_model(root / "m", 2, scale=3.0, offset=1.0)
    saved_models.failing(root / "failing", 1)
    saved_models.slow(root / "slow", 1, 0.3)
    saved_models.two_inputs(root / "pair", 1)
    saved_models.echo(root / "echo", 1)
    saved_models.without_variables(root / "hollow", 1)
    saved_models.with_warmup(root / "warm", 1, model_name="warm")
    return root


@pytest.fixture(scope="session")
def client(model_root: Path) -> Iterator[Client]:
    """A client of a server that serves all of `model_root`. Tests must leave it as it is."""
    config = model_root / "models.config"
    both = "model_version_policy { all {} } version_labels { key: 'stable' value: 1 }"
    others = ["failing", "slow", "pair", "echo", "hollow", "warm"]
    config.write_text(models_config(model_root, {"m": both} | dict.fromkeys(others, "")))
    flags = [
        "--tensorflow_inter_op_parallelism=32",
        "--grpc_max_threads=24",
        "--rest_api_timeout_in_ms=200",
        "--allow_version_labels_for_unavailable_models",
    ]
    with model_server.running(*flags, config_file=config) as server, Client(server) as client:
        client.wait_states("m", "2 AVAILABLE, 1 AVAILABLE")
        yield client
