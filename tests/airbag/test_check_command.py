"""`airbag check` as a user runs it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from airbag.check_files import Paths, parse_prefix
from airbag.cli import airbag
from tests.airbag.rubbish import RUBBISH
from tests.fakes.binaries import ROOT

FILES = {
    "exporters": "exporters/exporters.yml",
    "policy": "alertmanager/policy.yml",
    "prometheus": "prometheus/prometheus.yml",
    "alertmanager": "alertmanager/alertmanager.yml",
    "rules": "prometheus/rules/serving.yml",
    "targets": "prometheus/targets/airbag-serving.yml",
}
WRONG_TYPES: list[Any] = [None, 7, "text", [1], {"a": {"b": [None]}}, True, [[]], {"1": 2}]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped files, to be broken, as the working folder."""
    for name in ("exporters/exporters.yml", "alertmanager/policy.yml", "alertmanager/alertmanager.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "prometheus" / "targets", tmp_path / "prometheus" / "targets")
    shutil.copy(ROOT / "prometheus/prometheus.yml", tmp_path / "prometheus")
    (tmp_path / "prometheus/rules").mkdir()
    shutil.copy(ROOT / "prometheus/rules/serving.yml", tmp_path / "prometheus/rules")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str) -> Result:
    return CliRunner().invoke(airbag, ["check", *arguments])


def problems(*arguments: str) -> list[dict[str, str]]:
    done = check("--format=json", *arguments)
    assert done.exit_code == 1, done.output
    found: list[dict[str, str]] = json.loads(done.output)["problems"]
    return found


def test_in_a_checkout_it_needs_no_flag_and_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = check()
    assert done.exit_code == 0, done.output
    assert "series of the quality exporter" in done.output
    assert "wanted within 15 s" in done.output
    assert done.output.endswith("no problem found\n")


def test_the_relaxed_profile_is_slower_and_within_its_own_objective(checkout: Path) -> None:
    exporters = checkout / "exporters/exporters.yml"
    exporters.write_text(exporters.read_text().replace("profile: fast", "profile: relaxed"))
    assert any("rules.profile is relaxed" in each["what"] for each in problems())
    built = CliRunner().invoke(airbag, ["rules", "build", f"--source-folder={ROOT / 'prometheus/src'}"])
    assert built.exit_code == 0, built.output
    done = check("--format=json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["act_within"] == 60
    [total] = [each for each in found["times"] if (each["alert"], each["bad_share"]) == ("AirbagErrorRatioHigh", 1.0)]
    assert total["seconds"] == pytest.approx(1 + 5 + 5 + 30 * 0.05 + 5 + 0.5, abs=0.1)


def test_json_is_one_object_with_times_notes_and_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = json.loads(check("--format=json").output)
    assert found["ok"] is True
    assert found["problems"] == []
    assert {each["file"] for each in found["notes"]} <= set(FILES.values())
    assert all(each["seconds"] for each in found["times"] if each["bad_share"] != 0.2)


def test_all_problems_of_all_files_come_at_once(checkout: Path) -> None:
    (checkout / "exporters/exporters.yml").write_text("servings: []\n")
    (checkout / "alertmanager/policy.yml").write_text("mode: maybe\n")
    (checkout / "alertmanager/alertmanager.yml").write_text("receivers: 7\n")
    (checkout / "prometheus/targets/airbag-serving.yml").write_text("[]\n")
    found = problems()
    assert {each["file"] for each in found} >= {
        "exporters/exporters.yml", "alertmanager/policy.yml", "alertmanager/alertmanager.yml",
        "prometheus/targets/airbag-serving.yml",
    }  # fmt: skip


@pytest.mark.parametrize(
    "broken", [["prometheus"], [name for name in FILES if name != "prometheus"]], ids=["one", "rest"]
)
@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_in_any_file_is_a_problem_of_that_file_and_never_a_traceback(
    checkout: Path, broken: list[str], name: str
) -> None:
    for file in broken:
        (checkout / FILES[file]).write_text(RUBBISH[name])
    done = check("--format=json")
    assert isinstance(done.exception, SystemExit), done.exception
    assert {FILES[file] for file in broken} <= {each["file"] for each in json.loads(done.output)["problems"]}


@pytest.mark.parametrize("file", FILES)
def test_a_value_of_the_wrong_type_anywhere_never_ends_in_a_traceback(checkout: Path, file: str) -> None:
    text = (checkout / FILES[file]).read_text()
    places = list(_places(yaml.safe_load(text)))
    chance = random.Random(file)  # noqa: S311 - a test
    for place in chance.sample(places, min(8, len(places))):
        document = yaml.safe_load(text)
        _put(document, place, chance.choice(WRONG_TYPES))
        (checkout / FILES[file]).write_text(yaml.safe_dump(document))
        done = check("--format=json")
        assert done.exception is None or isinstance(done.exception, SystemExit), (place, done.exception)
        json.loads(done.output)


def _places(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*at, key)
        yield from _places(each, (*at, key))


def _put(document: Any, place: tuple[Any, ...], value: object) -> None:
    for key in place[:-1]:
        document = document[key]
    document[place[-1]] = value


def test_a_missing_file_is_a_problem_that_names_it(checkout: Path) -> None:
    found = problems("--prometheus.file=gone.yml")
    [told] = [each for each in found if each["file"] == "gone.yml"]
    assert (told["path"], told["what"]) == ("file", "cannot be read: No such file or directory")


def test_the_receiver_must_read_the_exporters_file_that_is_checked(checkout: Path) -> None:
    shutil.copy(checkout / "exporters/exporters.yml", checkout / "other.yml")
    policy = (checkout / "alertmanager/policy.yml").read_text()
    (checkout / "alertmanager/policy.yml").write_text(policy.replace("/etc/airbag/exporters.yml", "../other.yml"))
    assert [each for each in problems() if each["path"] == "exporters_file" and "the same file" in each["what"]]


def test_tokens_that_differ_are_a_problem_and_a_missing_one_is_a_note(checkout: Path) -> None:
    (checkout / "secrets").mkdir()
    (checkout / "secrets/airbag_webhook_token").write_text("one")
    (checkout / "secrets/other").write_text("another")
    config = (checkout / "alertmanager/alertmanager.yml").read_text()
    changed = config.replace("/run/secrets/airbag_webhook_token", "/run/secrets/other")
    (checkout / "alertmanager/alertmanager.yml").write_text(changed)
    told = [each["what"] for each in problems("--path=/run/secrets=secrets")]
    assert any("is not the receiver's" in each for each in told)
    assert not any("is not the receiver's" in each["what"] for each in problems())


def test_wrong_usage_exits_2() -> None:
    assert check("--path=nonsense").exit_code == 2
    assert check("--resend-delay=soon").exit_code == 2
    assert check("--traffic=0").exit_code == 2


def test_a_path_is_looked_for_where_it_was_said_then_beside_then_as_it_is(tmp_path: Path) -> None:
    for name in ("given", "beside", "real"):
        (tmp_path / name).mkdir()
    deployed = str(tmp_path / "real")
    paths = Paths({deployed: tmp_path / "given"}, {deployed: [tmp_path / "beside"]})
    (tmp_path / "real/a.yml").touch()
    assert paths.find(f"{deployed}/a.yml") == tmp_path / "real/a.yml"
    (tmp_path / "beside/a.yml").touch()
    assert paths.find(f"{deployed}/a.yml") == tmp_path / "beside/a.yml"
    (tmp_path / "given/a.yml").touch()
    assert paths.find(f"{deployed}/a.yml") == tmp_path / "given/a.yml"
    assert paths.glob(f"{deployed}/*.yml", Path()) == [tmp_path / "given/a.yml"]
    assert paths.find(f"{deployed}-not/a.yml") is None
    assert parse_prefix("/etc/a=b") == ("/etc/a", "b")
