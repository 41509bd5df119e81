"""Real rows go through two replicas, one of which is killed in the middle; the numbers in Prometheus are right.

What is right is said by scikit-learn, scipy and sacrebleu about the same rows.
"""

from __future__ import annotations

import csv
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from airbag_exporters.quality.reference.value import Reference, load_reference
from tests.fakes.binaries import find
from tests.fakes.ports import free_port
from tests.fakes.redis_server import redis_server
from tests.fakes.wait import until
from tests.stories.replay import oracle, rows

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]

WINDOW = "5m"
NDJSON = {"content-type": "application/x-ndjson"}
BATCH = 200


@dataclass
class Replica:
    """One quality exporter on a port of its own, which can be killed and started again."""

    folder: Path
    config: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "airbag", "exporter", "quality", f"--config.file={self.config}",
                   f"--web.listen-address=127.0.0.1:{self.port}"]  # fmt: skip
        with (self.folder / f"{self.config.stem}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: requests.get(f"{self.url}/-/ready", timeout=2).ok, timeout=30, what="a replica")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


def take(replicas: Sequence[Replica], path: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Post as a client does that wants nothing lost: to any replica, again until one has accepted it."""
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    turns = itertools.cycle(replicas)

    def accepted() -> bool:
        answer = requests.post(next(turns).url + path, data=body, headers=NDJSON, timeout=10)
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    until(accepted, timeout=60, what=f"a replica that takes {path}")


def build_reference(folder: Path, training: Mapping[str, Any]) -> Reference:
    """By the command that users have, from a file as users have it."""
    data, built = folder / "training.csv", folder / "airbag_reference.json"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(training)
        writer.writerows(zip(*training.values(), strict=True))
    numeric = ",".join(name for name in training if name not in ("size", "score"))
    subprocess.run(
        [sys.executable, "-m", "airbag", "reference", "build", data, "-o", built, "--score", "score",
         "--categorical", "size", "--numeric", numeric],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return load_reference(built)


def configure(folder: Path, name: str, redis_port: int) -> Path:
    models = [
        {"name": "cancer", "classes": ["malignant", "benign"],
         "quality": {"kind": "binary", "reference": "airbag_reference.json"}},
        {"name": "digits", "classes": list("0123456789")},
        {"name": "diabetes", "quality": {"kind": "regression"}},
        {"name": "ranked", "quality": {"kind": "ranking", "reference": "ranked_reference.json"}},
        {"name": "translator", "quality": {"kind": "translation", "ter_sample": 1.0}},
    ]  # fmt: skip
    document = {
        "servings": [{"name": "main", "targets": [{"name": "a", "grpc": "127.0.0.1:1"}], "models": models}],
        "quality": {
            "replica": name,
            "redis": {"url": f"redis://127.0.0.1:{redis_port}/0"},
        },
        "rules": {"quality": [WINDOW], "drift": [WINDOW]},
    }
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump(document))
    return path


@contextmanager
def prometheus(folder: Path, config: Path, replicas: Sequence[Replica]) -> Iterator[str]:
    """A real one that scrapes both replicas and evaluates the generated rules every second."""
    rules, port = folder / "rules", free_port()
    rules.mkdir()
    subprocess.run(
        [sys.executable, "-m", "airbag", "rules", "build", f"--config.file={config}", f"--output-folder={rules}"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    for file in rules.glob("*.yml"):
        document = yaml.safe_load(file.read_text())
        for group in document["groups"]:
            group["interval"] = "2s"
        file.write_text(yaml.safe_dump(document))
    targets = [{"targets": [f"127.0.0.1:{replica.port}" for replica in replicas]}]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(rules / "*.yml")],
        "scrape_configs": [
            {"job_name": "quality", "static_configs": targets},
            {"job_name": "reference", "metrics_path": "/reference", "static_configs": targets},
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [find("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
               f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: requests.get(f"{url}/-/ready", timeout=2).ok, timeout=30, what="Prometheus")
            yield url
        finally:
            process.terminate()


def asked(url: str, query: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=10).json()
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def counted(url: str, name: str, **labels: str) -> float:
    """The sum over both replicas, now."""
    told = ",".join(f'{label}="{value}"' for label, value in labels.items())
    [sample] = asked(url, f"sum({name}{{{told}}})")
    return float(sample["value"][1])


def recorded(url: str, record: str, labels: frozenset[tuple[str, str]]) -> float:
    told = ",".join(f'{name}="{value}"' for name, value in sorted(labels))
    found = asked(url, f"{record}{WINDOW}{{{told}}}")
    assert len(found) == 1, f"{record}{WINDOW} of {sorted(labels)} has {len(found)} series"
    return float(found[0]["value"][1])


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    with redis_server(tmp_path / "redis") as server:
        yield server.port


def test_every_record_is_what_the_libraries_say_of_the_same_rows_although_a_replica_is_killed(
    tmp_path: Path, redis: int
) -> None:
    first, training = rows.cancer("1", 3000, seed=1)
    second, _ = rows.cancer("2", 1200, seed=2)
    by_kind = [
        (first, "binary"), (second, "binary"), (rows.digits("7", 1500, seed=3), "multiclass"),
        (rows.diabetes("1", 1500, seed=4), "regression"), (rows.ranked("1", 2000, seed=5), "ranking"),
        (rows.translated("1", 300, seed=6), "translation"),
    ]  # fmt: skip
    reference = build_reference(tmp_path, training)
    ranking = rows.ranked("0", 5000, seed=7)
    (tmp_path / "ranked_reference.json").write_text(json.dumps(_edges_of(ranking)))
    replicas = [Replica(tmp_path, configure(tmp_path, name, redis), free_port()) for name in ("one", "two")]

    with ExitStack() as ends:
        for replica in replicas:
            replica.start()
            ends.callback(replica.kill)
        url = ends.enter_context(prometheus(tmp_path, replicas[0].config, replicas))
        _replay(replicas, [answers for answers, _ in by_kind], url)

        for answers, _ in by_kind:
            wait_for_all(url, answers)
        wanted: oracle.Expected = {}
        for answers, kind in by_kind:
            wanted |= oracle.expected(answers, kind, reference if kind == "binary" else None)
        wanted |= oracle.compared(second, first)
        until(lambda: not _off(url, wanted), timeout=60, every=2.0, what="every record within its bound")
        assert len(wanted) > 90
        _assert_bounds_hold(url, first, training, reference)
        assert counted(url, "airbag_quality_labels_total", result="unmatched") == 0


def wait_for_all(url: str, answers: rows.Answers) -> None:
    """Until every label is counted; one more would never be seen, for then the count goes by."""
    labels = {"model_name": answers.model, "model_version": answers.version}
    complete = partial(counted, url, "airbag_quality_labelled_total", **labels)
    until(lambda: complete() == len(answers), timeout=30, what=f"{len(answers)} labels of {labels}")


def _edges_of(answers: rows.Answers) -> dict[str, Any]:
    assert answers.score is not None
    edges = sorted(set(np.quantile(answers.score, np.linspace(0, 1, 51)[1:-1]).tolist()))
    return {"format": 1, "rows": len(answers), "score_edges": edges}


def _replay(replicas: Sequence[Replica], played: Sequence[rows.Answers], url: str) -> None:
    """Every event once or twice, in batches to either replica, labels elsewhere than predictions; one dies half way."""
    chance = random.Random(0)  # noqa: S311 - the same play each time
    batches = []
    for answers in played:
        events = list(answers.events())
        batches += [events[at : at + BATCH] for at in range(0, len(events), BATCH)]
    chance.shuffle(batches)
    for number, batch in enumerate(batches):
        if number == len(batches) // 2:
            replicas[0].kill()
        if number == len(batches) * 3 // 4:
            replicas[0].start()
        predictions, labels = ([pair[side] for pair in batch] for side in (0, 1))
        here, there = chance.sample(list(replicas), 2)
        for _ in range(chance.choice((1, 1, 2))):
            take([here, there], "/v1/predictions", predictions)
        chance.shuffle(labels)
        for _ in range(chance.choice((1, 1, 2))):
            take([there, here], "/v1/labels", labels)
    assert asked(url, "prometheus_rule_evaluation_failures_total > 0") == []


def _off(url: str, wanted: oracle.Expected) -> dict[str, str]:
    found = {}
    for (record, labels), (value, bound) in wanted.items():
        is_ = recorded(url, record, labels)
        if not abs(is_ - value) <= bound:
            found[f"{record}{WINDOW} {dict(labels)}"] = f"{is_:.5f}, not {value:.5f} +- {bound}"
    if found:
        raise AssertionError(json.dumps(found, indent=1))
    return found


def _assert_bounds_hold(url: str, answers: rows.Answers, training: Mapping[str, Any], reference: Reference) -> None:
    """The error bounds that stand beside the values are bounds."""
    labels = frozenset({"model_name": "cancer", "model_version": "1"}.items())
    [(exact, _)] = [
        pair
        for (name, of), pair in oracle.expected(answers, "binary").items()
        if name.endswith("auc:ratio") and of == labels
    ]
    auc = recorded(url, "model_version:airbag_quality_auc:ratio", labels)
    assert abs(auc - exact) <= recorded(url, "model_version:airbag_quality_auc:error_bound", labels) + oracle.CLOSE
    assert answers.features
    for feature, column in answers.features.items():
        if feature != "size":
            named = labels | {("feature", feature)}
            binned = recorded(url, "model_version_feature:airbag_quality_ks:distance", named)
            exact = oracle.exact_ks(np.asarray(column, dtype=float), training[feature])
            assert -oracle.CLOSE <= exact - binned <= 1 / oracle.bins_of(reference, feature) + oracle.CLOSE
