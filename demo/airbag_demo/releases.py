"""The demo's releases: trained once, kept in the checkout's cache, copied into the model store as a publisher would."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from airbag.errors import StartError
from airbag_demo.binaries import need_tensorflow

MODEL = "digits"
_TRAINER = Path(__file__).parent / "trainer"


def trained(root: Path, say: Callable[[str], None]) -> Path:
    """The folder of releases made by the present trainer; trains them when it is not there yet.

    Holds `good/1`, `good/2`, `faults/NAME` and the held-out rows. StartError when training fails or cannot start.
    """
    need_tensorflow()
    sources = [*sorted(_TRAINER.glob("*.py")), _TRAINER.with_name("drawing.py")]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = root / ".cache" / "demo-models" / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:  # two starts at once train once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _train(folder, say)
    return folder


def _train(folder: Path, say: Callable[[str], None]) -> None:
    say("Training a digit classifier with TensorFlow on scikit-learn's digits (once; some seconds).")
    command = [sys.executable, "-m", "airbag_demo.trainer", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        output, errors = child.communicate()
    for line in output.splitlines():
        say(line)
    if child.returncode != 0:
        raise StartError(f"training failed with exit code {child.returncode}:\n{errors[-2000:]}")


def publish(source: Path, store: Path, version: int) -> None:
    """Copy a release into the model store under a name that no server takes for a version, then rename it."""
    store.mkdir(parents=True, exist_ok=True)
    half = store / f"{version}.incoming"
    shutil.copytree(source, half)
    half.rename(store / str(version))
