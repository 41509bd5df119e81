"""A reload sends the whole configuration, as it stands in the file, and never an empty one."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from airbag.errors import ConfigError, Refused, Unreachable
from airbag.serving.control import reload
from airbag.serving.model_config import parse
from airbag.serving.values import Endpoint
from tests.fakes.tfs_wire import FakeServing, serving

TEXT = """model_config_list {
  config { name: "a" base_path: "/m/a" model_platform: "tensorflow" version_labels { key: "stable" value: 2 }
    model_version_policy { specific { versions: 2 versions: 3 } } }
  config { name: "b" base_path: "/m/b" logging_config { sampling_config { sampling_rate: 0.5 } } }
}
"""


@pytest.fixture
def fake() -> Iterator[FakeServing]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("config", [TEXT, parse(TEXT)], ids=["text", "message"])
def test_the_server_receives_exactly_the_file(fake: FakeServing, config: str) -> None:
    reload(Endpoint(fake.address), config)
    (request,) = fake.requests
    assert str(request.config) == str(parse(TEXT))


@pytest.mark.parametrize("text", ["", "model_config_list {}", "custom_model_config { type_url: 'x/y' }"])
def test_a_configuration_without_models_is_never_sent(fake: FakeServing, text: str) -> None:
    with pytest.raises(ConfigError, match="unload every model"):
        reload(Endpoint(fake.address), text)
    assert fake.requests == []


def test_a_no_from_the_server_carries_its_code(fake: FakeServing) -> None:
    fake.refuse_with = (grpc.StatusCode.FAILED_PRECONDITION, "label points at version 9")
    with pytest.raises(Refused, match="version 9") as caught:
        reload(Endpoint(fake.address), TEXT)
    assert caught.value.code == "FAILED_PRECONDITION"


def test_a_no_inside_the_answer_counts_as_well(fake: FakeServing) -> None:
    fake.reload_status = 3
    with pytest.raises(Refused) as caught:
        reload(Endpoint(fake.address), TEXT)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_a_reload_that_hangs_ends_at_its_deadline(fake: FakeServing) -> None:
    fake.hold.clear()
    with pytest.raises(Unreachable):
        reload(Endpoint(fake.address), TEXT, timeout=0.2)
    fake.hold.set()
