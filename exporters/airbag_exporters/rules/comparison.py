"""The candidate against the stable version: the evidence for a rollback that needs no reference and no threshold.

Both sides count only with at least `labels_min` rows. A stable version that has no traffic now is represented by its
last such value of the past hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airbag_exporters.rules.promql import CANDIDATE, LABELS_MIN, MODEL, STABLE, VERSION
from airbag_exporters.rules.rule import Record


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
        judged = f"model_version:airbag_quality_{self.metric}:sufficient_{self.operation}{w}"
        difference = f"model:airbag_quality_{self.metric}:difference{w}"
        found = [
            Record(judged, self._judged(value, w)),
            Record(difference, f"{_candidate(judged)} - {_stable(judged)}"),
        ]
        if not self.stderr:
            return found
        doubt = f"model_version:airbag_quality_{self.metric}:sufficient_stderr{w}"
        together = f"model:airbag_quality_{self.metric}:difference_stderr{w}"
        return [
            *found,
            Record(doubt, self._judged(self.stderr(w), w)),
            Record(together, f"sqrt({_candidate(doubt)} ^ 2 + {_stable(doubt)} ^ 2)"),
            Record(f"model:airbag_quality_{self.metric}:zscore{w}", f"{difference} / ({together} > 0)"),
        ]

    def _judged(self, value: str, w: str) -> str:
        return f"{value} and model_version:airbag_quality_{self.rows}:increase{w} >= {LABELS_MIN}"


def _agresti_caffo(w: str) -> str:
    """Of a share with one more success and one more failure, which keeps 0 % and 100 % from looking certain (2000)."""
    accuracy = f"model_version:airbag_quality_accuracy:ratio{w}"
    rows = f"model_version:airbag_quality_labelled:increase{w}"
    share = f"({accuracy} * {rows} + 1) / ({rows} + 2)"
    return f"sqrt({share} * (1 - {share}) / ({rows} + 2))"


def _candidate(record: str) -> str:
    return f"max by ({MODEL}) ({record} and on ({VERSION}) {CANDIDATE})"


def _stable(record: str) -> str:
    return f"max by ({MODEL}) (last_over_time({record}[1h]) and on ({VERSION}) {STABLE})"


ACCURACY = Compared("accuracy", "ratio", _agresti_caffo)
F1 = Compared("f1_macro", "ratio")
AUC = Compared("auc", "ratio", lambda w: f"model_version:airbag_quality_auc:stderr{w}")
MAE = Compared("mae", "mean", lambda w: f"model_version:airbag_quality_mae:stderr{w}")
ENTROPY = Compared("prediction_entropy", "mean_nats", rows="predictions")
CLASS_ENTROPY = Compared("prediction_class_entropy", "nats", rows="predictions")
