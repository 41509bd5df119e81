"""Who is asked golden requests, when, and what comes of it: against servers that speak TF Serving's protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airbag.config import parse
from airbag.errors import ConfigError
from airbag.serving.model_config import Kind, Policy
from airbag.serving.values import State, VersionStatus
from airbag_exporters.config import ExportersConfig
from airbag_exporters.serving.golden.probing import Probing
from airbag_exporters.serving.own_requests import OwnRequests
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.wanted import FileModel
from tests.exporters.processes import assert_golden, assert_lints, shape
from tests.fakes.clock import SetClock
from tests.fakes.oracle import Oracle, oracle
from tests.fakes.tfs_wire import Status
from tests.fakes.wait import until

GOLDEN = '{"requests": [{"name": "two", "inputs": {"x": 1}, "expect": {"y": {"values": 2}}}]}'
CONFIG = """servings:
  - name: main
    targets: [{{name: a, grpc: "{address}"}}]
    models: [{models}]
"""


@dataclass
class Watched:
    """One server, its probes, and the polls that a test makes up."""

    server: Oracle
    probing: Probing
    own: OwnRequests
    clock: SetClock
    folder: Path
    shown: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def configure(self, *models: str, golden: str = "file: golden.json, timeout: 5s") -> None:
        """Have these models asked."""
        entries = ", ".join(f"{{name: {name}, golden: {{{golden}}}}}" for name in models or ("m",))
        text = CONFIG.format(address=self.server.address, models=entries)
        self.probing.adopt(parse(text, ExportersConfig, source="test", base=self.folder))

    def poll(self, *available: int, model: str = "m", default: int | None = None) -> None:
        """A poll shows these versions of a model AVAILABLE, and the other models as before.

        The highest answers by default unless told otherwise.
        """
        self.shown[model] = available
        self.server.models[model] = dict.fromkeys(available, Status.AVAILABLE)
        versions = {
            name: tuple(VersionStatus(version, State.AVAILABLE) for version in shown)
            for name, shown in self.shown.items()
        }
        defaults = {name: max(shown, default=None) for name, shown in self.shown.items()}
        defaults[model] = default or defaults[model]
        state = TargetState(polled_at=self.clock.now(), versions=versions, defaults=defaults)
        self.probing.listener("main", "a", self.own)(state)

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of one family by the values of their labels after serving and target."""
        page = self.probing.page().decode()
        found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
        return {tuple(s.labels.values())[2:]: s.value for s in found if s.name == f"airbag_tfs_probe_{name}"}

    def success(self) -> dict[int, float]:
        """By version whether the request `two` is answered right."""
        return {int(labels[1]): value for labels, value in self.samples("success").items()}

    def outcomes(self, model: str = "m") -> dict[str, float]:
        return {labels[1]: value for labels, value in self.samples("requests_total").items() if labels[0] == model}

    def settled(self, total: int, *available: int, default: int | None = None) -> None:
        """Poll as the exporter does, with the clock standing, until so many requests have been judged."""

        def polled() -> bool:
            self.poll(*available, default=default)
            return sum(self.outcomes().values()) == total

        until(polled, timeout=20, what=f"{total} results")


def askers() -> list[str]:
    """The threads that ask."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("probe main/a")]


@contextmanager
def watching(folder: Path, files: Mapping[str, FileModel] | None = None) -> Iterator[Watched]:
    clock = SetClock()
    with oracle() as server:
        probing = Probing(clock, lambda _serving: files or {})
        (folder / "golden.json").write_text(GOLDEN)
        server.answers = {1: [2.0], 2: [2.0], 3: [2.0]}
        try:
            yield Watched(server, probing, OwnRequests(), clock, folder)
        finally:
            probing.stop()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with watching(tmp_path) as found:
        found.configure()
        yield found


def test_a_version_is_asked_as_soon_as_it_is_available_and_its_series_end_with_it(watched: Watched) -> None:
    watched.poll()
    assert watched.success() == {}
    watched.settled(1, 1)
    assert watched.success() == {1: 1}
    watched.server.answers[2] = [3.0]
    watched.settled(2, 1, 2)
    assert watched.success() == {1: 1, 2: 0}
    assert watched.server.predictions(2) == 2
    watched.poll(1)
    assert watched.success() == {1: 1}


def test_every_request_names_the_version_and_only_the_outputs_that_are_looked_at(watched: Watched) -> None:
    watched.settled(2, 1, 2, default=1)
    found = [(each.model_spec.version.value, list(each.output_filter)) for each in watched.server.requests]
    assert sorted(found) == [(1, ["y"]), (2, ["y"])]
    assert watched.own.take() == {"m": {1, 2}}


def test_a_version_is_asked_again_when_its_time_has_come_and_not_before(watched: Watched) -> None:
    watched.settled(2, 1, 2)
    for seconds, total in ((4.9, 2), (0.2, 3), (60.0, 5), (30.0, 5), (31.0, 7)):
        watched.clock.sleep(seconds)
        watched.settled(total, 1, 2)
    assert (watched.server.predictions(1), watched.server.predictions(2)) == (3, 4)


def test_a_version_is_asked_anew_when_it_takes_over(watched: Watched) -> None:
    watched.settled(2, 1, 2)
    watched.clock.sleep(2)
    watched.settled(3, 1, 2, default=1)
    assert watched.server.predictions(1) == 2


def test_only_what_is_wrong_twice_in_a_row_is_wrong(watched: Watched) -> None:
    watched.server.answers[1] = [9.0, 2.0]
    watched.settled(1, 1)
    assert watched.success() == {1: 1}
    assert watched.server.predictions(1) == 2


@pytest.mark.parametrize(
    ("code", "success"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, {1: 0}),
        (grpc.StatusCode.INTERNAL, {1: 0}),
        (grpc.StatusCode.FAILED_PRECONDITION, {1: 0}),
        (grpc.StatusCode.NOT_FOUND, {1: 0}),
        (grpc.StatusCode.UNAVAILABLE, {}),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, {}),
        (grpc.StatusCode.PERMISSION_DENIED, {}),
        (grpc.StatusCode.DEADLINE_EXCEEDED, {}),
    ],
)
def test_an_error_of_the_model_is_a_failure_and_one_of_the_server_says_nothing(
    watched: Watched, code: grpc.StatusCode, success: dict[int, float]
) -> None:
    watched.server.answers[1] = [code]
    watched.settled(1, 1)
    assert watched.success() == success
    assert watched.outcomes() == {"right": 0, "wrong": len(success), "unanswered": 1 - len(success)}


def test_a_version_that_left_between_poll_and_request_has_not_failed(watched: Watched) -> None:
    watched.settled(1, 1)
    watched.clock.sleep(60)
    state = TargetState(versions={"m": (VersionStatus(1, State.AVAILABLE),)}, defaults={"m": 1})
    watched.server.models["m"] = {1: Status.END}
    watched.probing.listener("main", "a", watched.own)(state)
    until(lambda: watched.outcomes()["unanswered"] == 1, what="the refusal")
    assert watched.success() == {1: 1}


def test_the_third_deadline_in_a_row_is_a_failure(watched: Watched) -> None:
    watched.server.answers[1] = [grpc.StatusCode.DEADLINE_EXCEEDED]
    for asked, success in ((1, {}), (2, {}), (3, {1: 0.0})):
        watched.settled(asked, 1)
        assert watched.success() == success
        watched.clock.sleep(5)


def test_inputs_that_the_version_does_not_take_are_a_failure(watched: Watched) -> None:
    (watched.folder / "golden.json").write_text(GOLDEN.replace('"x"', '"z"'))
    watched.configure()
    watched.settled(1, 1)
    assert watched.success() == {1: 0}
    assert watched.server.predictions(1) == 0


def test_a_version_that_hangs_keeps_no_other_model_waiting_and_is_asked_once_at_a_time(watched: Watched) -> None:
    watched.configure("m", "n", golden="file: golden.json, timeout: 2s, interval: 1s")
    watched.server.late, watched.server.answers[7] = {7}, [2.0]
    watched.server.hold.clear()
    watched.poll(7, model="n")
    until(lambda: watched.server.predictions(7) == 1, what="the request that hangs")
    for results in (1, 2, 3):
        watched.settled(results, 1)
        watched.clock.sleep(30)
    assert watched.success() == {1: 1}
    assert watched.server.predictions(7) == 1
    watched.server.hold.set()


def test_what_a_version_says_after_it_left_does_not_count(watched: Watched) -> None:
    watched.server.late = {1}
    watched.server.hold.clear()
    watched.poll(1)
    until(lambda: watched.server.predictions(1) == 1, what="the request that hangs")
    watched.poll()
    watched.server.hold.set()
    watched.settled(1, 2)
    assert watched.success() == {2: 1}


def test_after_a_request_without_an_answer_the_others_wait_for_the_next_turn(watched: Watched) -> None:
    (watched.folder / "golden.json").write_text(
        GOLDEN.replace("]", ', {"name": "three", "inputs": {"x": 1}, "expect": {"y": {"values": 2}}}]')
    )
    watched.configure()
    watched.server.answers[1] = [grpc.StatusCode.UNAVAILABLE, 2.0]
    watched.settled(1, 1)
    watched.clock.sleep(5)
    watched.settled(3, 1)
    assert watched.outcomes() == {"right": 2, "wrong": 0, "unanswered": 1}


def test_many_models_are_asked_by_few_threads(watched: Watched) -> None:
    names = [f"m{number}" for number in range(30)]
    watched.configure(*names)
    version = VersionStatus(1, State.AVAILABLE)
    watched.server.models = {name: {1: Status.AVAILABLE} for name in names}
    state = TargetState(versions=dict.fromkeys(names, (version,)), defaults=dict.fromkeys(names, 1))
    watched.probing.listener("main", "a", watched.own)(state)
    until(lambda: len(watched.samples("success")) == 30, timeout=30, what="30 results")
    assert 1 <= len(askers()) <= 4


def test_stopping_gives_up_what_hangs(tmp_path: Path) -> None:
    with watching(tmp_path) as watched:
        watched.configure(golden="file: golden.json, timeout: 60s")
        watched.server.late = {1}
        watched.server.hold.clear()
        watched.poll(1)
        until(lambda: watched.server.predictions(1) == 1, what="the request that hangs")
        watched.probing.stop()
        until(lambda: not askers(), timeout=5, what="the end of every thread")
        watched.server.hold.set()


def beside(folder: Path, version: int, golden: str) -> dict[str, FileModel]:
    """A model store in which that version brings its own requests, and what models.config says of it."""
    extra = folder / "store" / str(version) / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "airbag_golden.json").write_text(golden)
    return {"m": FileModel(Policy(Kind.SPECIFIC, versions=(1, 2)), str(folder / "store"), ())}


def test_a_version_that_brings_its_own_requests_is_asked_those(tmp_path: Path) -> None:
    with watching(tmp_path, beside(tmp_path, 2, GOLDEN.replace('"values": 2', '"values": 5'))) as watched:
        watched.configure()
        watched.server.answers[2] = [5.0]
        watched.settled(2, 1, 2)
        assert watched.success() == {1: 1, 2: 1}


def test_without_a_configured_file_only_versions_that_bring_requests_are_asked(tmp_path: Path) -> None:
    with watching(tmp_path, beside(tmp_path, 2, GOLDEN)) as watched:
        watched.configure(golden="interval: 30s")
        watched.settled(1, 1, 2)
        assert watched.success() == {2: 1}


def test_requests_beside_a_version_that_cannot_be_read_leave_the_configured_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(tmp_path, beside(tmp_path, 2, "{")) as watched:
        watched.configure()
        watched.settled(1, 2)
        assert watched.success() == {2: 1}
    [record] = [each for each in caplog.records if "beside a version" in each.getMessage()]
    assert "is not JSON" in str(record.__dict__["reason"])


def test_a_failure_and_its_end_are_logged_once_with_what_is_wrong(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watched.server.answers[1] = [3.0]
    for asked in (1, 2):
        watched.settled(asked, 1)
        watched.clock.sleep(5)
    watched.server.answers[1] = [2.0]
    watched.settled(3, 1)
    told = [each for each in caplog.records if "golden request" in each.getMessage()]
    assert [each.getMessage() for each in told] == [
        "a golden request fails", "a golden request is answered right again",
    ]  # fmt: skip
    assert told[0].__dict__["reason"] == "output 'y' is 3, expected 2 within 0.00201"
    assert (told[0].__dict__["model_version"], told[0].__dict__["probe"]) == (1, "two")


def test_a_reload_keeps_what_is_known_unless_the_requests_changed(watched: Watched) -> None:
    watched.settled(1, 1)
    watched.configure()
    assert watched.success() == {1: 1}
    (watched.folder / "golden.json").write_text(GOLDEN.replace('"values": 2', '"values": 3'))
    watched.configure()
    assert watched.success() == {}
    watched.settled(2, 1)
    assert watched.success() == {1: 0}


def test_a_reload_with_a_broken_file_changes_nothing(watched: Watched) -> None:
    watched.settled(1, 1)
    (watched.folder / "golden.json").write_text("{")
    with pytest.raises(ConfigError):
        watched.configure()
    assert watched.success() == {1: 1}


def test_the_page_is_what_the_rules_ask_for_and_lints(tmp_path: Path) -> None:
    with watching(tmp_path) as watched:
        text = CONFIG.format(address=watched.server.address, models="{name: digits, golden: {file: golden.json}}")
        text += 'alerts: {alertmanager_urls: ["http://127.0.0.1:9"]}\n'
        watched.probing.adopt(parse(text, ExportersConfig, source="test", base=tmp_path))
        watched.poll(3, model="digits")
        until(lambda: watched.samples("success"), what="the result")
        page = watched.probing.page().decode()
        assert_lints(page)
        assert_golden("probes.prom", shape(page))
