"""Which version numbers are found on disk, and which are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from airbag_demo.model_server.storage import (
    Every,
    Latest,
    Policy,
    Source,
    Specific,
    StoragePoller,
    desired,
    version_number,
    versions_on_disk,
)


class Asked:
    """Remembers what was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []

    def __call__(self, name: str, paths: Mapping[int, str]) -> None:
        self.calls.append((name, sorted(paths)))


@pytest.mark.parametrize(
    ("name", "number"),
    [("3", 3), ("00000123", 123), ("-3", -3), ("+4", 4), (" 5 ", 5), ("3.bad", None), ("tmp-3", None), ("", None),
     ("1_000", None), ("٣", None), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None)],
)  # fmt: skip
def test_only_a_name_that_is_wholly_an_integer_is_a_version(name: str, number: int | None) -> None:
    assert version_number(name) == number


def test_files_count_as_well_as_directories_and_one_of_two_names_for_a_number_is_used(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").touch()
    (tmp_path / "02").mkdir()
    (tmp_path / "notes").mkdir()
    assert versions_on_disk(str(tmp_path)) == {1: str(tmp_path / "1"), 2: str(tmp_path / "2")}


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [(Latest(), [9]), (Latest(0), [9]), (Latest(2), [3, 9]), (Latest(9), [1, 3, 9]), (Every(), [1, 3, 9]),
     (Specific(frozenset({1, 3})), [1, 3]), (Specific(frozenset({1, 7})), [1]), (Specific(frozenset({7})), [])],
)  # fmt: skip
def test_a_policy_picks_from_what_is_on_disk(policy: Policy, wanted: list[int]) -> None:
    on_disk = {number: f"/m/{number}" for number in (1, 3, 9)}
    assert sorted(desired(Source("m", "/m", policy), on_disk)) == wanted


def test_a_specific_version_that_is_missing_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    desired(Source("m", "/m", Specific(frozenset({7}))), {1: "/m/1"})
    assert "Version 7 of servable m, which was requested" in caplog.text


def test_an_empty_base_path_asks_for_nothing_and_so_unloads_the_model(tmp_path: Path) -> None:
    asked = Asked()
    poller = StoragePoller(asked, 1)
    poller.replace([Source("m", str(tmp_path))])
    poller.poll()
    assert asked.calls == [("m", [])]


def test_one_missing_base_path_stops_the_look_at_all_models(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "good" / "1").mkdir(parents=True)
    asked = Asked()
    poller = StoragePoller(asked, 1)
    poller.replace([Source("good", str(tmp_path / "good")), Source("gone", str(tmp_path / "gone"))])
    poller.poll()
    assert asked.calls == []
    assert f"Could not find base path {tmp_path / 'gone'} for servable gone" in caplog.text


def test_a_model_that_is_left_out_is_asked_to_go_at_once_and_the_others_wait_for_the_poll(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    asked = Asked()
    poller = StoragePoller(asked, 1)
    poller.replace([Source("a", str(tmp_path)), Source("b", str(tmp_path))])
    poller.replace([Source("b", str(tmp_path))])
    assert asked.calls == [("a", [])]
    assert poller.names == {"b"}
    poller.poll()
    assert asked.calls[1:] == [("b", [1])]
