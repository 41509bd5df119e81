"""`airbag repo` as a person uses it: models on disk, servers that speak the protocol, a receiver's journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airbag.config import load
from airbag.repository import checksum
from airbag.serving.groups import load_servings
from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.look import Lookout
from airbag_rollback.policy import Policy
from airbag_rollback.prune import prune
from airbag_rollback.store import Store, Survey
from tests.fakes import saved_models
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Surroundings, bench
from tests.fakes.serving_state import stateful_serving
from tests.fakes.tfs_wire import Status

OLD = 1_700_000_000.0


def airbag(around: Surroundings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airbag", "repo", *arguments, "--config.file", str(around.policy_file)],
        capture_output=True, text=True, timeout=60, check=False, env={"COLUMNS": "250", "PATH": ""},
    )  # fmt: skip


def told(around: Surroundings, *arguments: str) -> Any:  # JSON
    done = airbag(around, *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def plan(around: Surroundings, *arguments: str) -> Any:  # JSON
    [found] = told(around, "prune", "digits", *arguments)
    return found


def going(found: Any) -> list[int]:
    return [each["version"] for each in found["versions"] if each["goes"]]


def why(found: Any, version: int) -> str:
    [each] = [each for each in found["versions"] if each["version"] == version]
    return "; ".join(each["reasons"])


def age(folder: Path) -> None:
    for each in [folder, *folder.rglob("*")]:
        if not each.is_symlink():
            os.utime(each, (OLD, OLD))


def on_disk(around: Surroundings) -> list[str]:
    return sorted(path.name for path in (around.folder / "store" / "digits").iterdir())


@pytest.fixture
def store(around: Surroundings) -> Surroundings:
    """Versions 1 to 7 of digits on disk; models.config names 4 and 5, and 5 serves."""
    base = around.folder / "store" / "digits"
    for version in (1, 2, 3):
        (base / str(version) / "saved_model.pb").unlink()
        (base / str(version)).rmdir()
    for version in range(1, 8):
        saved_models.add_model(base, version)
    (base / "7" / "airbag.yaml").write_text("owner: team-vision\nmetrics: {accuracy: 0.97}\n")
    age(base)
    around.release(4, 5)
    return around


def test_the_list_shows_every_version_its_place_on_the_servers_and_its_fate(store: Surroundings) -> None:
    done = airbag(store, "list", "digits")
    assert done.returncode == 0, done.stderr
    [five] = [line for line in done.stdout.splitlines() if line.split("│")[1:2] == [" 5       "]]
    assert "one answers" in five
    assert "compatible" in five  # the fake names one signature, the model another
    assert "stays: serves; models.config asks for it; is one of the newest 5" in five
    assert "note: there is no journal" in done.stdout
    assert told(store, "list")[1]["model_name"] == "other"


def test_show_tells_all_facts_of_one_version_and_the_difference_in_words(store: Surroundings) -> None:
    base = store.folder / "store" / "digits"
    saved_models.two_inputs(base, 8)
    done = airbag(store, "show", "digits", "7")
    assert done.returncode == 0, done.stderr
    assert checksum(base / "7", {}) in done.stdout
    assert "owner                     team-vision" in done.stdout
    assert "metric accuracy           0.97" in done.stdout
    assert "serving_default(x float[...]) -> y float[...]" in done.stdout
    other = told(store, "show", "digits", "7")
    assert other["versions"][0]["would_be_pruned"] is False
    missing = airbag(store, "show", "digits", "99")
    assert missing.returncode == 1
    assert "digits has no version 99" in missing.stderr


def test_a_prune_only_shows_what_it_would_do(store: Surroundings) -> None:
    found = plan(store, "--keep-last", "2")
    assert going(found) == [3, 2, 1]
    assert why(found, 5) == "serves; models.config asks for it"
    assert why(found, 4) == "is loaded; models.config asks for it; is the newest complete one below what serves"
    assert why(found, 7) == "is one of the newest 2"
    assert on_disk(store) == list("1234567")
    text = airbag(store, "prune", "digits", "--keep-last", "2").stdout
    assert "3 would go and free" in text
    assert "--yes removes them" in text


def test_a_prune_that_was_told_to_removes_exactly_that(store: Surroundings) -> None:
    done = airbag(store, "prune", "digits", "--keep-last", "2", "--yes")
    assert done.returncode == 0, done.stderr
    assert "3 removed" in done.stdout
    assert on_disk(store) == list("4567")
    assert plan(store, "--keep-last", "2", "--yes")["removals"] == []


def test_the_retention_of_the_group_holds_unless_told_otherwise(store: Surroundings) -> None:
    assert going(plan(store)) == [2, 1]
    exporters = store.folder / "exporters.yml"
    exporters.write_text(exporters.read_text() + "    retention: {keep_last: 3, keep_for: 30d}\n")
    assert going(plan(store)) == [3, 2, 1]
    recently = time.time() - 3600
    os.utime(store.folder / "store" / "digits" / "2", (recently, recently))
    assert going(plan(store)) == [3, 1]
    assert going(plan(store, "--keep-for", "0s")) == [3, 2, 1]
    wrong = airbag(store, "prune", "--keep-for", "30")
    assert wrong.returncode == 2
    assert "write it with a unit" in wrong.stderr


def test_labels_in_models_config_keep_a_version(store: Surroundings) -> None:
    text = store.models_config.read_text()
    labels = f'base_path: "{store.folder}/store/digits" version_labels {{ key: "old" value: 1 }}'
    store.models_config.write_text(text.replace(f'base_path: "{store.folder}/store/digits"', labels))
    found = plan(store, "--keep-last", "1")
    assert why(found, 1) == "has the label old"


def test_what_any_server_has_loaded_stays(store: Surroundings) -> None:
    with stateful_serving() as second:
        second.models["digits"] = {2: Status.LOADING, 3: Status.AVAILABLE, 1: Status.END}
        exporters = store.folder / "exporters.yml"
        more = f'targets: [{{name: two, grpc: "{second.address}"}}, '
        exporters.write_text(exporters.read_text().replace("targets: [", more))
        found = plan(store, "--keep-last", "1")
    assert why(found, 3) == "serves"
    assert why(found, 2) == "is loaded; is the newest complete one below what serves"
    assert going(found) == [6, 1]


def test_a_server_that_cannot_be_reached_stops_the_prune_of_its_models(store: Surroundings) -> None:
    exporters = store.folder / "exporters.yml"
    exporters.write_text(exporters.read_text().replace("targets: [", 'targets: [{name: two, grpc: "127.0.0.1:1"}, '))
    for flags in ((), ("--yes",)):
        done = airbag(store, "prune", "digits", "--keep-last", "1", *flags)
        assert done.returncode == 1
        assert "main/digits: nothing may be removed: main: two: " in done.stderr
        assert "Traceback" not in done.stderr
    assert on_disk(store) == list("1234567")
    assert airbag(store, "list").returncode == 0


def test_a_model_that_no_server_serves_is_left_alone(store: Surroundings) -> None:
    store.serving.models["digits"] = {}
    done = airbag(store, "prune", "digits", "--keep-last", "1", "--yes")
    assert done.returncode == 1
    assert "no server serves this model now" in done.stderr
    assert on_disk(store) == list("1234567")


def test_another_group_that_uses_the_same_folder_has_its_say(store: Surroundings) -> None:
    """Also through a link, and with its own retention."""
    (store.folder / "alias").symlink_to(store.folder / "store")
    config = store.folder / "second.config"
    config.write_text(store.models_config.read_text().replace(f'"{store.folder}/store', f'"{store.folder}/alias'))
    second = (
        f'  - name: second\n    targets: [{{name: one, grpc: "{store.serving.address}"}}]\n'
        f"    model_config_file: {config}\n    models: [{{name: digits}}]\n    retention: {{keep_last: 6}}\n"
    )
    exporters = store.folder / "exporters.yml"
    exporters.write_text(exporters.read_text() + second)
    assert [going(each) for each in told(store, "prune", "digits")] == [[1], [1]]
    config.write_text("no such thing")
    done = airbag(store, "prune", "digits", "--yes", "--serving", "main")
    assert done.returncode == 1
    assert "second.config of second cannot be read" in done.stderr
    assert on_disk(store) == list("1234567")


def test_the_version_that_the_receiver_would_go_back_to_stays(store: Surroundings) -> None:
    with bench(store) as receiver:
        store.release(1)
        receiver.watch(60)
        store.release(5)
        receiver.watch(5)
        found = plan(store, "--keep-last", "1")
        assert why(found, 1) == "is the rollback target"
        assert going(found) == [6, 3, 2]
        assert found["notes"] == []
    found = plan(store, "--keep-last", "1")
    assert why(found, 1) == "is the rollback target"


def test_while_the_receiver_is_at_work_on_a_model_nothing_of_it_goes(store: Surroundings) -> None:
    with bench(store) as receiver:
        receiver.watch(60)
        receiver.post(alert(5))
        receiver.turn()
        assert receiver.receiver.journal.actions.open()
        done = airbag(store, "prune", "digits", "--keep-last", "1", "--yes")
    assert done.returncode == 1
    assert "the receiver is at work on main/digits: action #1 is" in done.stderr
    assert on_disk(store) == list("1234567")


def test_what_an_interrupted_prune_left_is_finished(store: Surroundings) -> None:
    base = store.folder / "store" / "digits"
    (base / "1").rename(base / ".airbag-prune-1-0123abcd")
    (base / ".airbag-prune-notes").write_text("of a person")
    assert plan(store)["leftovers"] == [".airbag-prune-1-0123abcd"]
    assert (base / ".airbag-prune-1-0123abcd").exists()
    done = airbag(store, "prune", "digits", "--yes", "--keep-last", "7")
    assert done.returncode == 0, done.stderr
    assert on_disk(store) == [".airbag-prune-notes", *"234567"]


def test_a_link_goes_and_what_it_leads_to_stays(store: Surroundings) -> None:
    base = store.folder / "store" / "digits"
    (base / "1").rename(store.folder / "elsewhere")
    (base / "1").symlink_to(store.folder / "elsewhere")
    (base / "3" / "link").symlink_to(store.folder / "elsewhere")
    age(base)
    assert airbag(store, "prune", "digits", "--yes", "--keep-last", "2").returncode == 0
    assert on_disk(store) == list("4567")
    assert (store.folder / "elsewhere" / "saved_model.pb").exists()


def test_a_prune_waits_for_no_writer_of_models_config_for_ever(store: Surroundings) -> None:
    with ModelConfigFile(store.models_config).locked():
        done = airbag(store, "prune", "digits", "--yes", "--keep-last", "1")
    assert done.returncode == 1
    assert "another writer held" in done.stderr
    assert on_disk(store) == list("1234567")


def test_a_folder_that_is_not_here_is_refused_with_the_remedy(store: Surroundings) -> None:
    (store.folder / "store" / "digits").rename(store.folder / "gone")
    done = airbag(store, "prune", "digits")
    assert done.returncode == 1
    assert "run this where the model store is mounted at the path that models.config names" in done.stderr


def test_a_model_that_cannot_be_looked_at_does_not_hide_the_others(store: Surroundings) -> None:
    (store.folder / "store" / "digits").rename(store.folder / "gone")
    exporters = store.folder / "exporters.yml"
    more = f'  - name: bare\n    targets: [{{name: one, grpc: "{store.serving.address}"}}]\n    models: [{{name: x}}]\n'
    exporters.write_text(exporters.read_text() + more)
    for command in ("list", "prune"):
        done = airbag(store, command)
        assert done.returncode == 1
        assert "main/other in" in done.stdout
        assert "serving bare: has no model_config_file" in done.stderr
        assert "main/digits: " in done.stderr


def test_a_version_that_cannot_be_renamed_is_reported_and_the_next_one_goes(store: Surroundings) -> None:
    policy = load(store.policy_file, Policy)
    lookout = Lookout()
    found = Store(policy, load_servings(policy.exporters_file), lookout, time.time)
    [(group, name)] = found.models("digits", None)

    def look_again(before: Survey, version: int) -> Survey:
        now = found.survey(group, name, {"keep_last": 2}, before, (version,))
        if version == 2:
            (now.base / "2").rename(now.base / "2.mine")  # somebody else is quicker
        return now

    removals = list(prune(found.survey(group, name, {"keep_last": 2}), look_again))
    lookout.close()
    assert [(each.name, each.removed, each.failed) for each in removals] == [
        ("1", True, False), ("2", False, True), ("3", True, False),
    ]  # fmt: skip
    assert "2 cannot be removed: No such file or directory" in removals[1].text
    assert on_disk(store) == ["2.mine", *"4567"]


def test_a_model_that_nobody_knows_is_refused(store: Surroundings) -> None:
    done = airbag(store, "list", "nothing")
    assert done.returncode == 1
    assert "nothing: is on no such serving (there: main: digits other)" in done.stderr


def test_every_command_in_the_documentation_runs(store: Surroundings) -> None:
    text = (Path(__file__).parents[2] / "docs" / "repository.md").read_text()
    lines = [line.split()[2:] for line in text.splitlines() if line.startswith("airbag repo ")]
    assert len(lines) == 6
    for line in lines:
        done = airbag(store, *line)
        assert done.returncode == 0, (line, done.stderr)
