"""`python -m airbag_demo.trainer FOLDER`: fill FOLDER with releases and held-out rows, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_digits

from airbag_demo.trainer import golden, profile
from airbag_demo.trainer.export import hoarding, refusing, save, truncate
from airbag_demo.trainer.network import Classes, Network, Rows, train

HELD_OUT = 500


def _rows() -> tuple[Rows, Classes]:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    return digits.data[order].astype(np.float32), digits.target[order].astype(np.int64)


def _accuracy(network: Network, pixels: Rows, digits: Classes) -> float:
    return float(np.mean(np.argmax(network.logits(pixels).numpy(), axis=1) == digits))


def _card(version: Path, accuracy: float) -> None:
    """The facts about a release that the serving exporter shows."""
    facts = {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": {"accuracy": accuracy},
        "owner": "airbag demo",
        "data_revision": "scikit-learn digits",
    }
    (version / "airbag.yaml").write_text(json.dumps(facts))  # JSON is YAML


def _build(folder: Path) -> None:
    pixels, digits = _rows()
    held_pixels, held_digits = pixels[:HELD_OUT], digits[:HELD_OUT]
    pixels, digits = pixels[HELD_OUT:], digits[HELD_OUT:]

    first = train(pixels[:400], digits[:400], steps=60, seed=1)
    second = train(pixels, digits, steps=300, seed=2)
    # The label encoder of this training run is off by one: the classic way to lose accuracy and notice nothing.
    mislabelled = train(pixels, (digits + 1) % 10, steps=300, seed=3)

    for name, network in (("1", first), ("2", second), ("3 with the fault accuracy", mislabelled)):
        print(f"trained version {name}: accuracy {_accuracy(network, held_pixels, held_digits):.3f}", flush=True)
    save(first, folder / "good" / "1")
    save(second, folder / "good" / "2")
    save(mislabelled, folder / "faults" / "accuracy")
    save(second, folder / "faults" / "errors", refusing)
    save(second, folder / "faults" / "latency", hoarding)
    save(second, folder / "faults" / "load")
    truncate(folder / "faults" / "load")
    for name, network in {"good/1": first, "good/2": second, "faults/accuracy": mislabelled}.items():
        _card(folder / name, _accuracy(network, held_pixels, held_digits))
    latest = folder / "good" / "2"
    profile.write(latest, second, pixels)
    profile.write(folder / "good" / "1", first, pixels[:400], bins_of=latest)
    profile.write(folder / "faults" / "accuracy", mislabelled, pixels, bins_of=latest)
    for fault in ("errors", "latency", "load"):
        profile.copy(folder / "faults" / fault, latest)
    known = golden.requests(held_pixels, held_digits, [first, second])
    for release in (*(folder / "good").iterdir(), *(folder / "faults").iterdir()):
        golden.write(release, known)
    np.savez(folder / "held_out.npz", pixels=held_pixels, digits=held_digits)


def main(target: Path) -> None:
    """Build beside `target` and rename, so that a half-filled folder never carries its name."""
    half = target.with_name(target.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    _build(half)
    shutil.rmtree(target, ignore_errors=True)
    half.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
