"""What all shipped scripts have in common, and what the docs say of them."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airbag_rollback.actions.landing import Effect, Found, Result
from airbag_rollback.config import load_settings
from airbag_rollback.engine.states import State
from tests.fakes.rollback import Surroundings
from tests.fakes.scripts import SHIPPED, Stage, handle, order, use, write_script

NAMES = ("dvc-checkout", "image-tag", "nginx-blue-green", "retrain", "scale-out")
DOCS = (Path(__file__).parents[2] / "docs" / "scripts.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


def test_the_folder_holds_these_scripts_executable_and_not_open_to_all() -> None:
    assert tuple(sorted(path.name for path in SHIPPED.iterdir() if path.name != "__pycache__")) == NAMES
    for name in NAMES:
        mode = (SHIPPED / name).stat().st_mode
        assert mode & stat.S_IXUSR
        assert not mode & stat.S_IWOTH


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_script_needs_the_standard_library_alone_and_no_shell(name: str) -> None:
    tree = ast.parse((SHIPPED / name).read_text())
    imported = {
        module.split(".")[0]
        for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }  # fmt: skip
    assert imported <= sys.stdlib_module_names
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"system", "popen", "getoutput", "getstatusoutput"}
    assert "shell" not in {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}


def test_what_the_scripts_share_is_the_same_in_each() -> None:
    texts = [(SHIPPED / name).read_text() for name in NAMES]
    shared = {text[text.index("class Refused(") : text.index('if __name__ == "__main__":')] for text in texts}
    assert len(shared) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_script_explains_itself_and_every_setting_it_reads(name: str) -> None:
    shown = subprocess.run(
        [SHIPPED / name, "--help"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert shown.stdout.startswith(f"{name}: ")
    text = (SHIPPED / name).read_text()
    code = text[text.index("from __future__") :]
    read = set(re.findall(r'"((?:NGINX|IMAGE_TAG|CHECKOUT|RETRAIN|SCALE)_[A-Z_]+)"', code))
    assert read
    assert {each for each in read if each not in shown.stdout} == set()
    documented = set(re.findall(r"^  ([A-Z_]{5,})\s", shown.stdout, re.MULTILINE))
    assert read <= documented


@pytest.mark.parametrize("words", [[], ["restore"], ["plan", "apply"]], ids=["none", "unknown", "two"])
def test_wrong_use_is_told_in_one_line(words: list[str]) -> None:
    for name in NAMES:
        done = subprocess.run([SHIPPED / name, *words], capture_output=True, text=True, check=False, input="{}")
        assert done.returncode == 64
        assert done.stderr.startswith(f"usage: {name} plan|apply|verify")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"plan": {}}'], ids=["empty", "no JSON", "no order", "no plan"])
def test_an_order_that_is_none_touches_nothing_and_is_one_line(name: str, text: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "AIRBAG_STATE_DIR": str(tmp_path)}
    for verb in ("plan", "apply", "verify"):
        done = subprocess.run(
            [SHIPPED / name, verb], capture_output=True, text=True, check=False, input=text, env=environment
        )
        assert done.returncode in (1, 75), done
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_without_its_settings_a_script_names_the_one_that_is_missing(name: str, tmp_path: Path) -> None:
    refused = Stage(SHIPPED / name, tmp_path / "state", {}).landing.plan(order())
    assert isinstance(refused, Effect)
    assert (refused.result, refused.reason) == (Result.IMPOSSIBLE, "script_refused")
    assert re.search(r"[A-Z]+_[A-Z]+ is not set; see --help", refused.text)


def test_every_variable_of_the_contract_is_in_the_docs_and_no_other(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script", f"env > {tmp_path}/env; cat > {tmp_path}/stdin")
    Stage(script, tmp_path / "state", {}).landing.plan(order())
    given = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()} - {
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }
    table = DOCS[DOCS.index("| variable | on stdin |") :].split("\n\n")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    assert {variable for variable, _ in rows if variable} == given
    assert {key for _, key in rows if key} == set(json.loads((tmp_path / "stdin").read_text()))


def test_every_snippet_of_the_docs_is_a_policy_that_is_accepted(around: Surroundings) -> None:
    shutil.copytree(SHIPPED, around.folder / "scripts")
    write_script(around.folder / "scripts" / "current-link", "exit 0")
    (around.folder / "exporters.yml").write_text(
        (around.folder / "exporters.yml").read_text().replace("{name: other}", "{name: other}, {name: fraud}")
    )
    seen = set()
    for snippet in _blocks("yaml"):
        around.write_policy()
        text = around.policy_file.read_text()
        around.policy_file.write_text(text + snippet)
        for landing in load_settings(around.policy_file).policy.landings.values():
            seen.add(landing.script.name)
            if landing.script.name in NAMES:
                help_text = subprocess.run(
                    [landing.script, "--help"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
                ).stdout
                assert all(f"  {name} " in help_text for name in landing.environment), landing.environment
    assert seen == {*NAMES, "current-link"}


def test_the_states_of_the_docs_are_the_states(tmp_path: Path) -> None:
    table = DOCS[DOCS.index("| state | reality |") :].split("\n\n")[0]
    assert {line.split("`")[1] for line in table.splitlines()[2:]} == {each.value for each in Found}


def _link_script(folder: Path) -> Stage:
    """The ten lines from the docs, as they stand there."""
    (text,) = (block for block in _blocks("sh") if "current-link" in block)
    assert len(text.splitlines()) <= 12
    script = folder / "current-link"
    script.write_text(text)
    script.chmod(0o755)
    models = folder / "linked"
    for version in (1, 2, 3):
        (models / "digits" / str(version)).mkdir(parents=True)
    (models / "digits" / "current").symlink_to("3")
    return Stage(script, folder / "state", {"MODELS": str(models)})


def test_the_script_of_the_docs_keeps_the_contract(tmp_path: Path) -> None:
    stage = _link_script(tmp_path)
    link = tmp_path / "linked" / "digits" / "current"
    made = stage.planned()
    assert stage.landing.look(made).found is Found.BEFORE
    assert stage.landing.apply(made).result is Result.DONE
    assert stage.landing.apply(made).result is Result.DONE
    assert stage.landing.look(made).found is Found.DONE
    assert str(link.readlink()) == "2"
    link.unlink()
    link.symlink_to("1")
    assert stage.landing.look(made).found is Found.OTHER
    refused = stage.landing.plan(order(target=9))
    assert isinstance(refused, Effect)
    assert refused.result is Result.IMPOSSIBLE


def test_the_script_of_the_docs_ends_an_alert(around: Surroundings, tmp_path: Path) -> None:
    use(around, "current-link", _link_script(tmp_path))
    action = handle(around)
    assert (action.state, action.target_version) == (State.SUCCEEDED, 2), action
    assert str((tmp_path / "linked" / "digits" / "current").readlink()) == "2"


def test_the_docs_name_every_shipped_script() -> None:
    assert all(f"\n### {name}\n" in DOCS for name in NAMES)
    assert yaml.safe_load(_blocks("yaml")[0])["landings"]
