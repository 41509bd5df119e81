"""Which names are versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.repository.versions import list_versions, sort_out, version_number
from airbag_demo.model_server import storage


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("3", 3), ("00000123", 123), ("+4", 4), ("-3", -3), (" 5 ", 5), ("0", 0), (str(2**63 - 1), 2**63 - 1),
        ("3.bad", None), ("tmp-3", None), ("arriving-3", None), ("", None), (" ", None), ("1_0", None), ("٣", None),
        ("+ 4", None), ("0x3", None), ("3e1", None), (str(2**63), None), (".airbag-prune-3-ab12", None),
    ],
)  # fmt: skip
def test_a_name_is_a_version_when_the_whole_of_it_is_an_integer(name: str, number: int | None) -> None:
    assert version_number(name) == number


@given(st.text(st.sampled_from("0123456789+- \t\x0b.x٣"), max_size=22))
def test_it_is_the_rule_of_the_local_model_server(name: str) -> None:
    assert version_number(name) == storage.version_number(name)


def test_files_and_links_count_and_one_number_may_have_two_names(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "01").mkdir()
    (tmp_path / "2").write_text("a stray file")
    (tmp_path / "3").symlink_to("nowhere")
    (tmp_path / "3.bad").mkdir()
    (tmp_path / ".airbag-prune-4-ab12").mkdir()
    found = list_versions(tmp_path)
    assert found.versions == {1: ("01", "1"), 2: ("2",), 3: ("3",)}
    assert found.twice == {1}
    assert found.ignored == (".airbag-prune-4-ab12", "3.bad")
    assert found.leftovers == (".airbag-prune-4-ab12",)
    assert found.path(2) == tmp_path / "2"


def test_no_names_make_an_empty_listing(tmp_path: Path) -> None:
    assert sort_out(tmp_path, []).versions == {}
