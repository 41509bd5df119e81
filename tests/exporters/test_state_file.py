"""Counters that outlive the exporter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.errors import StartError
from airbag_exporters.config import load_exporters
from airbag_exporters.serving.attribution import Increase
from airbag_exporters.serving.fleet import Fleet
from airbag_exporters.serving.native import EDGES, Bucket, Counter, Requests
from airbag_exporters.serving.state_file import Saved, StateFile
from airbag_exporters.serving.totals import Totals
from tests.fakes.clock import SetClock

MODELS = st.sampled_from(["m", "", 'a"b\n', "\udcff"])
COUNTERS: st.SearchStrategy[Counter] = st.one_of(
    st.builds(Requests, MODELS, st.sampled_from(["OK", "INTERNAL"])),
    st.builds(Bucket, MODELS, st.sampled_from(["Predict", "predict"]), st.just("GRPC"), st.sampled_from(EDGES)),
)


@given(st.dictionaries(COUNTERS, st.integers(0, 2**63 - 1)), st.sampled_from(["1", "switching"]))
def test_what_was_saved_comes_back(
    tmp_path_factory: pytest.TempPathFactory, last: dict[Counter, int], who: str
) -> None:
    totals = Totals()
    totals.add([Increase(counter, who, value) for counter, value in last.items()], {"m": 0.1})
    saved = Saved(("h:1", None), last, totals, {"m": 2}, {"m": 7}, {"m": 6})
    file = StateFile(tmp_path_factory.mktemp("state") / "main.a.json")
    file.save(saved)
    assert file.load() == saved


def test_a_file_from_before_previous_versions_were_kept_still_counts(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "main.a.json")
    file.save(Saved(("h:1", None), {}, Totals(), {"m": 2}, {"m": 7}, {"m": 6}))
    older = json.loads(file.path.read_text())
    del older["previous_defaults"]
    file.path.write_text(json.dumps(older))
    assert file.load() == Saved(("h:1", None), {}, Totals(), {"m": 2}, {"m": 7})


def test_nothing_saved_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "none.json").load() is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 2}', '{"format": 1}', '{"format": 1, "address": 3, "last": []}', "\xff"]
)
def test_a_file_that_makes_no_sense_is_said_and_the_counters_start_anew(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "main.a.json"
    path.write_text(text, encoding="latin-1")
    assert StateFile(path).load() is None
    assert "cannot be read" in caplog.text


def test_a_folder_that_takes_no_file_is_said_once_and_again_after_it_did(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    file, saved = StateFile(folder / "main.a.json"), Saved(("h:1", None), {}, Totals())
    file.save(saved)
    file.save(saved)
    assert len(caplog.records) == 1
    folder.mkdir()
    file.save(saved)
    assert file.load() == saved
    (folder / "main.a.json").unlink()
    folder.rmdir()
    file.save(saved)
    assert len(caplog.records) == 2


def test_two_exporters_do_not_share_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text("state_folder: state\nservings: [{name: main, targets: [{name: a, grpc: '127.0.0.1:1'}]}]\n")
    first = Fleet(load_exporters(path), SetClock(0.0))
    with pytest.raises(StartError, match="another exporter"):
        Fleet(load_exporters(path), SetClock(0.0))
    first.stop()


def test_a_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    path = tmp_path / "exporters.yml"
    path.write_text("state_folder: state\nservings: [{name: main, targets: [{name: a, grpc: '127.0.0.1:1'}]}]\n")
    with pytest.raises(StartError, match="state_folder"):
        Fleet(load_exporters(path), SetClock(0.0))
