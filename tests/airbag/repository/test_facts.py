"""What the disk tells about a version: whole or not, how large, how old, what it leans on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airbag.repository import VersionFacts, look, scan, stored
from airbag.repository.facts import SETTLE, file_system
from tests.fakes import saved_models

NOW = 2_000_000_000.0
OLD = NOW - 3600


def age(path: Path, when: float = OLD) -> Path:
    """Make everything in the version look as old as `when`."""
    for each in [path, *path.rglob("*")]:
        if not each.is_symlink():
            os.utime(each, (when, when))
    return path


def facts(path: Path) -> VersionFacts:
    return look(age(path), 1, NOW)


def test_a_model_that_tensorflow_saved_is_complete(tmp_path: Path) -> None:
    found = facts(saved_models.add_model(tmp_path, 1))
    assert (found.complete, found.reason) == (True, "")
    assert found.created_at == OLD
    assert found.size == sum(each.stat().st_size for each in (tmp_path / "1").rglob("*") if each.is_file())
    assert found.signatures is not None
    assert list(found.signatures.by_name) == ["serving_default"]


def test_a_model_without_any_variable_is_complete_as_well(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec((None, 3), tf.float32)
    serve = tf.function(lambda x: {"y": x}, autograph=False).get_concrete_function(x=spec)
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=serve)
    assert facts(tmp_path / "1").reason == ""


def without(name: str) -> Callable[[Path], object]:
    return lambda path: [each.unlink() for each in path.glob(name)]


def emptied(name: str) -> Callable[[Path], object]:
    return lambda path: [each.write_bytes(b"") for each in path.glob(name)]


def cut(path: Path) -> None:
    file = path / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-1])


def other_tag(path: Path) -> None:
    file = path / "saved_model.pb"
    data = file.read_bytes()
    assert data.count(b"\x22\x05serve") == 1
    file.write_bytes(data.replace(b"\x22\x05serve", b"\x22\x05train"))


def second_shard(path: Path) -> None:
    data = path / "variables" / "variables.data-00000-of-00001"
    data.rename(data.with_name("variables.data-00000-of-00003"))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without("saved_model.pb"), "it has no saved_model.pb"),
        (emptied("saved_model.pb"), "saved_model.pb is empty"),
        (cut, "saved_model.pb does not parse: it is damaged or was cut short at byte"),
        (lambda path: (path / "saved_model.pb").write_text("no such thing"), "saved_model.pb does not parse"),
        (other_tag, "saved_model.pb has no graph with the tag `serve` alone; it has {train}"),
        (without("variables/variables.data-*"), "it has variables.index and no variables.data-*"),
        (without("variables/variables.index"), "it has 1 of variables.data-* and no variables.index"),
        (emptied("variables/variables.data-*"), "variables/variables.data-00000-of-00001 is empty"),
        (emptied("variables/variables.index"), "variables/variables.index is empty"),
        (second_shard, "variables.data-00001-of-00003 is missing, and 1 more"),
        (lambda path: shutil.rmtree(path / "variables"), "it has no variables folder, and was saved with one"),
        (lambda path: (path / "assets").joinpath("x").symlink_to("gone"), "assets/x is a link to nothing"),
        (lambda path: (path / "assets").joinpath("x").symlink_to(".."), "assets/x leads back to a folder above it"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_not_complete_and_says_why(
    tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    path = saved_models.add_model(tmp_path, 1)
    (path / "assets").mkdir(exist_ok=True)
    damage(path)
    found = facts(path)
    assert not found.complete
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    "kind", ["cut_graph", "without_graph", "half_copied", "without_variables", "without_index", "stray_file"]
)
def test_what_the_server_would_fail_with_is_told_beforehand(tmp_path: Path, kind: str) -> None:
    path: Path = getattr(saved_models, kind)(tmp_path, 1)
    assert facts(path).problem != ""


@pytest.mark.parametrize("kind", ["add_model", "two_inputs", "echo", "examples", "failing", "wrong"])
def test_what_the_server_loads_is_complete(tmp_path: Path, kind: str) -> None:
    path: Path = getattr(saved_models, kind)(tmp_path, 1)
    assert facts(path).reason == ""


def test_what_is_no_folder_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("stray")
    (tmp_path / "2").mkdir()
    (tmp_path / "3").symlink_to("nowhere")
    found = scan(tmp_path, NOW).versions
    assert [each.problem for each in found.values()] == [
        "it is a plain file; a version is a folder",
        "the folder is empty",
        "it is a link to nothing, or went away",
    ]


def test_a_model_in_text_form_is_read_as_well(tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved_models.two_inputs(tmp_path, 1)
    binary = path / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    known = facts(path).signatures
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(model))
    binary.unlink()
    found = facts(path)
    assert (found.reason, found.signatures) == ("", known)


def test_a_chunked_model_is_complete_and_cannot_be_looked_into(tmp_path: Path) -> None:
    path = saved_models.add_model(tmp_path, 1)
    (path / "saved_model.pb").rename(path / "saved_model.cpb")
    found = facts(path)
    assert (found.reason, found.signatures) == ("", None)


def test_a_version_is_still_being_written_until_it_rested(tmp_path: Path) -> None:
    path = age(saved_models.add_model(tmp_path, 1), NOW - SETTLE + 1)
    assert look(path, 1, NOW).reason == "it is still being written"
    assert look(path, 1, NOW + 2).complete


def test_a_change_that_keeps_the_old_times_is_noticed_from_scan_to_scan(tmp_path: Path) -> None:
    """As `cp -p` and `rsync -a` do."""
    path = age(saved_models.add_model(tmp_path, 1))
    first = look(path, 1, NOW)
    (path / "more").write_text("x")
    age(path)
    second = look(path, 1, NOW + 10, first)
    assert (first.complete, second.reason) == (True, "it is still being written")
    assert look(path, 1, NOW + 10 + SETTLE, second).complete


def test_a_version_that_rests_is_not_opened_again(tmp_path: Path) -> None:
    path = age(saved_models.add_model(tmp_path, 1))
    first = look(path, 1, NOW)
    data = path / "saved_model.pb"
    inode, size = data.stat().st_ino, data.stat().st_size
    data.write_bytes(b"x" * size)  # other contents that look the same from outside
    age(path)
    assert data.stat().st_ino == inode
    assert look(path, 1, NOW, first).complete
    assert not look(path, 1, NOW).complete


def test_what_was_wrong_is_looked_at_again_although_nothing_seems_to_have_changed(tmp_path: Path) -> None:
    """As after `chmod`, or on a disk that had a fault."""
    path = saved_models.add_model(tmp_path, 1)
    data = (path / "saved_model.pb").read_bytes()
    (path / "saved_model.pb").write_bytes(b"\xff" * len(data))
    first = look(age(path), 1, NOW)
    (path / "saved_model.pb").write_bytes(data)
    assert first.problem != ""
    assert look(age(path), 1, NOW, first).complete


def test_a_scan_takes_those_that_rest_as_they_were_unless_they_are_picked(tmp_path: Path) -> None:
    for version in (1, 2):
        age(saved_models.add_model(tmp_path, version))
    first = scan(tmp_path, NOW)
    for version in (1, 2):
        (tmp_path / str(version) / "saved_model.pb").unlink()
        age(tmp_path / str(version))
    second = scan(tmp_path, NOW, first.versions, lambda rests: [max(each.version for each in rests)])
    assert second.versions[1].complete
    assert not second.versions[2].complete
    shutil.rmtree(tmp_path / "1")
    assert list(scan(tmp_path, NOW, second.versions, lambda _: []).versions) == [2]


def test_links_tell_which_version_leans_on_which(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path, 1)
    saved_models.add_model(tmp_path, 2)
    shutil.rmtree(tmp_path / "2" / "variables")
    (tmp_path / "2" / "variables").symlink_to("../1/variables")
    (tmp_path / "3").symlink_to("2")
    (tmp_path / "10").mkdir()
    found = scan(tmp_path, NOW)
    assert found.versions[2].problem == found.versions[3].problem == ""
    assert found.leaning() == {2: {1}, 3: {1, 2}}
    assert {each.version: each.leans_on for each in stored(found) if each.leans_on} == {2: {1}, 3: {1, 2}}


def test_a_base_path_that_cannot_be_seen_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "nowhere", NOW)
    size, free = file_system(tmp_path)
    assert 0 < free <= size
