"""How well the engine decides: precision and recall over labelled pasts, decided by the replay's own machinery.

Each scenario is a model of its own in one real Prometheus: what the exporters would have exported, second by second,
with the shipped rules over it and the alerts that these raise. What should become of it was written down before.
Beside it two simple judges on the same numbers: one that acts whenever a ratio is above its threshold, and a counter of
failed checks as Flagger has it (every 10 s, no data is a failure, the fifth failure rolls back). Prints every mistake,
and one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag_rollback.replay.history import Wanted, replay, settings_of  # noqa: E402
from airbag_rollback.replay.rerun import Finding  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us
from bench._scenarios import BEFORE, CLEAN, FAULTS, FLEET, Scenario, fleet, scenarios  # noqa: E402
from tests.fakes.history import History  # noqa: E402
from tests.fakes.releases import NEW, OLD  # noqa: E402

WEEK = 7 * 86_400
CHECK, FAILED_MAX, WATCHED = 10, 5, 300
"""Of the counter: seconds between checks, failures that roll back, seconds after a release for which it checks."""


@dataclass(frozen=True)
class Score:
    """What one judge did: rollbacks that were right and wrong, faults that it left, and what happened in clean ones."""

    right: int
    wrong: int
    missed: int
    wrong_in_clean: int

    @property
    def precision(self) -> float:
        """Of the rollbacks, how many were right."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Of the faults, how many were rolled back."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def score(known: list[Scenario], rolled_back: set[str]) -> Score:
    """`rolled_back` are the models of which version 2 was taken back; a rollback of the fleet is wrong, too."""
    faults = {each.release.model for each in known if each.is_fault}
    clean = {each.release.model for each in known if each.kind in CLEAN}
    return Score(
        len(faults & rolled_back), len(rolled_back - faults), len(faults - rolled_back), len(clean & rolled_back)
    )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22).
    """
    if not of:
        return 0.0, 1.0
    z, share = 1.959964, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


RAW: Mapping[str, tuple[str, str, str]] = {
    "errors": ("model_version:airbag_tfs_errors_per_request:ratio15s", ">", "airbag_tfs_error_ratio_max"),
    "slow": ("model_version:airbag_tfs_slow_per_answer:ratio15s", ">", "airbag_tfs_slow_ratio_max"),
    "accuracy": ("model_version:airbag_quality_accuracy:ratio15s", "<", "airbag_quality_accuracy_min"),
    "drop": (
        "(0 - model:airbag_quality_release_accuracy:difference) and on (serving, model_name) "
        'airbag_quality_version_role{role="candidate"}', ">", "airbag_quality_accuracy_drop_max",
    ),
}  # fmt: skip
STATES = ("airbag_tfs_probe_success == 0", "airbag_tfs_model_version_error == 1")


def crossings(history: History, start: int, end: int) -> dict[str, dict[str, list[int]]]:
    """For each check and model, the seconds at which the bare number is on the wrong side."""
    per_model = "on (serving, model_name) group_left () max by (serving, model_name)"
    queries = {name: f"({value}) {side} {per_model} ({limit})" for name, (value, side, limit) in RAW.items()}
    queries |= {query: query for query in STATES}
    return {name: _by_model(history, query, start, end) for name, query in queries.items()}


def _by_model(history: History, query: str, start: int, end: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for labels, samples in history.matrix(query, start, end).items():
        about = dict(labels)
        if about.get("model_version", str(NEW)) == str(NEW) or about["model_name"].startswith("fleet-"):
            found.setdefault(about["model_name"], []).extend(int(at) for at, _ in samples)
    return found


def plain(crossed: Mapping[str, Mapping[str, list[int]]]) -> set[str]:
    """Acts whenever a number is on the wrong side."""
    return {model for per_model in crossed.values() for model, times in per_model.items() if times}


def counter(known: list[Scenario], crossed: Mapping[str, Mapping[str, list[int]]], present: Any) -> set[str]:
    """Acts at the fifth failed check of a release; no data is a failed check."""
    found = set()
    for each in known:
        release = each.release
        first = release.start + release.at
        checks = ["errors", "slow", *(("accuracy", "drop") if release.accuracy is not None else ()), *STATES]
        wrong = {at for name in checks for at in crossed[name].get(release.model, ())}
        there = set(present.get(release.model, ()))
        failed = sum(at in wrong or at not in there for at in range(first + CHECK, first + WATCHED + 1, CHECK))
        if failed >= FAILED_MAX:
            found.add(release.model)
    return found


def policy(folder: Path, url: str, known: list[Scenario]) -> Path:
    """The shipped policy's limits, for these models. Each model is a world of its own, so no breaker joins them."""
    names = [each.release.model for each in known] + [f"fleet-{number}" for number in range(FLEET)]
    groups = "".join(
        f"  - {{name: {name}, targets: [{{name: a, grpc: '127.0.0.1:1'}}], models: [{{name: {name}}}]}}\n"
        for name in names
    )
    (folder / "exporters.yml").write_text(f"servings:\n{groups}")
    file = folder / "policy.yml"
    file.write_text(
        f"exporters_file: exporters.yml\nprometheus_url: {url}\nalertmanager_urls: [{url}]\n"
        "webhook_token: {file: none}\naudit_key: {file: none}\njournal: journal.sqlite\nmode: auto\n"
        "release_window: 1h\nsoak_min: 10s\ndecide_within: 30s\nguards: {breaker: null}\n"
    )
    return file


def right_target(found: list[Finding]) -> set[str]:
    """The models that would have been rolled back. Any other version than 2, or to another than 1, is a mistake."""
    taken = {each.stretch.model_name for each in found if each.would == "roll back"}
    for each in found:
        if each.would == "roll back" and (each.stretch.version, each.target) != (NEW, OLD):
            print(f"WRONG VERSION: {each}")
    return taken


def mistakes(known: list[Scenario], rolled_back: set[str], found: list[Finding]) -> Iterator[str]:
    """A line for each, with what was decided instead."""
    for each in known:
        model = each.release.model
        if (model in rolled_back) != each.is_fault:
            released = each.release.start + BEFORE
            said = [
                f"{one.stretch.alertname} at {one.stretch.start - released:.0f} s: {one.would} after {one.after:.0f} s "
                f"({one.reason}: {one.text})" for one in found if one.stretch.model_name == model
            ]  # fmt: skip
            yield f"{'missed' if each.is_fault else 'WRONG'} {model}: {'; '.join(said) or 'no alert fired'}"


def say(line: str) -> None:
    """How far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seeds", type=int, default=6, help="of each kind")
    options.add_argument("--kinds", default="", help="only those whose names hold this, to look into a mistake")
    given = options.parse_args()
    start = int(time.time()) - WEEK
    known = [each for each in scenarios(given.seeds, start) if given.kinds in each.kind]
    end = max(each.release.start + each.release.seconds for each in known)
    with tempfile.TemporaryDirectory(prefix="airbag-decisions-") as scratch:
        folder = Path(scratch)
        history = History(folder)
        releases = [each.release for each in known] + fleet(known, start, end)
        history.write([series for release in releases for series in release.series()])
        say(f"{len(known)} scenarios in {end - start} s are written")
        history.record(start, end, say)
        with history.running() as url:
            say("alerts are noted; judging")
            settings = settings_of(policy(folder, url, known))
            began = time.monotonic()
            found = replay(settings, Wanted(float(start), float(end), signals=False), lambda _what, _share: None)
            say(f"{len(found)} stretches judged in {time.monotonic() - began:.0f} s")
            crossed = crossings(history, start, end)
            there = _by_model(history, "model_version:airbag_tfs_requests:increase15s > 0", start, end)
    ours = right_target(found)
    for line in mistakes(known, ours, found):
        print(line)
    tell(known, {"airbag": ours, "threshold": plain(crossed), "counter": counter(known, crossed, there)}, found)


def tell(known: list[Scenario], judges: Mapping[str, set[str]], found: list[Finding]) -> None:
    """The table by kind, and the figures."""
    faults = sum(each.is_fault for each in known)
    print(f"{len(known)} scenarios, {faults} of them faults of the release")
    for kind in dict.fromkeys(each.kind for each in known):
        models = {each.release.model for each in known if each.kind == kind}
        acted = ", ".join(f"{name} {len(models & taken)}" for name, taken in judges.items())
        print(f"{kind:<18} {'fault' if kind in FAULTS else 'none':<6} of {len(models)} rolled back by: {acted}")
    scores = {name: score(known, taken) for name, taken in judges.items()}
    for name, each in scores.items():
        precise = wilson(each.right, each.right + each.wrong)
        recalled = wilson(each.right, each.right + each.missed)
        print(
            f"{name}: precision {each.precision:.3f} [{precise[0]:.3f}, {precise[1]:.3f}], recall {each.recall:.3f} "
            f"[{recalled[0]:.3f}, {recalled[1]:.3f}], {each.wrong_in_clean} rollbacks of clean releases"
        )
    print("decided:", dict(Counter(f"{each.would} ({each.reason})" for each in found)))
    late = sorted(each.after for each in found if each.would == "roll back")
    ours, flagger = scores["airbag"], scores["counter"]
    peer = "a counter of failed checks"
    report(
        "decision_quality",
        {
            "precision": Measured(ours.precision, "ratio", 0.95, "higher", peer, flagger.precision),
            "recall": Measured(ours.recall, "ratio", 1.0, "higher", peer, flagger.recall),
            "threshold_precision": Measured(scores["threshold"].precision, "ratio"),
            "threshold_recall": Measured(scores["threshold"].recall, "ratio"),
            "false_rollbacks_clean": Measured(
                ours.wrong_in_clean, "rollbacks", 0.0, "lower", peer, flagger.wrong_in_clean
            ),
            "decided_after_p50": Measured(late[len(late) // 2] if late else 0.0, "s"),
            "scenarios": Measured(len(known), "scenarios"),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
