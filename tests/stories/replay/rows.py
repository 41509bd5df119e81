"""Real rows that ship inside packages, what fitted models answer to them, and the events that a gateway would send."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Column = NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """What one version of a model answered to n rows, and what was true. Every column has n entries."""

    model: str
    version: str
    actual: Column
    predicted: Column | None = None
    score: Column | None = None
    scores: Column | None = None
    features: Mapping[str, Column] | None = None

    def __len__(self) -> int:
        return len(self.actual)

    def events(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each prediction and its label."""
        for row in range(len(self)):
            key = f"{self.model}-{self.version}-{row}"
            event: dict[str, Any] = {"id": key, "model_name": self.model, "model_version": self.version}
            for name in ("predicted", "score", "scores"):
                column = getattr(self, name)
                if column is not None:
                    event[name] = (
                        column[row].tolist() if isinstance(column[row], np.generic | np.ndarray) else column[row]
                    )
            if self.features:
                event["features"] = {name: _plain(column[row]) for name, column in self.features.items()}
            yield event, {"id": key, "actual": _plain(self.actual[row])}


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def cancer(version: str, rows: int, seed: int) -> tuple[Answers, Mapping[str, Column]]:
    """Binary: malignant or benign by a weak model of one feature, so that there are errors; and the training columns.

    The live rows have drifted: a feature is scaled, one has gaps, and the categories have another mix.
    """
    data = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names[:4]]
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data[:, 1:2], data.target)
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, len(data.target), rows)
    live = data.data[picked, :4].copy()
    score = fitted.predict_proba(data.data[picked, 1:2])[:, 1]
    live[:, 0] *= 1.1
    live[rng.random(rows) < 0.07, 3] = np.nan
    size = np.where(data.data[picked, 2] * 1.15 > 90, "large", "small").astype(object)
    size[rng.random(rows) < 0.05] = "unheard"
    training: dict[str, Column] = {name: data.data[:, at] for at, name in enumerate(names)}
    training["size"] = np.where(data.data[:, 2] > 90, "large", "small").astype(object)
    training["score"] = fitted.predict_proba(data.data[:, 1:2])[:, 1]
    classes = np.array(["malignant", "benign"], dtype=object)
    features: dict[str, Column] = {name: live[:, at] for at, name in enumerate(names)} | {"size": size}
    predicted = classes[(score >= 0.5).astype(int)]
    return Answers("cancer", version, classes[data.target[picked]], predicted, score, None, features), training


def digits(version: str, rows: int, seed: int) -> Answers:
    """Multiclass with the probability of each of ten classes."""
    data = load_digits()
    fitted = LogisticRegression(max_iter=5000, C=1e-5).fit(data.data[:300], data.target[:300])
    picked = np.random.default_rng(seed).integers(0, len(data.target), rows)
    scores = fitted.predict_proba(data.data[picked])
    predicted = scores.argmax(axis=1).astype(str).astype(object)
    return Answers("digits", version, data.target[picked].astype(str).astype(object), predicted, None, scores)


def diabetes(version: str, rows: int, seed: int) -> Answers:
    """Regression."""
    data = load_diabetes()
    fitted = LinearRegression().fit(data.data[:, 2:4], data.target)
    picked = np.random.default_rng(seed).integers(0, len(data.target), rows)
    return Answers("diabetes", version, data.target[picked], fitted.predict(data.data[picked, 2:4]))


def ranked(version: str, rows: int, seed: int) -> Answers:
    """Ranking: scores that are no probabilities, and whether the row was wanted."""
    data = load_breast_cancer()
    picked = np.random.default_rng(seed).integers(0, len(data.target), rows)
    return Answers("ranked", version, data.target[picked], score=-data.data[picked, 1])


def translated(version: str, rows: int, seed: int) -> Answers:
    """Sentences of the data sets' own descriptions, with words left out and swapped as a bad translation has them."""
    text = " ".join(load().DESCR for load in (load_iris, load_wine, load_diabetes, load_breast_cancer))
    sentences = [" ".join(each.split()) for each in re.split(r"[.:]\s", text) if 5 <= len(each.split()) <= 40]
    rng = np.random.default_rng(seed)
    picked = [sentences[at] for at in rng.integers(0, len(sentences), rows)]
    outputs = []
    for sentence in picked:
        words = [word for word in sentence.split() if rng.random() > 0.08]
        at = int(rng.integers(0, max(1, len(words) - 1)))
        words[at : at + 2] = words[at : at + 2][::-1]
        outputs.append(" ".join(words))
    return Answers("translator", version, np.array(picked, dtype=object), np.array(outputs, dtype=object))
