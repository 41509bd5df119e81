"""dvc-checkout with real git and real DVC."""

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
from tests.fakes.scripts import SHIPPED, Stage, handle, order, use

pytestmark = pytest.mark.long

DVC = Path(os.environ.get("AIRBAG_TEST_DVC") or Path(__file__).parents[2] / ".cache/dvc/bin/dvc").absolute()


@dataclass
class Repository:
    """A git repository with DVC: data of versions 1, 2 and 3 of digits, each a tag, and 3 in the working tree."""

    root: Path
    home: Path

    def run(self, *words: str) -> str:
        """A command in the repository, as a person with a name and no other settings."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
        }  # fmt: skip
        done = subprocess.run(words, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def git(self, *words: str) -> str:
        return self.run("git", "-c", "user.name=T", "-c", "user.email=t@example.com", *words)

    def dvc(self, *words: str) -> str:
        return self.run(str(DVC), *words)

    @property
    def data(self) -> Path:
        return self.root / "data" / "digits.csv"

    @property
    def pointer(self) -> Path:
        return self.root / "data" / "digits.csv.dvc"

    def stage(self, **changes: str) -> Stage:
        environment = {
            "CHECKOUT_REPO": str(self.root), "CHECKOUT_PATHS": json.dumps(["data/digits.csv.dvc"]),
            "CHECKOUT_TAG": "{model}/v{version}", "CHECKOUT_DVC": json.dumps([str(DVC)]),
        }  # fmt: skip
        return Stage(SHIPPED / "dvc-checkout", self.home / "state", environment | changes, timeout=120.0)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Made once, as DVC takes its time."""
    assert DVC.exists(), f"DVC is not at {DVC}: run `make .cache/dvc/.ready`, or set AIRBAG_TEST_DVC"
    folder = tmp_path_factory.mktemp("dvc")
    found = Repository(folder / "repository", folder / "home")
    found.root.mkdir()
    found.home.mkdir()
    found.git("init", "-q")
    found.dvc("init", "-q")
    (found.root / "data").mkdir()
    (found.root / "notes.txt").write_text("as committed\n")
    for name in ("digits", "other"):
        (found.root / "data" / f"{name}.csv").write_text(f"{name} 0\n")
    found.dvc("add", "-q", "data/other.csv")
    for version in (1, 2, 3):
        found.data.write_text(f"data of version {version}\n")
        found.dvc("add", "-q", "data/digits.csv")
        found.git("add", "-A")
        found.git("commit", "-q", "-m", f"version {version}")
        found.git("tag", f"digits/v{version}")
    return found


@pytest.fixture
def repository(template: Repository, tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "repository", tmp_path / "home")
    shutil.copytree(template.root, found.root, symlinks=True)
    found.home.mkdir()
    return found


def test_the_data_of_the_target_version_comes_back_and_other_changes_stay(repository: Repository) -> None:
    (repository.root / "notes.txt").write_text("not committed\n")
    (repository.root / "data" / "other.csv").write_text("changed by a person\n")
    (repository.root / "new.txt").write_text("not even added\n")
    head = repository.git("rev-parse", "HEAD")
    stage = repository.stage()
    made = stage.planned()
    assert stage.landing.look(made).found is Found.BEFORE
    assert stage.landing.apply(made).result is Result.DONE
    assert repository.data.read_text() == "data of version 2\n"
    assert repository.pointer.read_text() == repository.git("show", "digits/v2:data/digits.csv.dvc")
    assert stage.landing.look(made).found is Found.DONE
    assert (repository.root / "notes.txt").read_text() == "not committed\n"
    assert (repository.root / "data" / "other.csv").read_text() == "changed by a person\n"
    assert repository.git("status", "--porcelain").splitlines() == [
        " M data/digits.csv.dvc", " M notes.txt", "?? new.txt",
    ]  # fmt: skip
    assert repository.git("rev-parse", "HEAD") == head
    assert stage.landing.apply(made).result is Result.DONE  # the same order again


def test_it_goes_further_back_from_where_it_went_itself(repository: Repository) -> None:
    stage = repository.stage()
    assert stage.landing.apply(stage.planned()).result is Result.DONE
    further = stage.planned(target=1)
    assert stage.landing.apply(further).result is Result.DONE
    assert repository.data.read_text() == "data of version 1\n"


def _pointer_by_hand(repository: Repository) -> None:
    repository.pointer.write_text(repository.pointer.read_text() + "desc: by hand\n")


def _data_by_hand(repository: Repository) -> None:
    repository.data.unlink()
    repository.data.write_text("work of a week\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(_pointer_by_hand, "changes that are not committed"), (_data_by_hand, "data/digits.csv is modified")],
    ids=["pointer", "data"],
)
def test_what_nobody_could_get_back_is_refused_at_the_plan_and_at_the_touch(
    repository: Repository, spoil: object, said: str
) -> None:
    assert callable(spoil)
    stage = repository.stage()
    made = stage.planned()
    spoil(repository)
    before = (repository.pointer.read_text(), repository.data.read_text())
    refused = stage.landing.plan(order())
    assert isinstance(refused, Effect)
    assert (refused.result, refused.reason) == (Result.IMPOSSIBLE, "script_refused")
    assert said in refused.text
    assert stage.landing.apply(made).result is not Result.DONE
    assert (repository.pointer.read_text(), repository.data.read_text()) == before


def test_data_that_the_cache_lacks_leaves_all_as_it_was(repository: Repository) -> None:
    stage = repository.stage()
    made = stage.planned()
    _lose(repository, "digits/v2")
    effect = stage.landing.apply(made)
    assert effect.result is Result.RETRY
    assert "all is put back" in effect.text
    assert repository.data.read_text() == "data of version 3\n"
    assert repository.git("status", "--porcelain") == ""
    assert stage.landing.look(made).found is Found.BEFORE


def _lose(repository: Repository, revision: str) -> None:
    pointer = repository.git("show", f"{revision}:data/digits.csv.dvc")
    md5 = pointer.split("md5: ")[1].split()[0]
    (repository.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()


def test_data_that_the_cache_lacks_is_fetched_where_a_remote_is_named(repository: Repository, tmp_path: Path) -> None:
    repository.dvc("remote", "add", "--local", "store", str(tmp_path / "store"))
    shutil.copytree(repository.root / ".dvc/cache/files", tmp_path / "store/files")  # laid out as a remote is
    _lose(repository, "digits/v2")
    stage = repository.stage(CHECKOUT_REMOTE="store")
    made = stage.planned()
    assert stage.landing.apply(made).result is Result.DONE
    assert repository.data.read_text() == "data of version 2\n"


def test_a_pointer_without_its_data_is_partly_done(repository: Repository) -> None:
    stage = repository.stage()
    made = stage.planned()
    repository.pointer.write_text(repository.git("show", "digits/v2:data/digits.csv.dvc"))
    assert stage.landing.look(made).found is Found.PARTLY
    assert stage.landing.apply(made).result is Result.DONE
    assert stage.landing.look(made).found is Found.DONE
    repository.pointer.write_text(repository.git("show", "digits/v1:data/digits.csv.dvc"))
    assert stage.landing.look(made).found is Found.OTHER


def test_the_revision_may_stand_in_the_versions_own_card(repository: Repository, tmp_path: Path) -> None:
    card = tmp_path / "airbag.yaml"
    commit = repository.git("rev-parse", "--short", "digits/v1").strip()
    card.write_text(f'owner: t\ndata_revision: "{commit}" # of the training data\n')
    stage = repository.stage(CHECKOUT_TAG="", CHECKOUT_CARD=f"{tmp_path}/airbag.yaml")
    assert stage.landing.apply(stage.planned(target=1)).result is Result.DONE
    assert repository.data.read_text() == "data of version 1\n"
    card.write_text("owner: t\n")
    refused = stage.landing.plan(order())
    assert isinstance(refused, Effect)
    assert "names no data_revision" in refused.text


def test_a_version_without_a_tag_and_a_path_outside_are_refused(repository: Repository) -> None:
    for stage, said in (
        (repository.stage(CHECKOUT_TAG="none/{version}"), "has no revision refs/tags/none/2"),
        (repository.stage(CHECKOUT_PATHS='["../digits.csv.dvc"]'), "must name .dvc files inside"),
        (repository.stage(CHECKOUT_PATHS='["data/none.dvc"]'), "data/none.dvc is not in"),
    ):
        refused = stage.landing.plan(order())
        assert isinstance(refused, Effect)
        assert refused.result is Result.IMPOSSIBLE
        assert said in refused.text


def test_a_leader_that_was_overtaken_checks_nothing_out(repository: Repository) -> None:
    stage = repository.stage()
    assert stage.landing.apply(stage.planned(fence=7)).result is Result.DONE
    late = stage.landing.apply(stage.planned(target=1, fence=6))
    assert "fence 6 is lower than 7" in late.text
    assert repository.data.read_text() == "data of version 2\n"


def test_an_alert_ends_with_the_data_of_before(repository: Repository, around: Surroundings) -> None:
    use(around, "data", repository.stage())
    action = handle(around)
    assert (action.state, action.target_version) == (State.SUCCEEDED, 2), action
    assert repository.data.read_text() == "data of version 2\n"
