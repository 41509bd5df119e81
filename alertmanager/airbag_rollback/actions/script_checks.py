"""Whether a script could be run at all, and by nobody else's will: asked at start and before every run."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from airbag.errors import Problem
from airbag.serving.groups import NAME
from airbag_rollback.policy import Policy, ScriptLanding

OVERRIDABLE = ("AIRBAG_STATE_DIR",)
_SECRET = re.compile(r"(^|_)(TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?|API_KEY|ACCESS_KEY|PRIVATE_KEY)$")


def problems(policy: Policy) -> list[Problem]:
    """All that is wrong with `landings`, as far as it shows without running anything."""
    found = []
    for name, landing in policy.landings.items():
        where = f"landings.{name}"
        if not re.fullmatch(NAME, name) or name in (".", ".."):
            remedy = "1 to 100 letters, digits, `_`, `.` or `-`"
            found.append(Problem(where, "its state is kept under this name, which is no name of a folder", remedy))
        found += _of_environment(f"{where}.environment", landing)
        found += [
            Problem(f"{where}.script", f"{landing.script} {each.what}", each.remedy)
            for each in unusable(landing.script)
        ]
    return found


def longest_step(policy: Policy) -> float:
    """Seconds that scripts may keep one step busy: it looks, applies, and looks again, each as long as a script may."""
    return max((3 * policy.longest_step(name) for name in policy.landings), default=0.0)


def unusable(script: Path) -> list[Problem]:
    """Why the script cannot or must not be run; empty when it can."""
    try:
        mode = script.stat().st_mode
    except OSError as error:
        return [Problem("", f"cannot be read: {error.strerror}", "name an executable file")]
    if not stat.S_ISREG(mode):
        return [Problem("", "is not a file", "name an executable file")]
    found = []
    if not os.access(script, os.X_OK):
        found.append(Problem("", "is not executable", "chmod 755"))
    if mode & stat.S_IWOTH:
        found.append(Problem("", "can be changed by everybody", "chmod o-w"))
    open_to_all = _replaceable(script.resolve())
    if open_to_all is not None:
        found.append(Problem("", f"can be replaced by everybody, who may write to {open_to_all}", "chmod o-w"))
    return found + _of_first_line(script)


def _replaceable(script: Path) -> Path | None:
    for folder in script.parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return folder
    return None


def _of_first_line(script: Path) -> list[Problem]:
    """Without a shell nobody guesses who is to read a text."""
    try:
        with script.open("rb") as file:
            begin = file.read(256)
    except OSError as error:
        return [Problem("", f"cannot be read: {error.strerror}", "chmod a+r")]
    if not begin.startswith(b"#!"):
        text = begin.isascii() and b"\0" not in begin
        return [Problem("", "does not begin with #!", "name its interpreter, as in #!/bin/sh")] if text else []
    words = begin[2:].split(b"\n")[0].strip(b" \t").split(b" ")
    interpreter = Path(os.fsdecode(words[0]))
    if interpreter.is_file():
        return []
    return [Problem("", f"names an interpreter that is not there: {str(interpreter)!r}", "install it, or name another")]


def _of_environment(where: str, landing: ScriptLanding) -> list[Problem]:
    found = []
    for name in landing.environment:
        if name.startswith("AIRBAG_") and name not in OVERRIDABLE:
            found.append(Problem(f"{where}.{name}", "is set by Airbag itself", "choose a name without AIRBAG_"))
        if _SECRET.search(name):
            remedy = f"put it into a file of mode 0600 and give its path, as {name}_FILE"
            found.append(Problem(f"{where}.{name}", "is the name of a secret, which this file must not hold", remedy))
    return found
