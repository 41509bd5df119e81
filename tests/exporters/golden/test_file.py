"""The golden file: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from airbag.cli import airbag
from airbag.errors import ConfigError
from airbag_exporters.config import Alerts
from airbag_exporters.serving.golden.file import load_golden, load_inputs
from airbag_exporters.serving.golden.values import Values
from tests.fakes.binaries import ROOT

GOOD = {"name": "seven", "inputs": {"x": [[1, 2]]}, "expect": {"y": {"values": [3.5], "atol": 0.1}}}


def written(folder: Path, *requests: object) -> Path:
    path = folder / "golden.json"
    path.write_text(json.dumps({"requests": requests}))
    return path


def test_a_file_gives_its_requests_in_order(tmp_path: Path) -> None:
    second = {"name": "eight", "signature": "other", "inputs": {"x": {"b64": "AA=="}}, "expect": {"y": {"argmax": 8}}}
    first, other = load_golden(written(tmp_path, GOOD, second))
    assert (first.name, first.signature, first.inputs["x"]) == ("seven", "", Values((1, 2), (1, 2)))
    assert (first.expect["y"].values, first.expect["y"].atol, first.expect["y"].rtol) == (
        Values((1,), (3.5,)),
        0.1,
        None,
    )
    assert (other.signature, other.expect["y"].argmax) == ("other", Values((), (8,)))


def test_one_request_a_line_is_the_same(tmp_path: Path) -> None:
    lines = tmp_path / "golden.ndjson"
    lines.write_text(json.dumps(GOOD) + "\n\n" + json.dumps(GOOD | {"name": "eight"}) + "\n")
    assert load_golden(lines) == load_golden(written(tmp_path, GOOD, GOOD | {"name": "eight"}))


def test_inputs_need_no_expectations_and_do_not_mind_old_ones(tmp_path: Path) -> None:
    bare = {"name": "eight", "inputs": {"x": 1}}
    assert [request.name for request in load_inputs(written(tmp_path, GOOD, bare))] == ["seven", "eight"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "a b"}, "requests[0].name: should be 1 to 60 letters, digits, `_`, `.` or `-`, not 'a b'"),
        ({"inputs": {}}, "requests[0].inputs: dictionary should have at least 1 item after validation, not 0"),
        ({"inputs": {"x": [[1], [1, 2]]}},
         "requests[0].inputs.x: [1] has the length 2 where the first of its kind has 1"),
        ({"inputs": {"x": None}}, "requests[0].inputs.x: the value is no element of a tensor"),
        ({"expect": {"y": {}}}, "requests[0].expect.y: expects nothing; give `values`, `argmax`, `min` or `max`"),
        ({"expect": {"y": {"argmax": 1, "atol": 1}}},
         "requests[0].expect.y: has a tolerance and no `values` that it could be for"),
        ({"expect": {"y": {"min": 2, "max": 1}}}, "requests[0].expect.y: has a `min` above its `max`"),
        ({"expect": {"y": {"argmax": 0.5}}}, "requests[0].expect.y: should have class numbers as `argmax`"),
        ({"expect": {"y": {"values": 1, "atol": -1}}}, "requests[0].expect.y.atol: input should be greater than"),
        ({"expect": {"y": {"value": 1}}}, "requests[0].expect.y.value: is not a known key (did you mean `values`?)"),
        ({"expects": {}}, "requests[0].expects: is not a known key (did you mean `expect`?)"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_place(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_golden(written(tmp_path, GOOD | change))
    assert problem in str(refused.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    wrong = {"name": "", "inputs": {"x": [[1], 2]}, "expect": {"y": {}}}
    with pytest.raises(ConfigError) as refused:
        load_golden(written(tmp_path, GOOD, wrong, {"name": "c"}))
    places = [problem.path for problem in refused.value.problems]
    assert places == [
        "requests[1].name", "requests[1].inputs.x", "requests[1].expect.y", "requests[2].inputs", "requests[2].expect",
    ]  # fmt: skip


def test_two_requests_of_one_name_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two requests have the name 'seven'"):
        load_golden(written(tmp_path, GOOD, GOOD))
    with pytest.raises(ConfigError, match="at least 1"):
        load_golden(written(tmp_path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"requests": [\n{]}', "line 2, column 2: is not JSON"),
        ('{"requests": [], "requests": []}', "the key 'requests' stands twice in one object"),
        ('{"requests": [NaN]}', "NaN is no JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "golden.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_golden(path)
    assert problem in str(refused.value)


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "golden.ndjson"
    path.write_text(json.dumps(GOOD) + "\n{\n")
    with pytest.raises(ConfigError, match="line 2, column 2: is not JSON"):
        load_golden(path)


CONFIG = """servings:
  - name: main
    targets: [{name: a, grpc: "127.0.0.1:1"}]
    models: [{name: digits, golden: {file: golden.json}}]
"""


def test_the_check_of_the_configuration_reads_the_golden_files(tmp_path: Path) -> None:
    config = tmp_path / "exporters.yml"
    config.write_text(CONFIG)
    written(tmp_path, GOOD)
    check = ["exporter", "serving", f"--config.file={config}", "--config.check"]
    assert CliRunner().invoke(airbag, check).exit_code == 0
    written(tmp_path, GOOD | {"name": ""}, GOOD | {"expect": {}})
    refused = CliRunner().invoke(airbag, check).exception
    assert isinstance(refused, ConfigError)
    where = f"servings[0].models[0].golden.file: {tmp_path / 'golden.json'}"
    assert [problem.path for problem in refused.problems] == [
        f"{where}: requests[0].name",
        f"{where}: requests[1].expect",
    ]


@pytest.mark.parametrize(
    ("alerts", "problem"),
    [
        ("{}", "alerts.alertmanager_urls: is missing"),
        ("{alertmanager_urls: []}", "alerts.alertmanager_urls: list should have at least 1 item"),
        ('{alertmanager_urls: ["http://u:p@am:9093"]}', "should be http(s)://HOST:PORT without user or query"),
    ],
)
def test_the_fast_lane_needs_addresses_and_shows_no_passwords(tmp_path: Path, alerts: str, problem: str) -> None:
    config = tmp_path / "exporters.yml"
    config.write_text(CONFIG.replace(", golden: {file: golden.json}", "") + f"alerts: {alerts}\n")
    refused = CliRunner().invoke(airbag, ["exporter", "serving", f"--config.file={config}", "--config.check"]).exception
    assert problem in str(refused)
    assert "u:p" not in str(refused)


def test_the_examples_of_the_page_about_golden_requests_are_accepted(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "golden-requests.md").read_text()
    inputs, golden = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "inputs.json").write_text(inputs)
    (tmp_path / "golden.json").write_text(golden)
    assert [request.name for request in load_inputs(tmp_path / "inputs.json")] == ["seven", "eight"]
    [request] = load_golden(tmp_path / "golden.json")
    assert sorted(request.expect) == ["digit", "probabilities", "score"]
    alerts = yaml.safe_load(re.findall(r"```yaml\n(alerts:.*?)```", page, re.DOTALL)[0])["alerts"]
    assert Alerts.model_validate_json(json.dumps(alerts)).labels == {}
