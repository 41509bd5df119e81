"""The candidate against the stable version: the evidence for a rollback that needs no reference and no threshold.

Both sides count only with at least `labels_min` rows. A stable version that has no traffic now is represented by its
last value of the past hour that rested on at least half of the rows that its window had held: not by what its last few
rows said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airbag_exporters.quality.noise import STANDARD_ERRORS
from airbag_exporters.rules.promql import CANDIDATE, LABELS_MIN, MODEL, STABLE, VERSION, increase
from airbag_exporters.rules.rule import Record

RELEASE = "5m"
"""Long enough for rows, and short enough that the version before saw much the same world."""


def roles(_window: str) -> list[Record]:
    """Which version is which, without models for which the replicas do not agree."""
    return [_role("candidate", CANDIDATE), _role("stable", STABLE)]


def _role(role: str, name: str) -> Record:
    versions = f'max by ({VERSION}) (airbag_quality_version_role{{role="{role}"}})'
    return Record(name, f"{versions} and on ({MODEL}) count by ({MODEL}) ({versions}) == 1")


@dataclass(frozen=True)
class Compared:
    """A metric of a version, the operation in its record's name, and the counted rows that it rests on."""

    metric: str
    operation: str
    stderr: Callable[[str], str] | None = None
    rows: str = "labelled"

    def records(self, w: str) -> list[Record]:
        """Difference, and with a standard error also its own and how many of them it is."""
        value = f"model_version:airbag_quality_{self.metric}:{self.operation}{w}"
        difference = f"model:airbag_quality_{self.metric}:difference{w}"
        candidate, stable = _candidate(self._part("sufficient", w)), _stable(self._part("full", w))
        found = [*self._judged(self.operation, value, w), Record(difference, f"{candidate} - {stable}")]
        if not self.stderr:
            return found
        together = f"model:airbag_quality_{self.metric}:difference_stderr{w}"
        doubts = _candidate(self._part("sufficient", w, "stderr")), _stable(self._part("full", w, "stderr"))
        return [
            *found,
            *self._judged("stderr", self.stderr(w), w),
            Record(together, f"sqrt({doubts[0]} ^ 2 + {doubts[1]} ^ 2)"),
            Record(f"model:airbag_quality_{self.metric}:zscore{w}", f"{difference} / ({together} > 0)"),
        ]

    def _judged(self, operation: str, value: str, w: str) -> list[Record]:
        """What rests on enough rows, and of that what rests on half of the rows that there were, or more."""
        rows = f"model_version:airbag_quality_{self.rows}:increase{w}"
        sufficient = self._part("sufficient", w, operation)
        most = f"max_over_time({rows}[{w or RELEASE}])"
        return [
            Record(sufficient, f"{value} and {rows} >= {LABELS_MIN}"),
            Record(self._part("full", w, operation), f"{sufficient} and 2 * {rows} >= {most}"),
        ]

    def _part(self, which: str, w: str, operation: str = "") -> str:
        return f"model_version:airbag_quality_{self.metric}:{which}_{operation or self.operation}{w}"


def _agresti_caffo(prefix: str = "") -> Callable[[str], str]:
    """Of a share with one more success and one more failure, which keeps 0 % and 100 % from looking certain (2000)."""

    def stderr(w: str) -> str:
        accuracy = f"model_version:airbag_quality_{prefix}accuracy:ratio{w}"
        rows = f"model_version:airbag_quality_{prefix}labelled:increase{w}"
        share = f"({accuracy} * {rows} + 1) / ({rows} + 2)"
        return f"sqrt({share} * (1 - {share}) / ({rows} + 2))"

    return stderr


def release(_window: str) -> list[Record]:
    """What a machine may judge a release by: accuracy since the release, of `RELEASE` at most.

    A new version has no older rows, so this is as fast as a short window, and far less a matter of chance. The records'
    names bear no window: it is not one of those in exporters.yml.
    """
    labelled, accuracy = (f"model_version:airbag_quality_release_{x}" for x in ("labelled:increase", "accuracy:ratio"))
    right = increase(VERSION, 'airbag_quality_labelled_total{correct="true"}', RELEASE)
    difference, together = (
        f"model:airbag_quality_release_accuracy:{part}" for part in ("difference", "difference_stderr")
    )
    return [
        Record(labelled, increase(VERSION, "airbag_quality_labelled_total", RELEASE)),
        Record(accuracy, f"{right} / ({labelled} > 0)"),
        *_RELEASED.records(""),
        Record(
            "model_version:airbag_quality_release_accuracy:drop_lower_bound",
            f"{CANDIDATE} * on ({MODEL}) group_left () (0 - {difference} - {STANDARD_ERRORS} * {together})",
        ),
    ]


def _candidate(record: str) -> str:
    return f"max by ({MODEL}) ({record} and on ({VERSION}) {CANDIDATE})"


def _stable(record: str) -> str:
    return f"max by ({MODEL}) (last_over_time({record}[1h]) and on ({VERSION}) {STABLE})"


ACCURACY = Compared("accuracy", "ratio", _agresti_caffo())
_RELEASED = Compared("release_accuracy", "ratio", _agresti_caffo("release_"), rows="release_labelled")
F1 = Compared("f1_macro", "ratio")
AUC = Compared("auc", "ratio", lambda w: f"model_version:airbag_quality_auc:stderr{w}")
MAE = Compared("mae", "mean", lambda w: f"model_version:airbag_quality_mae:stderr{w}")
ENTROPY = Compared("prediction_entropy", "mean_nats", rows="predictions")
CLASS_ENTROPY = Compared("prediction_class_entropy", "nats", rows="predictions")
