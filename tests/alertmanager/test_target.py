"""Which version is gone back to: every refusal by itself, from the files on disk to the words for people."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airbag.serving.proto.tfs_pb2 import DataType, MetaGraphDef, SavedModel, SignatureDef, TensorInfo
from airbag_rollback.engine.target import Candidate, Rules, choose
from airbag_rollback.files import Files, FilesOf, store_of
from airbag_rollback.journal.ledger import Proof
from airbag_rollback.records import Action
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import MODEL, Bench

NOW = 1_000_000.0
OLD = NOW - 3600


def model(**inputs: DataType.ValueType) -> bytes:
    """A model that takes these inputs."""
    signature = SignatureDef(
        method_name="tensorflow/serving/predict",
        inputs={name: TensorInfo(name=name, dtype=kind) for name, kind in inputs.items()},
        outputs={"y": TensorInfo(name="y", dtype=DataType.DT_FLOAT)},
    )
    graph = MetaGraphDef(
        meta_info_def=MetaGraphDef.MetaInfoDef(tags=["serve"]), signature_def={"serving_default": signature}
    )
    return SavedModel(meta_graphs=[graph]).SerializeToString()


PLAIN = model(x=DataType.DT_FLOAT)


def put(base: Path, version: int, data: bytes = PLAIN, at: float = OLD) -> Path:
    """A version's folder with one file, last touched at that time."""
    folder = base / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "saved_model.pb"
    file.write_bytes(data)
    for path in (file, folder):
        os.utime(path, (at, at))
    return folder


@pytest.fixture
def files() -> Files:
    return Files()


def test_files_that_are_those_that_served_have_nothing_against_them(files: Files, tmp_path: Path) -> None:
    put(tmp_path, 3)
    noted = files.checksum(put(tmp_path, 2))
    assert files.flaw(FilesOf(tmp_path, 2, 3, noted), NOW) == ""


def test_other_files_than_those_that_served_are_refused_with_both_checksums(files: Files, tmp_path: Path) -> None:
    noted = files.checksum(put(tmp_path, 2))
    put(tmp_path, 2, PLAIN + PLAIN, at=OLD + 1)
    flaw = files.flaw(FilesOf(tmp_path, 2, 3, noted), NOW)
    assert flaw.startswith(f"has other files: they are not those that served (checksum {noted[:12]} then, ")
    assert flaw.endswith("Put the old files back, or release these under a new number")


def test_files_of_which_nobody_knows_the_checksum_are_not_compared(files: Files, tmp_path: Path) -> None:
    put(tmp_path, 2)
    assert files.flaw(FilesOf(tmp_path, 2, 3), NOW) == ""


def test_what_was_read_is_not_read_again(files: Files, tmp_path: Path) -> None:
    folder = put(tmp_path, 2)
    (folder / "variables").mkdir()
    big = folder / "variables" / "big"
    big.write_bytes(b"0" * 100)
    os.utime(big, (OLD, OLD))
    read: list[int] = []
    noted = files.checksum(folder, read.append)
    (folder / "extra").write_bytes(b"1")
    assert files.checksum(folder, read.append) != noted
    assert sorted(read) == [1, len(PLAIN), 100]


def test_what_takes_too_long_to_read_is_refused_until_it_was_read(tmp_path: Path) -> None:
    noted = Files().checksum(put(tmp_path, 2))
    files = Files(read_max=len(PLAIN) - 1)
    flaw = files.flaw(FilesOf(tmp_path, 2, 3, noted), NOW)
    assert flaw.startswith("has files that were not compared yet")
    assert flaw.endswith("They are being read: ask again in a minute")
    files.checksum(tmp_path / "2")
    assert files.flaw(FilesOf(tmp_path, 2, 3, noted), NOW) == ""


@pytest.mark.parametrize(("loaded", "refused"), [(False, True), (True, False)])
def test_only_what_is_loaded_may_be_incomplete_on_disk(
    files: Files, tmp_path: Path, loaded: bool, refused: bool
) -> None:
    put(tmp_path, 2, b"")
    flaw = files.flaw(FilesOf(tmp_path, 2, 3, loaded=loaded), NOW)
    assert bool(flaw) is refused
    if refused:
        text = "is not complete on disk: saved_model.pb is empty. Complete it, or wait until its copy ends"
        assert flaw == text


def test_what_is_still_being_written_is_refused_until_it_rests(files: Files, tmp_path: Path) -> None:
    put(tmp_path, 2, at=NOW - 1)
    flaw = files.flaw(FilesOf(tmp_path, 2, 3), NOW)
    assert flaw.startswith("is not complete on disk: it is still being written")
    assert files.flaw(FilesOf(tmp_path, 2, 3), NOW + 5) == ""


def test_a_signature_that_clients_of_the_suspect_cannot_use_is_refused_with_the_difference(
    files: Files, tmp_path: Path
) -> None:
    put(tmp_path, 2)
    put(tmp_path, 3, model(x=DataType.DT_FLOAT, z=DataType.DT_INT64))
    flaw = files.flaw(FilesOf(tmp_path, 2, 3), NOW)
    assert flaw.startswith("has another signature, not compatible with that of 3: ")
    assert "serving_default: input z (int64[]) was removed" in flaw
    assert flaw.endswith("Change the clients first, or release a version that takes what they send")


def test_a_shape_that_the_suspect_leaves_open_is_no_other_signature(files: Files, tmp_path: Path) -> None:
    put(tmp_path, 2)
    graph = SavedModel.FromString(PLAIN)
    outputs = graph.meta_graphs[0].signature_def["serving_default"].outputs
    outputs["y"].tensor_shape.unknown_rank = True
    put(tmp_path, 3, graph.SerializeToString())
    assert files.flaw(FilesOf(tmp_path, 2, 3), NOW) == ""


@pytest.mark.parametrize("suspect", [b"damaged", None])
def test_a_suspect_that_cannot_be_read_says_nothing_about_signatures(
    files: Files, tmp_path: Path, suspect: bytes | None
) -> None:
    put(tmp_path, 2)
    if suspect is not None:
        put(tmp_path, 3, suspect)
    assert files.flaw(FilesOf(tmp_path, 2, 3), NOW) == ""


def test_a_store_that_cannot_be_seen_has_no_flaws(files: Files, tmp_path: Path) -> None:
    assert files.flaw(FilesOf(tmp_path / "elsewhere", 2, 3, "ff"), NOW) == ""


PROVEN = Candidate(2, soak=60.0, present=True, requests=100.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"quarantined": "by ann: leaks"}, "is quarantined: by ann: leaks"),
        ({"present": None}, "is not loaded and the model store cannot be seen from here"),
        ({"present": False}, "is neither loaded nor complete on disk"),
        ({"flaw": "has other files"}, "has other files"),
        ({"rolled_back": True}, "was rolled back itself"),
        ({"bad": True}, "was bad when it was last seen at work"),
        ({"soak": 9.0}, "served 9 s, proof takes 10 s"),
        ({"requests": 19.0}, "answered 19 requests, proof takes 20"),
        ({"requests": None}, None),
        ({}, None),
    ],
)
def test_each_thing_against_a_version_is_its_own_refusal(change: dict[str, object], why: str | None) -> None:
    candidate = Candidate(**{**PROVEN.__dict__, **change})  # type: ignore[arg-type] # the table holds fields
    choice = choose([candidate], 3, Rules(soak_min=10.0, requests_min=20.0))
    assert choice.refused == (() if why is None else ((2, why),))
    assert choice.target == (2 if why is None else None)


@pytest.mark.parametrize("change", [{"rolled_back": True}, {"bad": True}, {"soak": 0.0}, {"requests": 0.0}])
def test_a_person_may_go_without_proof(change: dict[str, object]) -> None:
    candidate = Candidate(**{**PROVEN.__dict__, **change})  # type: ignore[arg-type] # the table holds fields
    assert choose([candidate], 3, Rules(soak_min=10.0, requests_min=20.0), asked=2).target == 2


@pytest.mark.parametrize("change", [{"quarantined": "by ann"}, {"present": False}, {"flaw": "has other files"}])
def test_a_person_cannot_go_where_more_would_break(change: dict[str, object]) -> None:
    candidate = Candidate(**{**PROVEN.__dict__, **change})  # type: ignore[arg-type] # the table holds fields
    assert choose([candidate], 3, Rules(soak_min=10.0), asked=2).target is None


def refusal(desk: Bench, version: int = 2) -> str:
    """Post the alert about 3; what is said against `version`, "" when it was gone back to."""
    desk.post(alert())
    action = desk.run_until_ended()
    if action.target_version == version:
        return ""
    return dict(_refused(action))[version]


def _refused(action: Action) -> list[tuple[int, str]]:
    (told,) = [each for each in action.evidence if each["what"] == "target"]
    return [(version, why) for version, why in told["refused"]]


def store(desk: Bench) -> Path:
    return desk.around.folder / "store" / "digits"


def test_a_version_whose_files_were_changed_since_it_served_is_not_gone_back_to(desk: Bench) -> None:
    desk.receiver.journal.ledger.observe("main", "digits", frozenset({2}), frozenset({2, 3}), desk.clock.now())
    desk.receiver.file_watch.look_around()
    desk.around.release(2, 3)
    desk.watch(2)
    (store(desk) / "2" / "saved_model.pb").write_bytes(MODEL + MODEL)
    assert refusal(desk).startswith("has other files: they are not those that served")


def test_a_version_whose_files_stayed_is_gone_back_to(desk: Bench) -> None:
    desk.receiver.file_watch.look_around()
    assert refusal(desk) == ""


def test_a_version_that_is_not_loaded_and_not_whole_is_not_gone_back_to(desk: Bench) -> None:
    desk.around.release(3)
    desk.watch(2)
    (store(desk) / "2" / "saved_model.pb").write_bytes(b"\xff")
    assert refusal(desk).startswith("is not complete on disk: saved_model.pb does not parse")


def test_a_version_with_another_signature_is_not_gone_back_to(desk: Bench) -> None:
    put(store(desk), 2, model(x=DataType.DT_FLOAT))
    put(store(desk), 3, model(x=DataType.DT_INT64))
    assert refusal(desk).startswith("has another signature, not compatible with that of 3")


def test_a_version_that_was_bad_when_it_last_worked_is_not_gone_back_to(desk: Bench) -> None:
    ledger = desk.receiver.journal.ledger
    ledger.note([Proof("main", "digits", 2, bad=False)], desk.clock.now() - 20)
    ledger.note([Proof("main", "digits", 2, bad=True)], desk.clock.now() - 5)
    assert refusal(desk) == "was bad when it was last seen at work"


def test_a_version_with_too_few_answers_is_not_gone_back_to(desk: Bench) -> None:
    desk.around.write_policy(requests_min="100")
    desk.receiver.reload()
    desk.receiver.journal.ledger.note([Proof("main", "digits", 2, answered=99)], desk.clock.now())
    assert refusal(desk) == "answered 99 requests, proof takes 100"


def test_files_are_looked_at_only_down_to_the_version_that_is_gone_back_to(desk: Bench) -> None:
    """Version 1 never served, so nothing of it needs to be read."""
    (store(desk) / "1" / "saved_model.pb").write_bytes(b"\xff")
    assert refusal(desk) == ""
    (action,) = desk.actions()
    assert _refused(action) == []


def test_the_store_is_where_models_config_says_or_else_exporters_yml(desk: Bench) -> None:
    group = desk.receiver.settings.servings.group("main")
    assert group is not None
    assert store_of(group, "digits") == store(desk)
    assert store_of(group, "nobody") is None
    alone = group.model_copy(update={"model_config_file": None})
    assert store_of(alone, "digits") is None
    entry = group.models[0].model_copy(update={"base_path": Path("/models/digits")})
    assert store_of(alone.model_copy(update={"models": (entry,)}), "digits") == Path("/models/digits")
