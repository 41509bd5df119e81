"""What is known of a model: its group, its kind, and the reference of its version."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airbag.config import parse
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import BadBatch, Owner
from airbag_exporters.quality.models import DEFAULT_REF, Models

GROUP = """
  - name: {name}
    targets: [{{name: t, grpc: "h:1"}}]
    models:
      - name: fraud
        classes: ["no", "yes"]
        quality: {{kind: binary, reference: "fraud/{{version}}/reference.json", features: {{land: categorical}}}}
"""


def models(folder: Path, *groups: str) -> Models:
    text = "servings:" + "".join(GROUP.format(name=name) for name in groups or ("main",))
    return Models(parse(text, ExportersConfig, source="exporters.yml", base=folder))


def write(folder: Path, version: str, rows: int, edges: list[float] | None = None) -> Path:
    path = folder / "fraud" / version / "reference.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"kind": "numeric", "edges": edges or [1.0], "le": [1, rows], "minimum": 0, "maximum": 9}
    path.write_text(json.dumps({"format": 1, "rows": rows, "features": {"age": profile}}))
    return path


def rows_of(known: Models, version: str) -> int | None:
    reference = known.find("main", "fraud", version).reference
    return reference.rows if reference else None


def test_a_version_has_its_own_reference_or_that_of_the_newest_version_that_has_one(tmp_path: Path) -> None:
    write(tmp_path, "2", 20)
    write(tmp_path, "10", 100)
    known = models(tmp_path)
    assert [rows_of(known, version) for version in ("2", "10", "11", "1")] == [20, 100, 100, 100]


def test_features_are_those_of_the_configuration_and_then_of_the_reference(tmp_path: Path) -> None:
    write(tmp_path, "1", 10)
    spec = models(tmp_path).find("main", "fraud", "1")
    assert list(spec.features.items()) == [("land", "categorical"), ("age", "numeric")]
    assert spec.positive == "yes"


def test_bins_are_named_by_their_edges_and_not_by_the_counts_in_them(tmp_path: Path) -> None:
    write(tmp_path, "1", 10)
    write(tmp_path, "2", 20)
    write(tmp_path, "3", 20, edges=[2.0])
    known = models(tmp_path)
    one, two, three = (known.find("main", "fraud", version).ref for version in "123")
    assert one == two != three
    assert models(tmp_path / "elsewhere").find("main", "fraud", "1").ref == DEFAULT_REF


def test_a_reference_that_comes_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    known = models(tmp_path)
    assert rows_of(known, "1") is None
    assert not known.references_changed()
    path = write(tmp_path, "1", 10)
    assert known.references_changed()

    known = models(tmp_path)
    assert rows_of(known, "1") == 10
    os.utime(path, (1, 1))
    assert known.references_changed()

    known = models(tmp_path)
    assert rows_of(known, "1") == 10
    path.unlink()
    assert known.references_changed()


def test_a_damaged_reference_is_told_once_and_counted_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "1", 10).write_text("{")
    known = models(tmp_path)
    assert [rows_of(known, "1"), rows_of(known, "1")] == [None, None]
    assert not known.references_changed()
    assert [record.message for record in caplog.records] == ["reference refused, its model is counted without it"]


def test_a_model_of_two_groups_needs_its_group_named(tmp_path: Path) -> None:
    known = models(tmp_path, "main", "shadow")
    assert known.serving("shadow", "fraud") == "shadow"
    with pytest.raises(BadBatch, match="main, shadow all have the model 'fraud'; say which one is meant"):
        known.serving(None, "fraud")
    with pytest.raises(BadBatch, match="no group is called 'mian'; known: main, shadow"):
        known.serving("mian", "fraud")
    assert known.serving(None, "cats") == "other"


def test_an_unknown_model_belongs_to_the_only_group_under_the_name_other(tmp_path: Path) -> None:
    known = models(tmp_path)
    assert known.serving(None, "cats") == "main"
    assert known.owner("main", "cats", "7") == Owner("main", "other", "other")
    assert known.find("main", "other", "other").features == {}
