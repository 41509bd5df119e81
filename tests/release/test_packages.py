"""What `make packages` builds: the same bytes every time, what is needed and nothing else, and it runs by itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from airbag import __version__
from requirements.lock import read_lock
from tests.fakes.binaries import ROOT

PACKAGES = ("airbag", "exporters/airbag_exporters", "alertmanager/airbag_rollback", "demo/airbag_demo")
WHEEL = f"tfs_airbag-{__version__}-py3-none-any.whl"
SDIST = f"tfs_airbag-{__version__}.tar.gz"
BILL = f"tfs-airbag-{__version__}.cdx.json"


def shipped() -> list[str]:
    """Files of the four packages that git knows or would take, by their path here."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PACKAGES]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in listed if (ROOT / path).exists()]


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder with the environment that runs this test, which is as it should be."""
    ready = ["-o", f"{sys.prefix}/.dev", f"VENV={sys.prefix}"]
    return subprocess.run(
        ["make", *ready, *words], cwd=folder, env={**os.environ, "SOURCE_DATE_EPOCH": "1760000000", **environment},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist") / "dist"
    done = make(ROOT, f"DIST={folder}", "packages")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_there_is_a_wheel_a_source_package_a_bill_and_their_sums(dist: Path) -> None:
    assert {each.name for each in dist.iterdir()} == {WHEEL, SDIST, BILL, "SHA256SUMS"}
    sums = dict(line.split("  ")[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((dist / name).read_bytes()).hexdigest() for name in (WHEEL, SDIST, BILL)}


def test_built_again_elsewhere_later_and_by_somebody_careful_it_is_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    needed = ["Makefile", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", "requirements"]
    for path in [*shipped(), *needed]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, copy / path)
        else:
            shutil.copyfile(ROOT / path, copy / path)
    for each in copy.rglob("*"):
        os.utime(each, (1, 1))
        each.chmod(0o700 if each.is_dir() or os.access(ROOT / each.relative_to(copy), os.X_OK) else 0o600)
    done = make(copy, "packages", TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / "dist" / "SHA256SUMS").read_text() == (dist / "SHA256SUMS").read_text()


def test_the_wheel_holds_every_file_of_the_four_packages_and_nothing_else(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        names = set(wheel.namelist())
    about = f"tfs_airbag-{__version__}.dist-info"
    said = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == said | {path.removeprefix(_parent(path)) for path in shipped()}
    assert "airbag/py.typed" in names
    assert "airbag_rollback/pages/templates/overview.html" in names


def _parent(path: str) -> str:
    """The folder that the wheel leaves out."""
    return "" if path.startswith("airbag/") else path.partition("/")[0] + "/"


def test_the_source_package_holds_what_builds_the_same_wheel_and_no_tests(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / SDIST) as sources:
        sources.extractall(tmp_path, filter="data")
    [top] = tmp_path.iterdir()
    names = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    beside = ["PKG-INFO", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"]
    assert names == {*beside, "requirements/base.lock", "requirements/build.in", *shipped()}
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    built = subprocess.run(
        words,
        cwd=top,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1760000000"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "again" / WHEEL).read_bytes() == (dist / WHEEL).read_bytes()


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what base.lock names, and nothing else: as in the image."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    [site] = folder.glob("lib/python3*/site-packages")
    for entry in read_lock(ROOT / "requirements" / "base.lock"):
        if entry.applies:
            _link(metadata.distribution(entry.name), site)
    words = ["-m", "pip", "--python", str(folder), "install", "--no-index", "--no-deps", "--quiet", str(dist / WHEEL)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """Install one as it is installed here, file by file: packages may share a folder."""
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if ".." not in file.parts and file.suffix != ".pyc" and source.exists():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).symlink_to(source)


def airbag(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, as somebody runs it who has only the wheel."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [installed / "bin" / "airbag", *words], cwd=installed, env=clean, capture_output=True, text=True, timeout=120
    )


def test_the_installed_wheel_knows_its_version_and_its_commands(installed: Path) -> None:
    assert airbag(installed, "--version").stdout.split()[-1] == __version__
    told = airbag(installed, "--help")
    assert (told.returncode, "rollback" in told.stdout) == (0, True)
    where = [installed / "bin" / "python", "-P", "-c", "import airbag, airbag_demo; print(airbag.__file__)"]
    done = subprocess.run(where, cwd=installed, env={"PATH": ""}, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(str(installed)), done.stderr


CONFIG = """
servings:
  - name: main
    targets: [{name: a, grpc: "127.0.0.1:8500"}]
    models: [{name: digits}]
"""


@pytest.mark.parametrize(
    "words",
    [("exporter", "serving"), ("exporter", "quality"), ("exporter", "host")],
    ids=["serving", "quality", "host"],
)
def test_each_exporter_starts_from_the_wheel_as_far_as_its_configuration(words: Sequence[str], installed: Path) -> None:
    (installed / "exporters.yml").write_text(CONFIG)
    done = airbag(installed, *words, "--config.file=exporters.yml", "--config.check")
    assert done.returncode == 0, done.stderr


def test_the_receiver_reads_the_shipped_policy_from_the_wheel(installed: Path) -> None:
    (installed / "exporters.yml").write_text(f"{CONFIG}    model_config_file: {installed}/models.config\n")
    (installed / "models.config").write_text("")
    policy = (ROOT / "alertmanager" / "policy.yml").read_text().replace("/etc/airbag/", "").replace("/run/secrets/", "")
    (installed / "policy.yml").write_text(policy)
    for name in ("webhook_token", "operator_token", "audit_key"):
        (installed / f"airbag_{name}").write_text(f"{name}-that-nobody-guesses-in-this-test\n")
        (installed / f"airbag_{name}").chmod(0o600)
    done = airbag(installed, "receiver", "--config.file=policy.yml", "--config.check")
    assert done.returncode == 0, done.stderr


def test_without_an_engine_the_images_are_refused_and_say_why(tmp_path: Path) -> None:
    done = make(ROOT, f"DIST={tmp_path}", "images", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode != 0
    assert "no Docker engine answers here" in done.stdout
