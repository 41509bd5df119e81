"""models.config on disk is replaced whole or not at all, by one writer at a time."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airbag.errors import ConfigError
from airbag.serving.model_config import (
    FencedOff,
    FileError,
    Locked,
    ModelConfigFile,
    Policy,
    StaleGeneration,
    edit_versions,
)

TEXT = """# served by hand until now
model_config_list {
  config { name: "a" base_path: "/m/a" model_version_policy { specific { versions: 1 versions: 2 } } }
  config { name: "b" base_path: "/m/b" }
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "models.config"
    path.write_text(TEXT)
    return path


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _is_untouched(path: Path) -> bool:
    return path.read_text() == TEXT and not [name for name in _names(path.parent) if ".new" in name or ".prev" in name]


def test_a_snapshot_tells_models_policies_and_versions(path: Path) -> None:
    snapshot = ModelConfigFile(path).read()
    assert (snapshot.text, snapshot.generation, snapshot.models) == (TEXT, 0, ("a", "b"))
    assert (snapshot.policy("a"), snapshot.policy("b")) == (Policy.specific(1, 2), Policy.latest())
    assert (snapshot.versions("a"), snapshot.versions("b")) == ((1, 2), ())
    assert snapshot.model("b").base_path == "/m/b"
    with pytest.raises(ConfigError, match="the file has: a, b"):
        snapshot.policy("c")


def test_each_replacement_counts_the_generation_in_the_first_line(path: Path) -> None:
    file = ModelConfigFile(path)
    first = file.replace(file.read(), edit_versions(TEXT, "a", [1]))
    assert path.read_text() == "# airbag: generation 1 fence 0\n" + edit_versions(TEXT, "a", [1])
    second = file.replace(first, edit_versions(first.text, "a", [2]))
    assert path.read_text() == "# airbag: generation 2 fence 0\n" + edit_versions(TEXT, "a", [2])
    assert (first.generation, second.generation, second.versions("a")) == (1, 2, (2,))
    assert file.read() == second


def test_a_writer_with_a_lower_fence_than_the_files_is_refused_and_nothing_changes(path: Path) -> None:
    file = ModelConfigFile(path)
    first = file.replace(file.read(), edit_versions(TEXT, "a", [1]), fence=7)
    assert path.read_text() == "# airbag: generation 1 fence 7\n" + edit_versions(TEXT, "a", [1])
    with pytest.raises(FencedOff, match=r"models.config was written under fence 7, this .* has fence 6") as caught:
        file.replace(first, edit_versions(first.text, "a", [2]), fence=6)
    assert not caught.value.retryable
    assert file.read() == first
    assert file.replace(first, edit_versions(first.text, "a", [2]), fence=7).fence == 7
    assert file.replace(file.read(), edit_versions(first.text, "a", [1]), fence=9).fence == 9


def test_a_lower_fence_is_named_before_a_stale_reading(path: Path) -> None:
    """Reading again would not help who was fenced off."""
    file = ModelConfigFile(path)
    old = file.read()
    file.replace(old, edit_versions(TEXT, "a", [1]), fence=2)
    with pytest.raises(FencedOff):
        file.replace(old, edit_versions(TEXT, "a", [2]), fence=1)


def test_people_leave_the_fence_as_it_is(path: Path) -> None:
    file = ModelConfigFile(path)
    first = file.replace(file.read(), edit_versions(TEXT, "a", [1]), fence=7)
    second = file.replace(first, edit_versions(first.text, "a", [2]))
    assert second.text.startswith("# airbag: generation 2 fence 7\n")


def test_a_header_from_before_there_were_fences_has_fence_0(path: Path) -> None:
    path.write_text("# airbag: generation 4\n" + TEXT)
    file = ModelConfigFile(path)
    old = file.read()
    assert (old.generation, old.fence) == (4, 0)
    new = file.replace(old, edit_versions(old.text, "a", [1]), fence=1)
    assert new.text == "# airbag: generation 5 fence 1\n" + edit_versions(TEXT, "a", [1])


def test_the_file_before_stays_beside_it(path: Path) -> None:
    file = ModelConfigFile(path)
    first = file.replace(file.read(), edit_versions(TEXT, "a", [1]))
    assert path.with_name("models.config.previous").read_text() == TEXT
    file.replace(first, edit_versions(first.text, "a", [2]))
    assert path.with_name("models.config.previous").read_text() == first.text
    assert _names(path.parent) == ["models.config", "models.config.lock", "models.config.previous"]


def test_a_server_that_has_the_old_file_open_keeps_all_of_it(path: Path) -> None:
    file = ModelConfigFile(path)
    with path.open() as reading:
        file.replace(file.read(), edit_versions(TEXT, "a", [1]))
        assert reading.read() == TEXT


def test_line_endings_and_bytes_of_other_languages_survive(path: Path) -> None:
    text = TEXT.replace("by hand", "à la main").replace("\n", "\r\n")
    path.write_bytes(text.encode())
    file = ModelConfigFile(path)
    file.replace(file.read(), edit_versions(text, "a", [1]))
    expected = "# airbag: generation 1 fence 0\r\n" + text.replace("versions: 1 versions: 2", "versions: 1")
    assert path.read_bytes() == expected.encode()


def test_mode_and_owner_are_kept(path: Path) -> None:
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    file = ModelConfigFile(path)
    file.replace(file.read(), edit_versions(TEXT, "a", [1]))
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o640


def test_a_symbolic_link_stays_one_and_its_file_is_replaced(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.config"
    link.parent.mkdir()
    link.symlink_to(path)
    file = ModelConfigFile(link)
    file.replace(file.read(), edit_versions(TEXT, "a", [1]))
    assert link.is_symlink()
    assert ModelConfigFile(path).read().versions("a") == (1,)
    assert _names(link.parent) == ["link.config"]


def test_a_writer_who_read_an_older_generation_is_refused(path: Path) -> None:
    file = ModelConfigFile(path)
    old = file.read()
    file.replace(old, edit_versions(TEXT, "a", [1]))
    with pytest.raises(StaleGeneration, match="generation 1, not at 0"):
        file.replace(old, edit_versions(TEXT, "a", [2]))
    assert file.read().versions("a") == (1,)


def test_an_edit_by_hand_since_the_read_is_not_overwritten(path: Path) -> None:
    file = ModelConfigFile(path)
    old = file.read()
    path.write_text(TEXT.replace("/m/b", "/new/b"))
    with pytest.raises(StaleGeneration, match="edited by something other"):
        file.replace(old, edit_versions(TEXT, "a", [2]))
    assert "/new/b" in path.read_text()


def test_a_text_that_is_no_configuration_is_never_written(path: Path) -> None:
    file = ModelConfigFile(path)
    with pytest.raises(ConfigError):
        file.replace(file.read(), "model_config_list {")
    assert _is_untouched(path)


@pytest.mark.parametrize("content", [None, b"\xff", b"nonsense"], ids=["missing", "no text", "no configuration"])
def test_a_file_that_cannot_be_read_is_named(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        ModelConfigFile(path).read()


def _python(code: str, *args: object, input: str | None = None) -> subprocess.CompletedProcess[str]:
    program = "import os, sys\nfrom airbag.serving.model_config import *\n" + code
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, args)], capture_output=True, text=True, input=input, check=False
    )


REPLACE = """
file = ModelConfigFile(sys.argv[1])
try:
    snapshot = file.read()
    file.replace(snapshot, edit_versions(snapshot.text, 'a', [1]))
except FileError as error:
    print(error)
"""


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_rest(path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
    done = _python(limit + REPLACE, path)
    assert f"cannot replace {path}: File too large" in done.stdout, done
    assert _is_untouched(path)


def _mount(*arguments: str) -> bool:
    program = shutil.which("mount")
    return (
        program is not None and subprocess.run([program, *arguments], capture_output=True, check=False).returncode == 0
    )


def _unmount(where: Path) -> None:
    subprocess.run([shutil.which("umount") or "umount", str(where)], check=True)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=8k", "none", str(folder)):
        pytest.skip("mounting a small disk needs privileges that this machine does not give")
    try:
        yield folder
    finally:
        _unmount(folder)


def test_a_full_disk_leaves_the_old_file_and_names_the_remedy(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk") as disk:
        path = disk / "models.config"
        path.write_text(TEXT)
        (disk / "ballast").write_bytes(b"x" * 4096)
        file = ModelConfigFile(path)
        with pytest.raises(FileError, match="No space left on device; free some space"):
            file.replace(file.read(), edit_versions(TEXT, "a", [1]))
        assert _is_untouched(path)
        (disk / "ballast").unlink()
        assert file.replace(file.read(), edit_versions(TEXT, "a", [1])).generation == 1


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach: pytest's own is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "models.config").write_text(TEXT)
        (folder / "models.config").chmod(0o644)
        yield folder


BE_NOBODY = "if os.geteuid() == 0:\n    os.setgroups([])\n    os.setgid(65534)\n    os.setuid(65534)\n"


def test_a_read_only_folder_leaves_the_old_file_and_names_the_remedy(open_folder: Path) -> None:
    path = open_folder / "models.config"
    open_folder.chmod(0o555)
    done = _python(BE_NOBODY + REPLACE, path)
    open_folder.chmod(0o755)
    assert "Permission denied; let Airbag's user write to that folder" in done.stdout, done
    assert _is_untouched(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_an_owner_that_cannot_be_kept_is_refused_rather_than_changed(open_folder: Path) -> None:
    path = open_folder / "models.config"
    open_folder.chmod(0o777)
    done = _python(BE_NOBODY + REPLACE, path)
    assert "run Airbag as the user who owns the file" in done.stdout, done
    assert _is_untouched(path)


def test_a_file_that_is_a_mount_of_its_own_is_refused_with_the_remedy(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    bound = folder / "models.config"
    bound.touch()
    if not _mount("--bind", str(path), str(bound)):
        pytest.skip("binding a file needs privileges that this machine does not give")
    try:
        file = ModelConfigFile(bound)
        with pytest.raises(FileError, match="mount the folder, not the single file"):
            file.replace(file.read(), edit_versions(TEXT, "a", [1]))
        assert path.read_text() == TEXT
    finally:
        _unmount(bound)


HOLD = """
with ModelConfigFile(sys.argv[1]).locked():
    print('held', flush=True)
    sys.stdin.readline()
"""


@contextmanager
def _holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    program = "import sys\nfrom airbag.serving.model_config import *\n" + HOLD
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_a_second_process_waits_for_the_lock_and_then_says_so(path: Path) -> None:
    file = ModelConfigFile(path)
    with _holder(path), pytest.raises(Locked, match=r"held .*models.config for 0\.1 s"), file.locked(0.1):
        pytest.fail("both held the lock")


def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    with _holder(path) as holder:
        holder.kill()
        holder.wait()
        with ModelConfigFile(path).locked(5):
            pass


def test_threads_exclude_each_other_through_one_object_and_through_two(path: Path) -> None:
    one = ModelConfigFile(path)
    outcomes: list[str] = []

    def attempt(file: ModelConfigFile) -> None:
        try:
            with file.locked(0.05):
                outcomes.append("entered")
        except Locked:
            outcomes.append("kept out")

    with one.locked(), one.locked():
        for file in (one, ModelConfigFile(path)):
            thread = threading.Thread(target=attempt, args=(file,))
            thread.start()
            thread.join()
    attempt(ModelConfigFile(path))
    assert outcomes == ["kept out", "kept out", "entered"]


ADD_ONE = """
file = ModelConfigFile(sys.argv[1])
for _ in range(20):
    with file.locked(60):
        snapshot = file.read()
        file.replace(snapshot, edit_versions(snapshot.text, 'a', [snapshot.versions('a')[0] + 1]))
"""


def test_two_processes_that_write_at_once_lose_no_update_and_readers_see_only_whole_files(path: Path) -> None:
    program = "import sys\nfrom airbag.serving.model_config import *\n" + ADD_ONE
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(2)]
    file = ModelConfigFile(path)
    while any(writer.poll() is None for writer in writers):
        assert file.read().models == ("a", "b")
    assert [writer.wait() for writer in writers] == [0, 0]
    assert (file.read().versions("a"), file.read().generation) == ((41,), 40)


KILLED = """
import signal
from airbag.serving.model_config import file as module
real = getattr(os, sys.argv[2])
def die(*args, **kwargs):
    if sys.argv[3] == 'after':
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[2], die)
"""


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_step_leaves_a_whole_file_and_the_next_write_succeeds(path: Path, call: str, moment: str) -> None:
    done = _python(KILLED + REPLACE, path, call, moment)
    assert done.returncode == -9
    file = ModelConfigFile(path)
    snapshot = file.read()
    assert snapshot.text == TEXT
    assert file.replace(snapshot, edit_versions(snapshot.text, "a", [2])).versions("a") == (2,)
