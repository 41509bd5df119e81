"""The bill of materials: valid CycloneDX, whole, and the same whenever it is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from airbag import __version__
from requirements.lock import read_lock
from requirements.sbom import HERE, bill
from tests.release.services import sha256

LOCK = HERE / "base.lock"
MADE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def text() -> str:
    return bill(LOCK, MADE)


def test_it_is_valid_cyclonedx(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"SHA-256"', '"SHA-0"')) is not None


def test_it_names_every_locked_package_with_licence_and_hashes(text: str) -> None:
    found = {each["name"]: each for each in json.loads(text)["components"]}
    locked = {each.name: each for each in read_lock(LOCK) if each.applies}
    assert found.keys() == locked.keys()
    for name, each in found.items():
        assert each["purl"] == f"pkg:pypi/{name}@{locked[name].version}"
        assert each["licenses"], name
        [files] = each["externalReferences"]
        assert {f"sha256:{one['content']}" for one in files["hashes"]} == set(locked[name].hashes)


def test_it_says_what_needs_what(text: str) -> None:
    told = json.loads(text)
    assert told["metadata"]["component"]["version"] == __version__
    needs = {each["ref"].partition("@")[0]: each.get("dependsOn", []) for each in told["dependencies"]}
    assert any(each.startswith("pkg:pypi/pydantic@") for each in needs["tfs-airbag"])
    assert any(each.startswith("pkg:pypi/pydantic-core@") for each in needs["pkg:pypi/pydantic"])


def test_it_is_the_same_whenever_it_is_written_and_another_for_another_lock(text: str, tmp_path: Path) -> None:
    assert bill(LOCK, MADE) == text
    other = tmp_path / "other.lock"
    other.write_text(f"requests==2.31.0 \\\n    --hash=sha256:{sha256('requests', '2.31.0')}\n")
    assert json.loads(bill(other, MADE))["serialNumber"] != json.loads(text)["serialNumber"]
