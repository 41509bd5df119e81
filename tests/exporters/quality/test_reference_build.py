"""Building a reference: the same one from every format and every cut of the data, or every problem at once."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag.errors import ConfigError
from airbag_exporters.quality.reference.build import Built, Fineness, bins_of, build, count
from airbag_exporters.quality.reference.plan import Wanted, like, plan
from airbag_exporters.quality.reference.tables import open_tables
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference
from tests.exporters.quality.reference_data import Columns, csv_file, lines, ndjson, parquet

MIXED: Columns = {
    "age": [31, 17, None, 44, 17, 90],
    "height": [1.5, 1.75, 1.8, None, 2.0, 1.25],
    "city": ["Ulm", "Bonn", "Ulm", None, "Köln", "Ulm"],
}
KINDS = Wanted(numeric=("age", "height"), categorical=("city",))


def built(*paths: Path, wanted: Wanted | None = None, fineness: Fineness | None = None, missing: str = "") -> Built:
    tables = open_tables(paths, frozenset({missing} if missing else ()))
    chosen = plan(wanted or Wanted(), {table.path: table.types(lambda _: None) for table in tables})
    return build(tables, chosen, fineness or Fineness(), "2026-01-01T00:00:00Z")


def problems(*paths: Path, wanted: Wanted | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        built(*paths, wanted=wanted)
    return [str(problem) for problem in caught.value.problems]


def numeric(reference: Reference, name: str) -> Numeric:
    found = reference.features[name]
    assert isinstance(found, Numeric)
    return found


WRITERS = [(parquet, "a.parquet"), (ndjson, "a.ndjson"), (csv_file, "a.csv")]


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_every_format_gives_the_same_profiles(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    reference = built(write(tmp_path / name, MIXED), wanted=KINDS).reference
    assert reference.rows == 6
    assert numeric(reference, "age") == Numeric(
        edges=(24.0, 37.5, 67.0), le=(2, 3, 4, 5), missing=1, minimum=17.0, maximum=90.0
    )
    assert reference.features["city"] == Categorical(counts={"Ulm": 3, "Bonn": 1, "Köln": 1}, missing=1)
    assert reference.source == f"6 rows of {name}"


def test_kinds_follow_from_the_types_of_the_data(tmp_path: Path) -> None:
    for path in (parquet(tmp_path / "a.parquet", MIXED), ndjson(tmp_path / "a.ndjson", MIXED)):
        kinds = {name: each.kind for name, each in built(path).reference.features.items()}
        assert kinds == {"age": "numeric", "height": "numeric", "city": "categorical"}


def test_csv_has_no_types_so_that_kinds_must_be_said_and_the_refusal_says_how(tmp_path: Path) -> None:
    found = problems(csv_file(tmp_path / "a.csv", MIXED))
    assert found[0] == "column `age`: comes from CSV, which has no types (say --numeric or --categorical)"
    assert found[-1] == "data: would go by their looks with --numeric age,height --categorical city"


def test_numbers_can_be_categories_and_texts_numbers_when_that_is_said(tmp_path: Path) -> None:
    data = {"zip": [89073, 89073, None], "text": ["1.5", "2", "3"], "flag": [True, False, True]}
    wanted = Wanted(numeric=("text",), categorical=("zip", "flag"))
    for path in (parquet(tmp_path / "a.parquet", data), ndjson(tmp_path / "a.ndjson", data)):
        reference = built(path, wanted=wanted).reference
        assert reference.features["zip"] == Categorical(counts={"89073": 2}, missing=1)
        assert reference.features["flag"] == Categorical(counts={"true": 2, "false": 1})
        assert numeric(reference, "text").le == (1, 2, 3)


def test_numeric_text_is_not_taken_for_numbers_silently(tmp_path: Path) -> None:
    reference = built(parquet(tmp_path / "a.parquet", {"text": ["1", "2"]})).reference
    assert reference.features["text"].kind == "categorical"


def test_every_column_that_is_no_feature_is_named_at_once(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "a.parquet",
        {"ok": [1, 2], "list": [[1], [2]], "flag": [True, False], "none": [None, None], "my age": [1, 2],
         "score": [0.1, 0.2], "at": pa.array([0, 1], pa.timestamp("ms"))},
    )  # fmt: skip
    assert problems(path) == [
        "column `list`: holds list<element: int64>, which is no feature (leave it out with --exclude)",
        "column `flag`: holds boolean (say --numeric or --categorical)",
        "column `none`: has only missing values (leave it out with --exclude)",
        "column `my age`: is no name of a feature: 1 to 100 characters without blanks, quotes or braces (rename)",
        "column `score`: is what the model's own score is called (give it as --score score, or rename it)",
        "column `at`: holds timestamp[ms], which is no feature (leave it out with --exclude)",
    ]
    left = Wanted(exclude=("list", "flag", "none", "my age", "score", "at"))
    assert list(built(path, wanted=left).reference.features) == ["ok"]


def test_every_column_with_a_value_of_another_kind_is_named_with_its_first_place(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", {"a": [1, "x", "y"], "b": [1, 2, "1_000"], "c": [1, 2, 3]})
    assert problems(path, wanted=Wanted(numeric=("a", "b", "c"))) == [
        "column `a`: a.csv, line 3: 'x' is no number",
        "column `b`: a.csv, line 4: '1_000' is no number",
    ]
    path = parquet(tmp_path / "a.parquet", {"a": ["1", "x", "x"]})
    assert problems(path, wanted=Wanted(numeric=("a",))) == ["column `a`: a.parquet, row 2: 'x' is no number"]


def test_columns_that_were_asked_for_and_are_not_there_are_named(tmp_path: Path) -> None:
    one, two = parquet(tmp_path / "a.parquet", {"a": [1], "b": [1]}), parquet(tmp_path / "b.parquet", {"a": [1]})
    assert problems(one, two) == [f"column `b`: is missing in {two}"]
    wanted = Wanted(numeric=("x",), exclude=("b",), score="s")
    assert problems(one, wanted=wanted) == [
        "column `x`: is no column of the data (known: a, b)",
        f"column `s`: is missing in {one} (known: a, b)",
    ]


def test_columns_of_other_types_in_other_files_must_be_decided(tmp_path: Path) -> None:
    one, two = parquet(tmp_path / "a.parquet", {"a": [1]}), parquet(tmp_path / "b.parquet", {"a": ["x"]})
    assert problems(one, two) == ["column `a`: holds number and text (say --numeric or --categorical)"]
    both = built(one, two, wanted=Wanted(categorical=("a",))).reference
    assert both.features["a"] == Categorical(counts={"1": 1, "x": 1})


def test_keys_that_come_and_go_in_ndjson_are_missing_where_they_are_not(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.ndjson", [{"a": 1}, {"b": "x"}, {"a": 2, "b": None}, {}])
    reference = built(path).reference
    assert (reference.rows, numeric(reference, "a").missing, reference.features["b"].missing) == (4, 2, 3)


def test_a_type_that_shows_late_in_ndjson_is_seen(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.ndjson", [*[{"a": 1}] * 20_000, {"a": "x"}])
    assert problems(path) == ["column `a`: holds number and text (say --numeric or --categorical)"]
    wanted = Wanted(numeric=("a",))
    assert problems(path, wanted=wanted) == ["column `a`: a.ndjson, line 20001: 'x' is no number"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty (its first line must name the columns)"),
        ("a,a\n1,2\n", "has more than one column called 'a'"),
        ("a,\n1,2\n", "names no column at place 2 of its header"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, the header 2"),
        ("a,b\n1,2\n\n3,4\n", "line 3 is empty"),
        ('a,b\n1,"2"x\n', "cannot be read as CSV: ',' expected after '\"'"),
        ('a,b\n1,"2\n', "cannot be read as CSV: unexpected end of data"),
    ],
)
def test_csv_is_read_strictly(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert problems(path, wanted=Wanted(numeric=("a", "b"))) == [f"{path}: {what}"]


def test_csv_may_have_a_byte_order_mark_quotes_and_empty_lines_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf"a",b\r\n"1.5","x, ""y""\nz"\r\n2.5,\r\n\r\n')
    reference = built(path, wanted=Wanted(numeric=("a",), categorical=("b",))).reference
    assert numeric(reference, "a").edges == (2.0,)
    assert reference.features["b"] == Categorical(counts={'x, "y"\nz': 1}, missing=1)


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    for name, data in (("a.csv", b"a\n\xff\n"), ("a.ndjson", b'{"a": "\xff"}\n')):
        path = tmp_path / name
        path.write_bytes(data)
        assert "utf-8" in problems(path, wanted=Wanted(categorical=("a",)))[0]


@pytest.mark.parametrize("line", ["[1]", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": 1} {"a": 2}'])
def test_a_line_that_is_no_object_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(f'{{"a": 1}}\n\n{line}\n')
    assert problems(path)[0].startswith(f"{path}: line 3 is no object: ")


def test_files_of_other_formats_and_files_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no parquet")
    (tmp_path / "b.parquet").mkdir()
    found = problems(*(tmp_path / name for name in ("a.parquet", "b.parquet", "c.csv", "d.ndjson", "e.xlsx")))
    assert len(found) == 5
    assert found[-1].endswith("is no format that is read here: .csv, .jsonl, .ndjson, .parquet, .pq")


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_data_without_rows_is_refused(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    path = write(tmp_path / name, {"a": np.array([], np.float64)})
    assert problems(path, wanted=Wanted(numeric=("a",)))


def test_one_row_is_enough(tmp_path: Path) -> None:
    made = built(parquet(tmp_path / "a.parquet", {"a": [3]}))
    assert numeric(made.reference, "a") == Numeric(edges=(), le=(1,), minimum=3.0, maximum=3.0)
    assert made.notes == ["column `a`: is constant, so that only out-of-range values will show"]


def test_infinities_are_counted_and_move_neither_edges_nor_range(tmp_path: Path) -> None:
    made = built(parquet(tmp_path / "a.parquet", {"a": [1.0, 2.0, math.inf, -math.inf, math.nan]}))
    profile = numeric(made.reference, "a")
    assert profile == Numeric(edges=(1.5,), le=(2, 4), missing=1, minimum=1.0, maximum=2.0)
    assert made.notes == ["column `a`: 2 infinities, out of any range"]


def test_a_column_without_a_finite_value_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"a": [math.inf, math.nan], "b": [None, math.nan], "c": [1.0, 2.0]})
    assert problems(path) == ["column `a`: has no finite value", "column `b`: has no finite value"]


def test_integers_beyond_doubles_are_infinities_and_large_ones_keep_their_order(tmp_path: Path) -> None:
    rows = [{"a": 10**400}, {"a": 2**63}, {"a": -(10**30)}]
    profile = numeric(built(lines(tmp_path / "a.ndjson", rows)).reference, "a")
    assert (profile.le, profile.maximum) == ((1, 3), 2.0**63)


def test_a_score_gets_fine_bins_and_a_target_its_mean_and_neither_is_a_feature(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = parquet(tmp_path / "a.parquet", {"a": rng.normal(size=5000), "p": rng.random(5000), "y": np.arange(5000)})
    reference = built(path, wanted=Wanted(score="p", target="y")).reference
    assert list(reference.features) == ["a"]
    assert reference.score is not None
    assert len(reference.score.edges) == 9
    assert len(reference.score_edges) == 49
    assert np.allclose(reference.score_edges, np.arange(1, 50) / 50, atol=0.03)
    assert reference.target_mean == 2499.5


def test_beyond_the_sample_counts_stay_exact_and_the_source_says_so(tmp_path: Path) -> None:
    values = np.random.default_rng(4).permutation(np.arange(250_000.0))
    made = built(parquet(tmp_path / "a.parquet", {"a": values})).reference
    profile = numeric(made, "a")
    assert profile.le == tuple(np.count_nonzero(values <= each) for each in (*profile.edges, math.inf))
    assert np.allclose(np.array(profile.edges) / 250_000, np.arange(1, 10) / 10, atol=0.01)
    assert made.source.endswith("; edges from a random sample of 200,000 rows per column")
    assert built(tmp_path / "a.parquet").reference == made


def test_counting_other_data_in_the_same_bins_keeps_the_ref(tmp_path: Path) -> None:
    old = built(parquet(tmp_path / "a.parquet", {**MIXED, "p": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}),
                wanted=Wanted(score="p")).reference  # fmt: skip
    new = {"city": ["Ulm", "Rom"], "age": [1, 200], "height": [1.0, None], "p": [0.9, 0.9], "more": [1, 1]}
    tables = open_tables([parquet(tmp_path / "b.parquet", new)], frozenset())
    chosen = plan(like(old, "p"), {table.path: table.types(lambda _: None) for table in tables})
    fresh = count(tables, chosen, bins_of(old, "p"), "2026-01-02T00:00:00Z").reference
    assert fresh.ref == old.ref
    assert numeric(fresh, "age") == Numeric(edges=(24.0, 37.5, 67.0), le=(1, 1, 1, 2), minimum=1.0, maximum=200.0)
    assert fresh.features["city"] == Categorical(counts={"Ulm": 1, "Bonn": 0, "Köln": 0}, other=1)
    assert fresh.score is not None
    assert fresh.score.le[-1] == 2


def test_a_reference_with_a_score_wants_to_know_the_score_of_new_data(tmp_path: Path) -> None:
    old = built(parquet(tmp_path / "a.parquet", {"p": [0.1, 0.2]}), wanted=Wanted(score="p")).reference
    with pytest.raises(ConfigError, match="--score: is missing"):
        like(old, None)


VALUES = st.floats(allow_nan=True, allow_infinity=True, width=32) | st.none()
ROWS = st.lists(st.tuples(VALUES, st.sampled_from(["a", "b", "other", "", None])), min_size=1, max_size=60)


def _columns(rows: Sequence[tuple[float | None, str | None]]) -> Columns:
    return {
        "x": pa.array([row[0] for row in rows], pa.float64()),
        "c": pa.array([row[1] for row in rows], pa.string()),
        "z": pa.array(range(len(rows)), pa.int64()),
    }


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, st.integers(1, 20))
def test_two_files_make_what_their_concatenation_makes_however_it_is_cut(
    one: list[tuple[float | None, str | None]], two: list[tuple[float | None, str | None]], group: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = parquet(folder / "1.parquet", _columns(one)), parquet(folder / "2.parquet", _columns(two))
        joined = {name: pa.concat_arrays([_columns(one)[name], _columns(two)[name]]) for name in ("x", "c", "z")}
        both = parquet(folder / "b.parquet", joined, row_group_size=group)
        assert _outcome(first, second) == _outcome(both)


def _outcome(*paths: Path) -> object:
    try:
        reference = built(*paths, wanted=Wanted(categorical=("c",), target="z")).reference
    except ConfigError as error:
        return [problem.path for problem in error.problems]
    return reference.model_dump(exclude={"source"})
