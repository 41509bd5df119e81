"""`airbag reference` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airbag.errors import ConfigError, StartError
from airbag_exporters.quality.reference.value import Numeric, load_reference
from airbag_exporters.reference_commands import reference
from tests.exporters.quality.reference_data import csv_file, lines, parquet

DATA = {"a": [1.0, 2.0, 3.0, 4.0], "c": ["x", "y", "x", None], "p": [0.1, 0.4, 0.6, 0.9], "id": ["1", "2", "3", "4"]}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(reference, [str(each) for each in arguments])


def built(*arguments: str | Path) -> str:
    result = run("build", *arguments)
    assert result.exit_code == 0, result.output or result.exception
    return result.output


def test_build_writes_a_reference_that_loads_and_says_what_it_is(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    said = built(parquet(tmp_path / "a.parquet", DATA), "-o", output, "--exclude", "id", "--score", "p")
    found = load_reference(output)
    assert list(found.features) == ["a", "c"]
    assert found.score is not None
    assert said == f"{output}: ref {found.ref}, 3 profiles of 4 rows\n"
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "out.json"}


def test_build_writes_into_a_versions_folder(tmp_path: Path) -> None:
    version = tmp_path / "fraud" / "3"
    version.mkdir(parents=True)
    built(parquet(tmp_path / "a.parquet", DATA), "--version-folder", version, "--features", "a,c")
    assert list(load_reference(version / "assets.extra" / "airbag_reference.json").features) == ["a", "c"]


def test_build_refuses_folders_that_are_not_there(tmp_path: Path) -> None:
    data = parquet(tmp_path / "a.parquet", DATA)
    assert isinstance(run("build", data, "--version-folder", tmp_path / "none").exception, StartError)
    assert isinstance(run("build", data, "-o", tmp_path / "none" / "out.json").exception, StartError)


def test_a_refused_build_leaves_the_old_file_alone(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    output.write_text("old")
    result = run("build", csv_file(tmp_path / "a.csv", DATA), "-o", output)
    assert isinstance(result.exception, ConfigError)
    assert "column `a`: comes from CSV" in str(result.exception)
    assert output.read_text() == "old"


def test_csv_with_kinds_and_a_word_for_missing(tmp_path: Path) -> None:
    data = csv_file(tmp_path / "a.csv", {"a": [1, "NA", 3], "c": ["x", "NA", ""]})
    built(data, "-o", tmp_path / "out.json", "--numeric", "a", "--categorical", "c", "--missing", "NA")
    found = load_reference(tmp_path / "out.json")
    assert [each.missing for each in found.features.values()] == [1, 2]


def test_edges_from_keeps_the_ref_and_compare_and_show_tell_of_both(tmp_path: Path) -> None:
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    data = parquet(tmp_path / "a.parquet", DATA)
    built(data, "-o", one, "--features", "a,c")
    built(data, data, "-o", two, "--edges-from", one)
    ref = load_reference(one).ref
    assert load_reference(two).ref == ref
    compared = run("compare", one, two)
    assert compared.exit_code == 0
    assert f"ref {ref} and {ref}\n" in compared.output
    assert " a " in compared.output
    shown = run("show", two)
    assert "8 rows" in shown.output
    assert "1 to 4" in shown.output


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "say where to write"),
        (["-o", "x", "--model", "m"], "--model: only with --events"),
        (["-o", "x", "--events"], "say whose events with --model"),
        (["-o", "x", "--edges-from", __file__, "--features", "a"], "--features: not with --edges-from"),
        (["-o", "x", "--features", "a,,b"], "has an empty name"),
        (["-o", "x", "--events", "--model", "m", "--from", "yesterday"], "is neither ISO 8601"),
        (["-o", "x", "--events", "--model", "m", "--score", "q"], "must be one of score, predicted, actual"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: list[str], what: str) -> None:
    result = run("build", parquet(tmp_path / "a.parquet", DATA), *options)
    assert result.exit_code == 2
    assert what in result.output


def events(path: Path) -> Path:
    shared = {"id": "1", "model_name": "fraud", "model_version": 3, "latency_seconds": 0.1}
    return lines(
        path,
        [
            {**shared, "timestamp": 99.0, "features": {"a": 1.0}, "score": 0.5, "predicted": "yes"},
            {**shared, "timestamp": 100.0, "features": {"a": 2.0, "c": "x"}, "score": 0.6, "predicted": "yes"},
            {**shared, "timestamp": 100.0, "features": {"a": 7.0}, "model_name": "other", "predicted": 1},
            {**shared, "timestamp": 100.0, "features": {"a": 8.0}, "model_version": "4", "predicted": 1},
            {**shared, "features": {"a": 9.0}, "predicted": 1},
            {**shared, "timestamp": 101.5, "features": {"a": 3.0, "c": None}, "score": 0.7},
            {**shared, "timestamp": 102.0, "features": {"a": 4.0}, "score": 0.8},
        ],
    )


def test_events_of_a_window_are_rows_of_their_features(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    built(events(tmp_path / "e.ndjson"), "--events", "--model", "fraud", "--version", "3",
          "--from", "1970-01-01T00:01:40", "--to", "102", "--score", "score", "-o", output)  # fmt: skip
    found = load_reference(output)
    assert found.rows == 2
    assert found.features["a"] == Numeric(edges=(2.5,), le=(1, 2), minimum=2.0, maximum=3.0)
    assert found.features["c"].missing == 1
    assert found.score == Numeric(edges=(0.6499999999999999,), le=(1, 2), minimum=0.6, maximum=0.7)


def test_events_that_give_features_as_a_list_take_their_names_from_the_command_line(tmp_path: Path) -> None:
    shared = {"model_name": "m", "model_version": 1}
    rows = [{**shared, "features": [n, "x"], "predicted": n, "actual": n + 1} for n in range(3)]
    data, output = lines(tmp_path / "e.ndjson", rows), tmp_path / "out.json"
    ours = ["--events", "--model", "m", "--score", "predicted", "--target", "actual", "-o", output]
    built(data, *ours, "--features", "b,c")
    found = load_reference(output)
    assert list(found.features) == ["b", "c"]
    assert found.target_mean == 2
    assert found.score is not None
    refused = run("build", data, *ours, "--features", "b")
    assert "line 1 gives 2 features without names, and --features names 1" in str(refused.exception)


def test_events_are_counted_in_the_bins_of_a_reference(tmp_path: Path) -> None:
    old = parquet(tmp_path / "a.parquet", {"a": [1.0, 2.0, 3.0], "p": [0.1, 0.5, 0.9]})
    built(old, "-o", tmp_path / "old.json", "--score", "p")
    built(events(tmp_path / "e.ndjson"), "--events", "--model", "fraud", "--version", "3", "--score", "score",
          "--edges-from", tmp_path / "old.json", "-o", tmp_path / "new.json")  # fmt: skip
    assert load_reference(tmp_path / "new.json").ref == load_reference(tmp_path / "old.json").ref


def test_parquet_without_pyarrow_names_what_to_install(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", DATA)
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from airbag_exporters.reference_commands import reference\n"
        "reference(standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code, "build", path, "-o", tmp_path / "x"], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert 'pip install "tfs-airbag[reference]"' in done.stderr


def test_nothing_is_drawn_where_there_is_no_terminal(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", DATA)
    code = "from airbag_exporters.reference_commands import reference\nreference()"
    done = subprocess.run([sys.executable, "-c", code, "build", path, "-o", tmp_path / "x"], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_a_reference_is_json_with_a_feature_a_line(tmp_path: Path) -> None:
    built(parquet(tmp_path / "a.parquet", DATA), "-o", tmp_path / "x")
    text = (tmp_path / "x").read_text()
    assert list(json.loads(text)["features"]) == ["a", "c", "p", "id"]
    assert sum(line.startswith('  "') for line in text.splitlines()) == 4
