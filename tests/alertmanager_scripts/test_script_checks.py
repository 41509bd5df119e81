"""What is wrong with scripts is said at the start, all of it, and not at three in the morning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airbag.errors import ConfigError
from airbag_rollback.config import load_settings
from tests.fakes.rollback import Surroundings
from tests.fakes.scripts import write_script


def _told(around: Surroundings, landings: str) -> list[str]:
    around.write_policy(landings=landings)
    with pytest.raises(ConfigError) as caught:
        load_settings(around.policy_file)
    return [str(each) for each in caught.value.problems]


def test_all_that_is_wrong_with_scripts_is_listed_at_once(around: Surroundings) -> None:
    folder = around.folder / "scripts"
    (folder / "open").mkdir(parents=True)
    write_script(folder / "plain", "exit 0").chmod(0o644)
    write_script(folder / "shared", "exit 0").chmod(0o757)
    write_script(folder / "open" / "swapped", "exit 0")
    (folder / "open").chmod(0o777)
    write_script(folder / "alien", "exit 0", "/usr/bin/no-such-shell")
    write_script(folder / "windows", "exit 0", "/bin/sh\r")
    (folder / "text").write_text("exit 0\n")
    (folder / "text").chmod(0o755)
    landings = "".join(
        f"\n  {name}: {{script: scripts/{path}}}"
        for name, path in {
            "gone": "gone", "folder": "open", "plain": "plain", "shared": "shared", "swapped": "open/swapped",
            "alien": "alien", "windows": "windows", "text": "text", '"a/b"': "gone",
        }.items()
    )  # fmt: skip
    landings += "\n  named: {script: /bin/true, environment: {AIRBAG_KEY: x, API_TOKEN: y, API_TOKEN_FILE: z}}"
    assert _told(around, landings) == [
        f"landings.gone.script: {folder}/gone cannot be read: No such file or directory (name an executable file)",
        f"landings.folder.script: {folder}/open is not a file (name an executable file)",
        f"landings.plain.script: {folder}/plain is not executable (chmod 755)",
        f"landings.shared.script: {folder}/shared can be changed by everybody (chmod o-w)",
        f"landings.swapped.script: {folder}/open/swapped can be replaced by everybody, who may write to {folder}/open "
        "(chmod o-w)",
        f"landings.alien.script: {folder}/alien names an interpreter that is not there: '/usr/bin/no-such-shell' "
        "(install it, or name another)",
        f"landings.windows.script: {folder}/windows names an interpreter that is not there: '/bin/sh\\r' "
        "(install it, or name another)",
        f"landings.text.script: {folder}/text does not begin with #! (name its interpreter, as in #!/bin/sh)",
        "landings.a/b: its state is kept under this name, which is no name of a folder "
        "(1 to 100 letters, digits, `_`, `.` or `-`)",
        f"landings.a/b.script: {folder}/gone cannot be read: No such file or directory (name an executable file)",
        "landings.named.environment.AIRBAG_KEY: is set by Airbag itself (choose a name without AIRBAG_)",
        "landings.named.environment.API_TOKEN: is the name of a secret, which this file must not hold "
        "(put it into a file of mode 0600 and give its path, as API_TOKEN_FILE)",
    ]


def test_a_script_a_program_and_a_state_folder_of_ones_own_are_fine(around: Surroundings) -> None:
    write_script(around.folder / "mine", "exit 0", "/usr/bin/env python3")
    around.write_policy(
        landings="\n  mine: {script: mine, environment: {AIRBAG_STATE_DIR: /srv/state}}\n  program: {script: /bin/true}"
    )
    assert set(load_settings(around.policy_file).policy.landings) == {"mine", "program"}


def test_the_check_of_the_receiver_says_it_and_starts_nothing(around: Surroundings) -> None:
    around.write_policy(landings="\n  mine: {script: scripts/mine}")
    done = subprocess.run(
        [sys.executable, "-m", "airbag", "receiver", "--config.file", str(around.policy_file), "--config.check"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"landings.mine.script: {Path(around.folder)}/scripts/mine cannot be read" in done.stderr
