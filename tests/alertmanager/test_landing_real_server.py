"""Landings against the local model server, which loads real SavedModels and keeps TensorFlow Serving's rules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from airbag.errors import Refused
from airbag.serving import control
from airbag.serving.groups import ModelEntry, ServingGroup, Target
from airbag.serving.proto import tfs_pb2
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint
from airbag_rollback.actions.landing import Found, Landing, Order, Planned, Result
from airbag_rollback.actions.quarantine_directory import QuarantineDirectory
from airbag_rollback.actions.serving_label import ServingLabel
from airbag_rollback.actions.serving_version import ServingVersion
from airbag_rollback.look import Lookout
from tests.fakes import model_server, saved_models
from tests.fakes.model_server import ModelServer
from tests.fakes.wait import until

PATIENCE = 60.0


@dataclass
class Real:
    """A running server, its file and its store. Every test brings a model of its own."""

    folder: Path
    server: ModelServer
    reader: Reader
    lookout: Lookout

    @property
    def file(self) -> Path:
        return self.folder / "models.config"

    def group(self, model: str, *, by_label: bool = False, base_path: Path | None = None) -> ServingGroup:
        entry = ModelEntry(name=model, routing="labels" if by_label else "default", base_path=base_path)
        target = Target(name="one", grpc=self.server.grpc_address)
        file = None if base_path else self.file
        return ServingGroup(name="main", targets=(target,), models=(entry,), model_config_file=file)

    def add(
        self, model: str, *wanted: int, labels: dict[str, int] | None = None, on_disk: tuple[int, ...] = (2, 3)
    ) -> None:
        """Good versions on disk, the entry in the file, and the server told twice: labels need what is loaded."""
        for version in on_disk:
            saved_models.add_model(self.folder / model, version, scale=float(version))
        self.entry(model, *wanted)
        if labels:
            self.file.write_text(self.file.read_text().replace(f"# labels of {model}", _labels(labels)))
            control.reload(self.reader.endpoint, self.file.read_text(), timeout=PATIENCE)

    def entry(self, model: str, *wanted: int) -> None:
        policy = " ".join(f"versions: {version}" for version in wanted)
        entry = (
            f'  config {{ name: "{model}" base_path: "{self.folder}/{model}" model_platform: "tensorflow"\n'
            f"    model_version_policy {{ specific {{ {policy} }} }}\n    # labels of {model}\n  }}\n}}\n"
        )
        self.file.write_text(self.file.read_text().removesuffix("}\n") + entry)
        control.reload(self.reader.endpoint, self.file.read_text(), timeout=PATIENCE)
        self.wait(lambda: set(wanted) <= self.available(model), f"{model} {wanted}")

    def available(self, model: str) -> set[int]:
        return {each.version for each in self.reader.versions(model) if each.state.name == "AVAILABLE"}

    def order(self, group: ServingGroup, bad: int = 3, target: int = 2) -> Order:
        model = group.models[0].name
        view = self.lookout.look(group, model)
        return Order(1, f"main/{model}", "main", model, bad, target, "Test", 0, view.serves, view.wanted)

    def wait(self, look: Callable[[], bool], what: str) -> None:
        until(look, timeout=PATIENCE, what=what)

    def go(self, landing: Landing, order: Order) -> list[str]:
        """Plan and do every step; what reality showed after each."""
        plan = landing.plan(order)
        assert isinstance(plan, Planned), plan
        order, seen = replace(order, plan=plan.document), []
        for step in range(plan.steps):
            now = replace(order, step=step)
            assert landing.apply(now).result is Result.DONE
            self.wait(lambda now=now: landing.look(now).found is Found.DONE, f"step {step}")  # type: ignore[misc]
            seen.append(landing.look(now).text)
        return seen


def _labels(labels: dict[str, int]) -> str:
    return " ".join(f'version_labels {{ key: "{label}" value: {version} }}' for label, version in labels.items())


@contextmanager
def started(folder: Path, *flags: str, base_path: Path | None = None) -> Iterator[Real]:
    file = folder / "models.config"
    file.write_text("model_config_list {\n}\n")
    place = {"base_path": base_path, "model_name": "m"} if base_path else {"config_file": file}
    with model_server.running(*flags, **place) as server, Reader(Endpoint(server.grpc_address)) as reader:  # type: ignore[arg-type]
        lookout = Lookout()
        try:
            yield Real(folder, server, reader, lookout)
        finally:
            lookout.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """One server for the file; without the flag that forgives stale labels."""
    with started(tmp_path_factory.mktemp("real"), "--max_num_load_retries=0") as found:
        yield found


class Asking(threading.Thread):
    """Asks a model without a pause, by default and by a label, and keeps what went wrong and who answered."""

    def __init__(self, real: Real, model: str, label: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.answered: set[tuple[str, int]] = set()
        self._reader, self._model, self._label = real.reader, model, label
        self._ending = threading.Event()

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()

    def run(self) -> None:
        tensor = tfs_pb2.TensorProto(
            dtype=tfs_pb2.DT_FLOAT, float_val=[1.0],
            tensor_shape=tfs_pb2.TensorShapeProto(dim=[tfs_pb2.TensorShapeProto.Dim(size=1)]),
        )  # fmt: skip
        while not self._ending.is_set():
            for label in ("", self._label):
                spec = tfs_pb2.ModelSpec(name=self._model, **({"version_label": label} if label else {}))
                try:
                    answer = self._reader.ask(tfs_pb2.PredictRequest(model_spec=spec, inputs={"x": tensor}), PATIENCE)
                except Refused as error:
                    self.wrong.append(str(error))
                else:
                    self.answered.add((label, answer.model_spec.version.value))


def test_a_target_that_is_not_loaded_is_gone_back_to_without_losing_a_request(real: Real) -> None:
    real.add("cold", 3, labels={"stable": 3})
    group = real.group("cold")
    with Asking(real, "cold", "stable") as clients:
        seen = real.go(ServingVersion(real.lookout, group), real.order(group))
    assert seen == ["2 is loaded beside 3", "2 serves alone and answers for stable"]
    assert clients.wrong == []
    assert {("", 3), ("stable", 3)} <= clients.answered
    assert real.reader.label_version("cold", "stable") == real.reader.default_version("cold") == 2
    assert real.available("cold") == {2}


def test_a_label_moves_while_both_versions_stay_loaded(real: Real) -> None:
    real.add("labelled", 2, 3, labels={"stable": 3})
    group = real.group("labelled", by_label=True)
    with Asking(real, "labelled", "stable") as clients:
        real.go(ServingLabel(real.lookout, group, None), real.order(group))
    assert clients.wrong == []
    assert real.reader.label_version("labelled", "stable") == 2
    assert real.available("labelled") == {2, 3}


def test_a_stale_label_of_another_model_is_named_and_once_it_is_out_the_switch_goes_on(real: Real) -> None:
    real.add("stale", 2, 3, labels={"canary": 2})
    real.add("blocked", 2, 3)
    text = real.file.read_text()
    stale = 'version_labels { key: "canary" value: 2 }'
    unloaded = text.replace(f"versions: 2 versions: 3 }} }}\n    {stale}", f"versions: 3 }} }}\n    {stale}")
    real.file.write_text(unloaded)
    control.reload(real.reader.endpoint, unloaded, timeout=PATIENCE)
    real.wait(lambda: real.available("stale") == {3}, "the version behind the label to go")
    group = real.group("blocked")
    landing = ServingVersion(real.lookout, group)
    order = real.order(group)
    plan = landing.plan(order)
    assert isinstance(plan, Planned)
    order = replace(order, plan=plan.document)
    effect = landing.apply(order)
    assert effect.result is Result.UNCLEAR
    assert "label canary of stale names 2, which is not loaded" in effect.text
    assert landing.look(order).found is Found.PARTLY
    real.file.write_text(real.file.read_text().replace(stale, ""))
    assert landing.apply(order).result is Result.DONE
    real.wait(lambda: landing.look(order).found is Found.DONE, "the switch")


def test_a_target_that_does_not_load_leaves_the_bad_version_and_says_why(real: Real) -> None:
    saved_models.truncated(real.folder / "broken", 2)
    real.add("broken", 3, on_disk=(3,))
    group = real.group("broken")
    landing = ServingVersion(real.lookout, group)
    order = real.order(group)
    plan = landing.plan(order)
    assert isinstance(plan, Planned)
    order = replace(order, plan=plan.document)
    assert landing.apply(order).result is Result.DONE
    real.wait(lambda: "2 failed: OUT_OF_RANGE" in landing.look(order).text, "the failure to be told")
    assert landing.look(order).found is Found.PARTLY
    assert real.reader.default_version("broken") == 3


def test_a_reload_that_waits_for_a_folder_is_called_blocked_and_goes_on_when_it_is_free(tmp_path: Path) -> None:
    with started(tmp_path) as real:
        real.add("m", 2, 3)
        group = real.group("m")
        landing = ServingVersion(real.lookout, group)
        ghost = f'  config {{ name: "ghost" base_path: "{tmp_path}/ghost" model_platform: "tensorflow" }}\n}}\n'
        real.file.write_text(real.file.read_text().removesuffix("}\n") + ghost)
        order = real.order(group)
        plan = landing.plan(order)
        assert isinstance(plan, Planned)
        order = replace(order, plan=plan.document)
        effect = landing.apply(order)
        assert effect.result is Result.UNCLEAR
        assert "one: the reload is blocked" in effect.text
        saved_models.add_model(tmp_path / "ghost", 1)
        real.wait(lambda: landing.look(order).found is Found.DONE, "the blocked reload to be applied")


def test_a_server_without_a_config_file_follows_a_rename(tmp_path: Path) -> None:
    base = tmp_path / "m"
    for version in (2, 3):
        saved_models.add_model(base, version, scale=float(version))
    with started(tmp_path, base_path=base) as real:
        real.wait(lambda: real.reader.default_version("m") == 3, "version 3 to serve")
        group = real.group("m", base_path=base)
        seen = real.go(QuarantineDirectory(real.lookout, group), real.order(group))
        assert (seen, real.available("m")) == (["2 serves"], {2})
        (hidden,) = [each for each in base.iterdir() if each.name.startswith(".airbag-quarantined-3-")]
        assert (hidden / "saved_model.pb").is_file()
