"""What `make demo` and `make test` say on a system that they cannot set up."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "demo" / "bootstrap.sh"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A PATH of a system without apt-get, Python or Prometheus."""
    for tool in ("sh", "id", "uname", "mktemp", "cat", "rm"):
        found = shutil.which(tool)
        assert found
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def bootstrap(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHON"} | {"PATH": str(path)}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False
    )


def test_missing_binaries_are_named_with_a_way_to_get_them_on_macos(elsewhere: Path) -> None:
    done = bootstrap(elsewhere, "binaries")
    assert done.returncode == 1
    assert "prometheus, promtool, alertmanager and amtool must be on PATH" in done.stderr
    assert "brew install prometheus alertmanager" in done.stderr


def test_a_missing_python_is_named_with_a_way_to_get_it(elsewhere: Path) -> None:
    done = bootstrap(elsewhere, "python", str(elsewhere / "venv"))
    assert done.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13" in done.stderr
    assert "brew install python" in done.stderr


def test_on_debian_without_root_and_sudo_the_command_for_root_is_given(elsewhere: Path) -> None:
    (elsewhere / "apt-get").symlink_to("/bin/false")
    (elsewhere / "id").unlink()
    (elsewhere / "id").write_text("#!/bin/sh\necho 1000\n")
    (elsewhere / "id").chmod(0o755)
    done = bootstrap(elsewhere, "binaries")
    assert done.returncode == 1
    assert "Run this as root: apt-get install prometheus prometheus-alertmanager" in done.stderr


def test_nothing_is_installed_when_everything_is_there(elsewhere: Path) -> None:
    for program in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        (elsewhere / program).symlink_to("/bin/true")
    done = bootstrap(elsewhere, "binaries")
    assert (done.returncode, done.stderr) == (0, "")


def test_newest_asks_for_victoriametrics_where_only_that_is_missing(elsewhere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "newest"
    folder.mkdir()
    for program in ("prometheus", "promtool", "alertmanager", "amtool"):
        (folder / program).symlink_to("/bin/true")
    done = bootstrap(elsewhere, "newest", str(folder))
    assert done.returncode == 1
    assert "victoria-metrics, into" in done.stderr
    (folder / "victoria-metrics").symlink_to("/bin/true")
    assert bootstrap(elsewhere, "newest", str(folder)).returncode == 0
