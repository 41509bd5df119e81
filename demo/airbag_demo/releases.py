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
    """The folder of releases in the cache of the checkout `root`; see `trained_in`."""
    return trained_in(root / ".cache" / "demo-models", say)


def trained_in(base: Path, say: Callable[[str], None]) -> Path:
    """The folder of releases made by the present trainer; trains them when it is not there yet.

    Holds `good/1`, `good/2`, `faults/NAME` and the held-out rows. StartError when training fails or cannot start.
    """
    need_tensorflow()
    folder = _folder(base)
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:  # two starts at once train once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _train(folder, say)
    return folder


def found_in(base: Path) -> Path:
    """The folder that `trained_in` has filled, for who has no TensorFlow. StartError when it is not there."""
    folder = _folder(base)
    if not folder.is_dir():
        raise StartError(f"{folder} is not there; run `airbag demo prepare` of this version first")
    return folder


def _folder(base: Path) -> Path:
    sources = [*sorted(_TRAINER.glob("*.py")), _TRAINER.with_name("drawing.py")]
    return base / hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


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
