"""image-tag on files as compose, Kustomize and Helm have them, with kubectl's own Kustomize as a second opinion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from airbag_rollback.actions.landing import Effect, Found, Result
from airbag_rollback.engine.states import State
from tests.fakes.rollback import Surroundings
from tests.fakes.scripts import SHIPPED, Stage, handle, order, use, write_script

OLD, GOOD, BAD = "v1.4.1-0a1b2c3", "v1.4.2-3f2a9c1", "v1.5.0-9e8d7c6"

ENV = f"""\
# deployed by the pipeline
COMPOSE_PROJECT_NAME=fraud
TF_MODEL_TAG={BAD} # what serves
OTHER_TF_MODEL_TAG=v9.9.9-aaaaaaa
"""
KUSTOMIZATION = f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- deployment.yaml
images:
# the model server
- name: registry.example/fraud-serving
  newTag: "{BAD}"   # by the pipeline
- newTag: v9.9.9-aaaaaaa
  name: registry.example/other
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: serving}
spec:
  selector: {matchLabels: {app: serving}}
  template:
    metadata: {labels: {app: serving}}
    spec:
      containers:
      - {name: serving, image: registry.example/fraud-serving}
      - {name: other, image: registry.example/other}
"""
VALUES = f"""\
sidecar:
  image:
    tag: v9.9.9-aaaaaaa
image:
  repository: registry.example/fraud-serving
  # the model server
  tag: '{BAD}'
replicas: 2
"""
FILES = {
    ".env": (ENV, "TF_MODEL_TAG"),
    "kustomization.yaml": (KUSTOMIZATION, "registry.example/fraud-serving"),
    "values.yaml": (VALUES, "image.tag"),
}


@dataclass
class Deployment:
    """A file with a tag, and a command that deploys what it says."""

    folder: Path
    file: Path
    environment: dict[str, str]

    def stage(self, **changes: str) -> Stage:
        return Stage(SHIPPED / "image-tag", self.folder / "state", self.environment | changes, timeout=60.0)

    def record(self, tag: str, *version: str) -> subprocess.CompletedProcess[str]:
        """Deploy a tag as a pipeline does: into the file, and noted."""
        now = next(each for each in (OLD, GOOD, BAD, *self.others()) if each in self.file.read_text())
        self.file.write_text(self.file.read_text().replace(now, tag))
        return subprocess.run(
            [SHIPPED / "image-tag", "record", *version], env=os.environ | self.environment, text=True,
            capture_output=True, check=False,
        )  # fmt: skip

    def others(self) -> list[str]:
        return [f"v2.0.{number}-abcdef{number}" for number in range(5)]

    def history(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads((self.folder / "history.json").read_text())
        return found

    def deployed(self) -> list[str]:
        log = self.folder / "deployed"
        return log.read_text().split() if log.exists() else []


def _deployment(folder: Path, name: str) -> Deployment:
    folder.mkdir(exist_ok=True)
    text, key = FILES[name]
    (folder / name).write_text(text)
    deploy = write_script(folder / "deploy", f'echo "$1" >> {folder}/deployed')
    environment = {
        "IMAGE_TAG_FILE": str(folder / name), "IMAGE_TAG_NAME": key, "IMAGE_TAG_HISTORY": str(folder / "history.json"),
        "IMAGE_TAG_DEPLOY": json.dumps([str(deploy), "{tag}"]),
    }  # fmt: skip
    return Deployment(folder, folder / name, environment)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """compose's .env with the bad tag, after three deployments of versions 1, 2 and 3."""
    return _recorded(_deployment(tmp_path / "deployment", ".env"))


def _recorded(found: Deployment) -> Deployment:
    for tag, version in ((OLD, "1"), (GOOD, "2"), (BAD, "3")):
        assert found.record(tag, version).returncode == 0
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_tag_of_the_target_version_is_put_back_and_nothing_else_in_the_file(tmp_path: Path, name: str) -> None:
    found = _recorded(_deployment(tmp_path / "deployment", name))
    stage = found.stage()
    made = stage.planned()
    assert made.plan["plan"] == {"from": BAD, "to": GOOD}
    assert stage.landing.look(made).found is Found.BEFORE
    assert stage.landing.apply(made).result is Result.DONE
    assert found.file.read_text() == FILES[name][0].replace(BAD, GOOD)
    assert found.deployed() == [GOOD]
    assert stage.landing.look(made).found is Found.DONE


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl's Kustomize is the second opinion")
def test_kustomize_itself_reads_the_tag_that_was_put_back(tmp_path: Path) -> None:
    found = _recorded(_deployment(tmp_path / "deployment", "kustomization.yaml"))
    (found.folder / "deployment.yaml").write_text(DEPLOYMENT)
    build = ["kubectl", "kustomize", str(found.folder)]
    stage = found.stage(IMAGE_TAG_VERIFY=json.dumps(build))
    made = stage.planned()
    assert stage.landing.apply(made).result is Result.DONE
    assert stage.landing.look(made).found is Found.DONE
    images = subprocess.run(build, capture_output=True, text=True, check=True).stdout
    assert f"image: registry.example/fraud-serving:{GOOD}" in images
    assert "image: registry.example/other:v9.9.9-aaaaaaa" in images


def test_without_versions_it_goes_to_the_tag_before_and_never_forward_to_what_was_rolled_back(tmp_path: Path) -> None:
    found = _deployment(tmp_path / "deployment", ".env")
    for tag in (OLD, GOOD, BAD):
        found.record(tag)
    stage = found.stage()
    assert stage.landing.apply(stage.planned()).result is Result.DONE
    again = stage.planned()
    assert again.plan["plan"] == {"from": GOOD, "to": OLD}
    assert stage.landing.apply(again).result is Result.DONE
    effect = stage.landing.plan(order())
    assert isinstance(effect, Effect)
    assert (effect.result, effect.reason) == (Result.IMPOSSIBLE, "script_refused")
    assert f"no tag before {OLD}" in effect.text


def test_the_last_three_tags_are_kept(deployment: Deployment) -> None:
    for tag in deployment.others():
        deployment.record(tag, "4")
    assert deployment.history() == [{"tag": tag, "version": 4} for tag in deployment.others()[-3:]]


def test_a_target_that_no_tag_carries_is_refused(deployment: Deployment) -> None:
    effect = deployment.stage().landing.plan(order(target=7))
    assert isinstance(effect, Effect)
    assert effect.result is Result.IMPOSSIBLE
    assert "carries version 7" in effect.text


@pytest.mark.parametrize(
    "tag",
    ["latest", "v1.4.2", "1.4-3f2a9c1", "v1.4.2-XYZ1234", "v1.4.2-3f2a9", "v01.4.2-3f2a9c1", "v1.4.2-3f2a9c1;reboot"],
)
def test_a_tag_that_is_no_version_and_commit_is_refused(deployment: Deployment, tag: str) -> None:
    deployment.file.write_text(ENV.replace(f"TF_MODEL_TAG={BAD}", f"TF_MODEL_TAG={tag}", 1))
    effect = deployment.stage().landing.plan(order())
    assert isinstance(effect, Effect)
    assert effect.result is Result.IMPOSSIBLE
    assert "such as v1.4.2-3f2a9c1" in effect.text


def test_a_name_that_is_there_twice_or_not_at_all_is_refused(deployment: Deployment) -> None:
    deployment.file.write_text(ENV + f"TF_MODEL_TAG={GOOD}\n")
    twice = deployment.stage().landing.plan(order())
    assert isinstance(twice, Effect)
    assert "is 2 times" in twice.text
    missing = deployment.stage(IMAGE_TAG_NAME="MODEL_TAG").landing.plan(order())
    assert isinstance(missing, Effect)
    assert "MODEL_TAG is not in" in missing.text


def test_a_tag_that_somebody_else_deployed_is_left_alone(deployment: Deployment) -> None:
    stage = deployment.stage()
    made = stage.planned()
    deployment.record(deployment.others()[0], "4")
    effect = stage.landing.apply(made)
    assert effect.result is Result.UNCLEAR
    assert "somebody else deployed" in effect.text
    assert stage.landing.look(made).found is Found.OTHER
    assert deployment.deployed() == []


def test_a_deployment_that_fails_is_unknown_and_done_again_by_the_same_order(deployment: Deployment) -> None:
    stage = deployment.stage()
    made = stage.planned()
    write_script(deployment.folder / "deploy", "echo no such host >&2; exit 1")
    effect = stage.landing.apply(made)
    assert (effect.result, effect.reason) == (Result.UNCLEAR, "script_failed")
    assert effect.text.endswith("no such host")
    write_script(deployment.folder / "deploy", f'echo "$1" >> {deployment.folder}/deployed')
    assert stage.landing.apply(made).result is Result.DONE
    assert deployment.deployed() == [GOOD]


def test_what_runs_decides_where_a_command_tells_it(deployment: Deployment) -> None:
    running = deployment.folder / "running"
    stage = deployment.stage(IMAGE_TAG_VERIFY=json.dumps(["cat", str(running)]))
    made = stage.planned()
    assert stage.landing.apply(made).result is Result.DONE
    running.write_text(f"fraud-serving:{GOOD}0\n")
    assert stage.landing.look(made).found is Found.PARTLY
    running.write_text(f"fraud-serving:{GOOD}\n")
    assert stage.landing.look(made).found is Found.DONE
    running.unlink()
    assert stage.landing.look(made).found is Found.UNSEEN


def test_a_command_is_a_list_and_goes_through_no_shell(deployment: Deployment) -> None:
    stage = deployment.stage(IMAGE_TAG_DEPLOY="touch $HOME/x; reboot")
    made = stage.planned()
    effect = stage.landing.apply(made)
    assert effect.result is Result.RETRY
    assert "must be a JSON list" in effect.text
    assert deployment.file.read_text() == ENV


def test_a_leader_that_was_overtaken_deploys_nothing(deployment: Deployment) -> None:
    stage = deployment.stage()
    assert stage.landing.apply(stage.planned(fence=7)).result is Result.DONE
    deployment.record(BAD, "3")
    late = stage.landing.apply(stage.planned(fence=6))
    assert "fence 6 is lower than 7" in late.text
    assert deployment.deployed() == [GOOD]


def test_an_alert_ends_with_the_tag_of_before(deployment: Deployment, around: Surroundings) -> None:
    use(around, "image", deployment.stage())
    action = handle(around)
    assert (action.state, action.target_version) == (State.SUCCEEDED, 2), action
    assert deployment.deployed() == [GOOD]
