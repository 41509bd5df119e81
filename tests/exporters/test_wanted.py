"""Which versions are meant to serve."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airbag.serving.model_config import Policy
from airbag_exporters.serving.wanted import FileModel, ModelsFile, wanted

CONFIG = 'model_config_list {{ config {{ name: "m" base_path: "/m" model_version_policy {{ {} }} }} }}\n'


def test_a_specific_policy_says_it_itself_also_of_versions_that_no_server_has_seen() -> None:
    assert wanted(Policy.specific(2, 3), [1, 2], 2) == {1: False, 2: True, 3: True}


@pytest.mark.parametrize("policy", [None, Policy.latest(), Policy.all()])
def test_otherwise_what_is_newer_than_the_default_is_wanted(policy: Policy | None) -> None:
    assert wanted(policy, [1, 2, 3], 2) == {1: False, 2: False, 3: True}
    assert wanted(policy, [1], None) == {1: True}


def entry(*versions: int) -> dict[str, FileModel]:
    return {"m": FileModel(Policy.specific(*versions), "/m", ())}


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)  # noqa: PTH105 - as the file's writer does


def test_the_file_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(CONFIG.format("specific { versions: 2 }"))
    file = ModelsFile(path)
    assert file.models() == entry(2)
    replace(path, CONFIG.format("specific { versions: 3 }"))
    assert file.models() == entry(3)


def test_an_unreadable_file_keeps_what_was_read_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "models.config"
    file = ModelsFile(path)
    assert file.models() == file.models() == {}
    path.write_text(CONFIG.format("specific { versions: 2 }"))
    assert file.models() == entry(2)
    replace(path, "model_config_list {")
    assert file.models() == file.models() == entry(2)
    path.unlink()
    assert file.models() == entry(2)
    assert len(caplog.records) == 3  # missing, broken, missing
