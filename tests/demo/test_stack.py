"""The run folder: the shipped files with local addresses, and nothing of the deployment's left in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from airbag.errors import ConfigError
from airbag.serving.groups import load_servings
from airbag_demo.ports import STANDARD
from airbag_demo.releases import publish
from airbag_demo.shipped import SHIPPED
from airbag_demo.stack import Detection, RemoteServing, Stack
from airbag_demo.story import window
from airbag_exporters.config import load_exporters
from airbag_exporters.host.finding import fits

ROOT = Path(__file__).parents[2]
PORTS = {name: 20001 + index for index, name in enumerate(STANDARD)}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    made = Stack(ROOT, tmp_path / "run", PORTS)
    made.prepare()
    return made


def settings(path: Path) -> str:
    """What a file says, comments left out."""
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in path.read_text().splitlines())


def test_every_shipped_file_is_copied_and_names_only_local_places(stack: Stack) -> None:
    copies = [path for shipped in SHIPPED for path in [stack.file(shipped), *stack.file(shipped).rglob("*")]]
    files = [path for path in copies if path.is_file()]
    assert len(files) >= 12
    services = "|".join(name for name in STANDARD if not name.startswith("tf-serving-"))
    places = re.compile(rf"\b(?:{services}|tf-serving):\d|(?<![\w.-])/(?:models|etc|run|var)/(?!.*{stack.run})")
    for file in files:
        left = [line for line in settings(file).splitlines() if places.search(line) and str(stack.run) not in line]
        assert left == [], file


def test_the_copies_are_a_configuration_that_is_accepted(stack: Stack) -> None:
    stack.check()


def test_the_token_is_private_and_stays_when_the_copies_are_renewed(stack: Stack) -> None:
    before = stack.token_file.read_text()
    assert stack.token_file.stat().st_mode & 0o777 == 0o600
    assert len(before) > 30
    (stack.config / "prometheus" / "rules" / "left-over.yml").write_text("groups: []")
    stack.prepare()
    assert stack.token_file.read_text() == before
    assert not (stack.config / "prometheus" / "rules" / "left-over.yml").exists()


def test_a_server_of_the_users_own_replaces_the_local_one(tmp_path: Path) -> None:
    remote = RemoteServing("tfs.example:8500", "fraud", "tfs.example:8501", Path("/srv/models/models.config"))
    stack = Stack(ROOT, tmp_path, PORTS, remote)
    stack.prepare()
    stack.check()
    [group] = load_servings(stack.file("exporters/exporters.yml")).servings
    assert (group.targets[0].grpc, group.targets[0].rest) == ("tfs.example:8500", "tfs.example:8501")
    assert group.model_config_file == Path("/srv/models/models.config")
    [model] = group.models
    assert (model.name, model.classes, model.expect.accuracy_min) == ("fraud", (), None)
    assert load_exporters(stack.file("exporters/exporters.yml")).host.processes == ()  # it may run anywhere


def test_the_host_exporter_finds_the_local_server_by_its_command_and_no_other_stack_s(
    stack: Stack, tmp_path: Path
) -> None:
    other = Stack(ROOT, tmp_path / "other", PORTS)
    [entry] = load_exporters(stack.file("exporters/exporters.yml")).host.processes
    [ours, theirs] = [next(each for each in one.programs() if each.name == "tf-serving") for one in (stack, other)]
    assert fits(entry, ours.command)
    assert not fits(entry, theirs.command)


def test_a_server_without_its_config_file_is_watched_and_cannot_be_touched(tmp_path: Path) -> None:
    stack = Stack(ROOT, tmp_path, PORTS, RemoteServing("tfs.example:8500", "fraud"))
    stack.prepare()
    [group] = load_servings(stack.file("exporters/exporters.yml")).servings
    assert group.targets[0].rest is None
    assert group.model_config_file is None


@pytest.mark.parametrize(
    ("detection", "asks", "tells"), [("rules", False, False), ("golden", True, False), ("direct", True, True)]
)
def test_a_way_of_detection_has_as_much_of_the_fast_lane_as_it_says(
    tmp_path: Path, detection: Detection, asks: bool, tells: bool
) -> None:
    stack = Stack(ROOT, tmp_path, PORTS, detection=detection)
    stack.prepare()
    stack.check()
    config = load_exporters(stack.file("exporters/exporters.yml"))
    assert (config.servings[0].models[0].golden is not None) is asks
    assert (config.alerts.alertmanager_urls if config.alerts else ()) == ((stack.url("alertmanager"),) if tells else ())


def test_a_profile_sets_the_pace_of_every_file_that_the_stack_runs_with(tmp_path: Path) -> None:
    stack = Stack(ROOT, tmp_path, PORTS, profile="relaxed")
    stack.prepare()
    stack.check()
    assert load_servings(stack.file("exporters/exporters.yml")).rules.profile == "relaxed"
    assert window(stack) == 30
    prometheus = yaml.safe_load(stack.file("prometheus/prometheus.yml").read_text())
    assert (prometheus["global"]["scrape_interval"], prometheus["global"]["evaluation_interval"]) == ("5s", "5s")
    assert prometheus["rule_files"] == [f"{stack.config}/prometheus/rules/*.yml"]
    [group] = yaml.safe_load((stack.file("prometheus/rules") / "serving.yml").read_text())["groups"]
    [alert] = [rule for rule in group["rules"] if rule.get("alert") == "AirbagErrorRatioHigh"]
    assert (group["interval"], alert["for"]) == ("5s", "5s")
    assert "in the last 20 s or 30 s" in alert["annotations"]["description"]


def test_a_profile_for_a_bad_configuration_is_refused_with_every_problem_by_its_shipped_name(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for shipped in SHIPPED:
        (root / shipped).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / shipped).is_dir() else shutil.copy
        copy(ROOT / shipped, root / shipped)
    exporters = root / "exporters/exporters.yml"
    exporters.write_text(exporters.read_text().replace("accuracy_min", "acuracy_min").replace("label_ttl", "lable_ttl"))
    with pytest.raises(ConfigError) as refused:
        Stack(root, tmp_path / "run", PORTS, profile="relaxed").prepare()
    assert "exporters/exporters.yml" in str(refused.value)
    assert "did you mean `accuracy_min`?" in str(refused.value)
    assert "did you mean `label_ttl`?" in str(refused.value)


def test_without_a_profile_the_files_are_the_shipped_ones(stack: Stack) -> None:
    for shipped in (ROOT / "prometheus" / "rules").glob("*.yml"):
        assert (stack.file("prometheus/rules") / shipped.name).read_text() == shipped.read_text()
    assert window(stack) == 15


def test_the_other_profile_and_back_leaves_nothing_of_it(tmp_path: Path) -> None:
    Stack(ROOT, tmp_path, PORTS, profile="relaxed").prepare()
    stack = Stack(ROOT, tmp_path, PORTS, profile="fast")
    stack.prepare()
    texts = [path.read_text() for path in stack.file("prometheus/rules").glob("*.yml")]
    assert not [text for text in texts if "increase30s" in text]
    assert window(stack) == 15


def test_a_release_appears_in_the_store_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "saved_model.pb").write_bytes(b"x")
    publish(source, tmp_path / "store", 3)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["3"]
    with pytest.raises(OSError, match="not empty"):
        publish(source, tmp_path / "store", 3)
    assert (tmp_path / "store" / "3" / "saved_model.pb").read_bytes() == b"x"
