"""Two replicas whose counters grow evenly: what each shows at any second, and what the recording rules make of it."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml
from prometheus_client.parser import text_string_to_metric_families

from airbag.rules import RuleSettings
from airbag.serving.quality import ModelQuality
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, Layout, families
from airbag_exporters.quality.models import Spec
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference
from airbag_exporters.quality.render import Snapshot, metrics_page, reference_page
from airbag_exporters.rules.build import build
from tests.fakes.binaries import find

STABLE, CANDIDATE = "stable", "candidate"
_SQUARES = (families.SQUARED_ERROR, families.TARGET_SQUARED)  # there is no spread without large ones
_CUMULATIVE = (families.FEATURE_LE, families.SCORE_LE, families.SCORE_SUM_LE)
Sample = frozenset[tuple[str, str]]


def reference(seed: int, bins: int = 10) -> Reference:
    """Two numeric features, a categorical one and the score."""
    rng = np.random.default_rng(seed)

    def numeric() -> Numeric:
        edges = tuple(float(edge) for edge in range(bins - 1))
        le = tuple(int(n) for n in np.cumsum(rng.integers(50, 150, bins)))
        return Numeric(edges=edges, le=le, minimum=-1, maximum=float(bins), missing=40 * seed)

    colours = Categorical(counts={"red": 300, "green": 500, "blue": 0}, other=17, missing=29)
    features = {"age": numeric(), "income": numeric(), "colour": colours}
    return Reference(rows=1000, features=features, score=numeric(), score_edges=tuple(np.linspace(0.1, 0.9, 9)))


def spec(kind: str, model: str, profile: Reference | None = None, classes: Sequence[str] = ()) -> Spec:
    return Spec("main", model, tuple(classes), ModelQuality(kind=kind), profile)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Version:
    """Counters that begin at `base` and grow by `step` a second between the seconds `begins` and `ends`."""

    owner: Owner
    spec: Spec
    base: Block
    step: Block
    begins: int = 0
    ends: int = 10**9

    def at(self, second: int) -> Block:
        block, seconds = self.base.copy(), max(0, min(second, self.ends) - self.begins)
        block.ints += self.step.ints * seconds
        block.floats += self.step.floats * seconds
        return block


def version(spec: Spec, number: str, seed: int, rate: int = 5, begins: int = 0, ends: int = 10**9) -> Version:
    """Any counters at all, with cumulative ones that are cumulative, and many that stay 0."""
    owner = Owner(spec.serving, spec.model, number)
    base, step = Block(Layout.of(spec, owner)), Block(Layout.of(spec, owner))
    rng = np.random.default_rng(seed)
    for block, most in ((base, 1000), (step, rate)):
        for part in block.layout.parts:
            counts = rng.integers(0, most + 1, len(part.rows)) * (rng.random(len(part.rows)) > 0.2)
            counters = block.of(part.family, part.suffix)
            counters += counts + 100 * most if part.family in _SQUARES else counts
            if part.family in _CUMULATIVE:
                _accumulate(counters, [row[-2:] for row in part.rows])
    return Version(owner, spec, base, step, begins, ends)


def _accumulate(counters: np.ndarray, names: Sequence[tuple[str, ...]]) -> None:
    for place, (_, before) in enumerate(names):
        counters[place] = 0 if before == "" else counters[place] + counters[place - 1]


@dataclass(frozen=True)
class Replica:
    """What one replica shows. Models have at least `labels_min` labelled rows before they are judged."""

    versions: Sequence[Version]
    roles: Mapping[Owner, str]
    labels_min: float = 50.0

    def at(self, second: int) -> Snapshot:
        models = {each.owner[:2]: each.spec for each in self.versions}
        return Snapshot(
            blocks={each.owner: each.at(second) for each in self.versions},
            roles=self.roles,
            references={each.owner: each.spec.reference for each in self.versions if each.spec.reference},
            kinds={model: each.quality.kind for model, each in models.items()},
            expected={model: {"labels_min": self.labels_min} for model in models},
        )


def by_rules(
    replicas: Mapping[str, Replica], windows: RuleSettings, second: int, folder: Path
) -> dict[str, dict[Sample, float]]:
    """Every record of the shipped rules at that second, by its name and labels, as promtool computes it."""
    built = build(windows, {})
    files = {name: built[name] for name in ("quality.yml", "quality_windows.yml", "drift.yml")}
    for name, text in files.items():
        (folder / name).write_text(text)
    records = re.findall(r"record: (\S+)", "\n".join(files.values()))
    series = [each for name, replica in replicas.items() for each in _series(name, replica, second)]
    checks = [
        {"expr": name, "eval_time": f"{second}s", "exp_samples": [{"labels": "none", "value": 0}]} for name in records
    ]
    groups = [group["name"] for text in files.values() for group in yaml.safe_load(text)["groups"]]
    test = {
        "rule_files": list(files), "evaluation_interval": "1s", "group_eval_order": groups,
        "tests": [{"interval": "1s", "input_series": series, "promql_expr_test": checks}],
    }  # fmt: skip
    (folder / "test.yml").write_text(yaml.safe_dump(test, width=10**6))
    command = [str(find("promtool")), "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    return _got(done.stdout + done.stderr, records)


def _series(name: str, replica: Replica, second: int) -> list[dict[str, str]]:
    """Every series in promtool's notation, piece by piece between the seconds at which its growth changes."""
    turns = sorted({0, second, *(t for each in replica.versions for t in (each.begins, each.ends) if 0 < t < second)})
    shown = [_samples(replica.at(turn)) for turn in turns]
    found = []
    for key in shown[0]:
        values = [each[key] for each in shown]
        pieces = [f"{values[0]!r}"]
        for (begin, end), (low, high) in zip(pairwise(turns), pairwise(values), strict=True):
            slope = (high - low) / (end - begin)
            pieces.append(f"{low + slope!r}+{slope!r}x{end - begin - 1}")
        labels = ",".join(f'{label}="{value}"' for label, value in sorted([*key[1], ("instance", name)]))
        found.append({"series": f"{key[0]}{{{labels}}}", "values": " ".join(pieces)})
    return found


def _samples(snapshot: Snapshot) -> dict[tuple[str, Sample], float]:
    text = b"".join([*metrics_page(snapshot), *reference_page(snapshot)]).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if math.isfinite(sample.value)
    }


def _got(output: str, records: Sequence[str]) -> dict[str, dict[Sample, float]]:
    """What promtool says that it found instead of the nonsense that was expected."""
    found: dict[str, dict[Sample, float]] = {}
    for name, got in re.findall(r'expr: "([^"]+)".*?got:(.*?)(?=\n\s*expr:|\n\s*FAILED|\Z)', output, re.DOTALL):
        samples = re.findall(r"\{(.*?)\} ([^\s,]+)", got) if "nil" not in got else []
        found[name] = {_labels(labels): float(value) for labels, value in samples}
    assert set(found) == set(records), output[:2000]
    return found


def _labels(text: str) -> Sample:
    pairs = re.findall(r'(\w+)="([^"]*)"', text)
    return frozenset((label, value) for label, value in pairs if label != "__name__" and value)
