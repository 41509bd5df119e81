"""What the scrape page says about the model store."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from airbag.clock import SystemClock
from airbag.errors import Unreachable
from airbag.repository import checksum
from airbag.serving.groups import ModelEntry, Retention, ServingGroup, Target
from airbag.serving.proto.tfs_pb2 import SignatureDefMap
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.repository import RepositoryWatch, Seen
from airbag_exporters.serving.repository.hashing import Hasher, Job
from airbag_exporters.serving.repository.watch import LOOKS_MAX
from airbag_exporters.serving.target_state import TargetState
from tests.exporters.processes import assert_golden, assert_lints, shape
from tests.fakes import saved_models
from tests.fakes.clock import SetClock
from tests.fakes.wait import until

OLD = 1_700_000_000.0
CARD = """\
trained_at: 2024-05-01T08:30:00Z
metrics: {accuracy: 0.97}
owner: team "vision"
change: https://ci.example/17
code_revision: 4f2c1e9
data_revision: "2024-04-30"
"""


def age(folder: Path) -> None:
    for each in [folder, *folder.rglob("*")]:
        os.utime(each, (OLD, OLD))


@dataclass
class Store:
    """A model store with one models.config, a poll that knows what serves, and the watch over it."""

    folder: Path
    clock: SetClock
    state: TargetState = field(default_factory=TargetState)
    asked: list[tuple[str, int]] = field(default_factory=list)
    silent: bool = False
    keep: Retention = field(default_factory=lambda: Retention(keep_last=2))
    policy: str = "specific { versions: 3 }"
    watch: RepositoryWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = RepositoryWatch(lambda: [self.seen()], self.clock, self.ask)
        self.write_config()

    @property
    def base(self) -> Path:
        return self.folder / "digits"

    def write_config(self, base: str | None = None) -> None:
        (self.folder / "models.config").write_text(
            f'model_config_list {{ config {{ name: "digits" base_path: "{base or self.base}" '
            f"model_version_policy {{ {self.policy} }} }} }}"
        )

    def seen(self) -> Seen:
        group = ServingGroup(
            name="main", targets=(Target(name="a", grpc="h:1"),), models=(ModelEntry(name="digits"),),
            model_config_file=self.folder / "models.config", retention=self.keep,
        )  # fmt: skip
        return Seen(group, {"a": self.state})

    def serves(self, default: int | None, *loaded: int) -> None:
        statuses = tuple(VersionStatus(version, State.AVAILABLE) for version in loaded)
        self.state = TargetState(1.0, versions={"digits": statuses}, defaults={"digits": default})

    def ask(self, group: ServingGroup, target: Target, model: str, version: int) -> SignatureDefMap:
        self.asked.append((model, version))
        if self.silent:
            raise Unreachable("no answer")
        from airbag.serving.proto.tfs_pb2 import SavedModel

        file = self.base / str(version) / "saved_model.pb"
        return SignatureDefMap(signature_def=SavedModel.FromString(file.read_bytes()).meta_graphs[0].signature_def)

    def values(self, name: str) -> dict[str, float]:
        """The samples of a family, by version or else by model."""
        families = text_string_to_metric_families(self.watch.page().decode())
        found = [sample for family in families for sample in family.samples if sample.name == f"airbag_repo_{name}"]
        return {each.labels.get("model_version", each.labels["model_name"]): each.value for each in found}

    def info(self, version: int) -> Mapping[str, str]:
        families = text_string_to_metric_families(self.watch.page().decode())
        [found] = [
            sample.labels for family in families for sample in family.samples
            if sample.name == "airbag_repo_version_info" and sample.labels["model_version"] == str(version)
        ]  # fmt: skip
        return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Versions 1 to 3 of a model, of which 3 serves, and a broken 4."""
    base = tmp_path / "digits"
    for version in (1, 2, 3):
        saved_models.add_model(base, version)
    saved_models.without_graph(base, 4)
    (base / "3" / "airbag.yaml").write_text(CARD)
    age(base)
    clock = SetClock()
    clock.time = OLD + 10 * 86400
    made = Store(tmp_path, clock)
    made.serves(3, 3)
    return made


@pytest.fixture
def hashed(store: Store) -> Iterator[Store]:
    """With the checksums of all three."""
    store.watch.start()
    yield store
    store.watch.stop()


def until_hashed(store: Store, *versions: int) -> None:
    def known() -> bool:
        store.watch.scan()
        return all("sha256" in store.info(version) and store.info(version)["sha256"] for version in versions)

    until(known, timeout=60, what="the checksums")


def test_every_version_has_its_facts(hashed: Store) -> None:
    until_hashed(hashed, 1, 2, 3)
    info = hashed.info(3)
    assert info["sha256"] == checksum(hashed.base / "3", {})
    assert (info["owner"], info["code_revision"], info["data_revision"]) == ('team "vision"', "4f2c1e9", "2024-04-30")
    assert hashed.info(1)["signature"] == info["signature"]
    assert hashed.info(1)["owner"] == ""
    assert hashed.values("version_complete") == {"1": 1, "2": 1, "3": 1, "4": 0}
    assert hashed.values("version_created_timestamp_seconds") == {"1": OLD, "2": OLD, "3": OLD}
    assert hashed.values("version_trained_timestamp_seconds") == {"3": 1714552200.0}
    assert hashed.values("version_metric") == {"3": 0.97}
    assert hashed.values("version_card_problems") == {"3": 0}
    sizes = hashed.values("version_size_bytes")
    assert hashed.values("size_bytes") == {"digits": sum(sizes.values())}
    assert hashed.values("filesystem_free_bytes")["digits"] < hashed.values("filesystem_size_bytes")["digits"]
    assert hashed.values("scan_success") == {"digits": 1}


def test_the_page_is_the_golden_one_and_promtool_finds_nothing(hashed: Store) -> None:
    until_hashed(hashed, 1, 2, 3)
    page = hashed.watch.page().decode()
    assert_lints(page)
    assert_golden("serving_repository.prom", re.sub(r'"[0-9a-f]{64}"', '"HEX"', shape(page)))


def test_retention_shows_what_would_go(store: Store) -> None:
    store.watch.scan()
    assert store.values("version_would_be_pruned") == {"1": 1, "2": 0, "3": 0, "4": 0}
    store.serves(3, 3, 1)
    store.watch.scan()
    assert store.values("version_would_be_pruned")["1"] == 0


def test_a_version_that_a_label_stands_for_would_stay(store: Store) -> None:
    store.state = replace(store.state, labels={("digits", "old"): 1, ("digits", "none"): None, ("other", "new"): 2})
    store.watch.scan()
    assert store.values("version_would_be_pruned") == {"1": 0, "2": 0, "3": 0, "4": 0}


def test_a_group_whose_models_config_cannot_be_read_might_need_any_folder(store: Store) -> None:
    lost = replace(store.seen(), group=store.seen().group.model_copy(
        update={"name": "second", "model_config_file": store.folder / "none.config"}
    ))  # fmt: skip
    watch = RepositoryWatch(lambda: [store.seen(), lost], store.clock, store.ask)
    watch.scan()
    page = watch.page().decode()
    assert 'airbag_repo_scan_success{serving="second",model_name="digits"} 0' in page
    assert "airbag_repo_version_complete{" in page
    assert "airbag_repo_version_would_be_pruned{" not in page


def test_while_it_is_not_known_what_serves_nothing_is_said_about_pruning(store: Store) -> None:
    store.state = TargetState()
    store.watch.scan()
    assert store.values("version_would_be_pruned") == {}
    assert store.values("version_complete") != {}
    store.serves(None)
    store.watch.scan()
    assert store.values("version_would_be_pruned") == {}


def test_a_model_of_another_name_in_the_same_folder_counts_too(store: Store) -> None:
    file = store.folder / "models.config"
    (store.folder / "link").symlink_to("digits")
    policy = "model_version_policy { specific { versions: 1 } }"
    canary = f'config {{ name: "canary" base_path: "{store.folder}/link" {policy} }}'
    file.write_text(f"{file.read_text()[:-1]} {canary} }}")
    store.watch.scan()
    assert store.values("version_would_be_pruned") == {}  # nobody polls the canary
    store.state = TargetState(
        1.0, versions={**store.state.versions, "canary": ()}, defaults={**store.state.defaults, "canary": 1}
    )
    store.watch.scan()
    assert store.values("version_would_be_pruned")["1"] == 0


def test_signatures_are_compared_with_the_serving_version_and_asked_for_once(store: Store) -> None:
    saved_models.two_inputs(store.base, 5)
    age(store.base)
    for _ in range(3):
        store.watch.scan()
    assert store.asked == [("digits", 3)]
    assert store.values("version_signature_matches_serving") == {"1": 1, "2": 1, "3": 1, "5": 0}
    assert store.values("version_signature_compatible") == {"1": 1, "2": 1, "3": 1, "5": 0}
    store.serves(5, 5)
    store.watch.scan()
    assert store.asked == [("digits", 3), ("digits", 5)]
    assert store.values("version_signature_matches_serving") == {"1": 0, "2": 0, "3": 0, "5": 1}


def test_a_server_that_does_not_answer_is_asked_again_a_minute_later(store: Store) -> None:
    store.silent = True
    for _ in range(3):
        store.watch.scan()
    assert len(store.asked) == 1
    assert store.values("version_signature_compatible") == {}
    store.silent, store.clock.time = False, store.clock.time + 61
    store.watch.scan()
    assert store.values("version_signature_compatible") != {}


def test_series_of_a_version_end_when_it_leaves_the_disk(store: Store) -> None:
    store.watch.scan()
    shutil.rmtree(store.base / "1")
    store.watch.scan()
    assert 'model_version="1"' not in store.watch.page().decode()


def test_what_arrives_is_incomplete_until_it_rested(store: Store) -> None:
    store.watch.scan()
    saved_models.add_model(store.base, 6)
    age(store.base)
    (store.base / "6" / "assets").joinpath("late").write_text("x")
    for path in ("assets", "assets/late"):
        os.utime(store.base / "6" / path, (store.clock.time, store.clock.time))
    store.watch.scan()
    assert store.values("version_complete")["6"] == 0
    store.clock.time += 10
    store.watch.scan()
    assert store.values("version_complete")["6"] == 1


def test_a_base_path_that_cannot_be_seen_says_so_once_and_nothing_else(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.write_config("/not/here")
    store.watch.scan()
    store.watch.scan()
    samples = [line for line in store.watch.page().decode().splitlines() if not line.startswith("#")]
    assert samples == ['airbag_repo_scan_success{serving="main",model_name="digits"} 0']
    [record] = caplog.records
    assert "/not/here cannot be read: No such file or directory" in record.__dict__["reason"]
    assert "mount the model store at the same path" in record.__dict__["remedy"]
    store.write_config()
    store.watch.scan()
    assert store.values("scan_success") == {"digits": 1}
    assert caplog.messages[-1] == "the model store can be watched again"


def test_a_models_config_that_cannot_be_read_ends_the_series_of_its_models(store: Store) -> None:
    store.watch.scan()
    (store.folder / "models.config").write_text("no such thing")
    store.watch.scan()
    assert store.values("scan_success") == {"digits": 0}
    assert store.values("version_complete") == {}


def test_a_page_is_only_written_anew_for_what_changed(store: Store) -> None:
    store.watch.scan()
    first = store.watch.page()
    assert store.watch.page() is first
    store.watch.scan()
    assert store.watch.page() is not first


def test_thousands_of_versions_are_looked_at_in_turns(store: Store) -> None:
    for version in range(1000, 1000 + LOOKS_MAX + 100):
        (store.base / str(version)).mkdir()
    age(store.base)
    store.watch.scan()
    for version in range(1000, 1000 + LOOKS_MAX + 100):
        (store.base / str(version) / "saved_model.pb").write_text("x")
    age(store.base)

    def looked() -> int:
        facts = store.watch._facts[str(store.base)]
        return sum(each.files > 0 for each in facts.values() if each.version >= 1000)

    store.watch.scan()
    assert looked() <= LOOKS_MAX
    store.watch.scan()
    assert looked() == LOOKS_MAX + 100
    assert store.values("versions") == {"digits": 604}
    assert len(store.values("version_complete")) == 200


def test_the_threads_end_in_the_middle_of_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    with (tmp_path / "1" / "data").open("wb") as file:
        file.truncate(64 << 20)
    hasher = Hasher(SystemClock(), rate=1 << 20)  # a minute
    hasher.start()
    hasher.want([Job(tmp_path / "1", "stamp")])
    until(lambda: hasher._files, what="the hashing to begin")
    started = time.monotonic()
    hasher.stop()
    assert time.monotonic() - started < 5
    assert "repository hash" not in {thread.name for thread in threading.enumerate()}
    assert hasher.get(Job(tmp_path / "1", "stamp")) is None


def test_hashing_keeps_to_its_rate(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "data").write_bytes(bytes(4 << 20))
    hasher, job = Hasher(SystemClock(), rate=8 << 20), Job(tmp_path / "1", "stamp")
    started = time.monotonic()
    hasher.start()
    hasher.want([job])
    try:
        until(lambda: hasher.get(job), what="the checksum")
        assert time.monotonic() - started >= 0.5
    finally:
        hasher.stop()


def test_a_version_that_cannot_be_hashed_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text(name)
    (tmp_path / "1" / "lost").symlink_to("nowhere")
    jobs = [Job(tmp_path / name, "stamp") for name in ("1", "2")]
    hasher = Hasher(SystemClock())
    hasher.start()
    hasher.want(jobs)
    try:
        assert until(lambda: hasher.get(jobs[1]), what="the other") == checksum(tmp_path / "2", {})
        assert hasher.get(jobs[0]) is None
    finally:
        hasher.stop()
