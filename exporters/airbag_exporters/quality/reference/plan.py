"""Which columns become features, and of which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from airbag.errors import ConfigError, Problem
from airbag.serving.quality import FeatureKind, FeatureName
from airbag_exporters.quality.reference.chunk import BOOLEAN, NUMBER, TEXT
from airbag_exporters.quality.reference.tables.csv_text import UNTYPED_NUMBER, UNTYPED_TEXT
from airbag_exporters.quality.reference.value import Reference

FEATURES_MAX = 1000

Types = Mapping[str, str]

_KINDS: Mapping[str, FeatureKind] = {NUMBER: "numeric", TEXT: "categorical"}
_NAME: TypeAdapter[str] = TypeAdapter(FeatureName)
_UNTYPED = {UNTYPED_NUMBER, UNTYPED_TEXT}
_USABLE = {NUMBER, TEXT, BOOLEAN, *_UNTYPED}


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for. Without `features` every column is one that has no other use.

    `numeric` and `categorical` decide the kind of a column whose type does not, or decides otherwise.
    """

    features: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    score: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Plan:
    """The kind of every column that is read. `score` and `target` are among them, and no features."""

    kinds: Mapping[str, FeatureKind]
    score: str | None = None
    target: str | None = None

    @property
    def features(self) -> list[str]:
        """In the order of the data, or of `--features`."""
        return [name for name in self.kinds if name not in (self.score, self.target)]


@dataclass
class _Maker:
    wanted: Wanted
    types: Mapping[str, Mapping[str, str]]
    """By column, then by file."""
    files: Sequence[str]
    kinds: dict[str, FeatureKind] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def make(self) -> Plan:
        wanted = self.wanted
        self._know({*wanted.exclude, *wanted.numeric, *wanted.categorical} - {*(wanted.features or ())})
        for name in sorted({*wanted.numeric} & {*wanted.categorical}):
            self._wrong(name, "is named in --numeric and in --categorical")
        others = {*wanted.exclude, wanted.score, wanted.target}
        every = [name for name in self.types if name not in others]
        for name in dict.fromkeys(every if wanted.features is None else wanted.features):
            if name in others:
                self._wrong(name, "is named in --features, and also as --exclude, --score or --target")
            elif self._present(name):
                self._feature(name)
        for option, column in (("--score", wanted.score), ("--target", wanted.target)):
            if column is not None and self._present(column):
                self._number(column, option)
        if not self.kinds and not self.problems:
            self.problems.append(Problem("data", "has no column that could be a feature"))
        if len(self.kinds) > FEATURES_MAX:
            what = f"has {len(self.kinds)} columns, more than {FEATURES_MAX}"
            self.problems.append(Problem("data", what, "name those that matter with --features"))
        if self.problems:
            raise ConfigError("data", [*self.problems, *self._advice()])
        return Plan(self.kinds, wanted.score, wanted.target)

    def _feature(self, name: str) -> None:
        if name == "score":
            self._wrong(name, "is what the model's own score is called", "give it as --score score, or rename it")
        elif not _is_name(name):
            self._wrong(name, "is no name of a feature: 1 to 100 characters without blanks, quotes or braces", "rename")
        else:
            self._kind(name)

    def _kind(self, name: str) -> None:
        found = set(self.types[name].values()) - {"null"}
        if name in self.wanted.numeric or name in self.wanted.categorical:
            self.kinds[name] = "numeric" if name in self.wanted.numeric else "categorical"
            if not {part for each in found for part in _parts(each)} <= _USABLE:
                self._wrong(name, f"holds {_listed(found)}, which is no feature", _LEAVE_OUT)
        elif len(found) == 1 and (kind := _KINDS.get(next(iter(found)))):
            self.kinds[name] = kind
        elif not found:
            self._wrong(name, "has only missing values", _LEAVE_OUT)
        elif found <= _UNTYPED:
            self._wrong(name, "comes from CSV, which has no types", "say --numeric or --categorical")
        elif {part for each in found for part in _parts(each)} <= _USABLE:
            self._wrong(name, f"holds {_listed(found)}", "say --numeric or --categorical")
        else:
            self._wrong(name, f"holds {_listed(found)}, which is no feature", _LEAVE_OUT)

    def _number(self, name: str, option: str) -> None:
        found = set(self.types[name].values()) - {"null"}
        if found <= {NUMBER, BOOLEAN, *_UNTYPED} or name in self.wanted.numeric:
            self.kinds[name] = "numeric"
        else:
            self._wrong(name, f"holds {_listed(found)}, and {option} must be a number")

    def _present(self, name: str) -> bool:
        having = self.types.get(name, {})
        lacking = [file for file in self.files if file not in having]
        if lacking:
            known = f"known: {', '.join(self.types)}" if not having else ""
            self._wrong(name, f"is missing in {', '.join(lacking)}", known)
        return not lacking

    def _know(self, names: set[str]) -> None:
        for name in sorted(names - self.types.keys()):
            self._wrong(name, "is no column of the data", f"known: {', '.join(self.types)}")

    def _advice(self) -> list[Problem]:
        """The options that would settle the columns of CSV, ready to be copied."""
        open_ones = [problem for problem in self.problems if "comes from CSV" in problem.what]
        names = [problem.path.removeprefix("column `")[:-1] for problem in open_ones]
        looks = {name: set(self.types[name].values()) == {UNTYPED_NUMBER} for name in names}
        numbers = ",".join(name for name in names if looks[name])
        texts = ",".join(name for name in names if not looks[name])
        said = [f"--{kind} {each}" for kind, each in (("numeric", numbers), ("categorical", texts)) if each]
        return [Problem("data", f"would go by their looks with {' '.join(said)}")] if said else []

    def _wrong(self, name: str, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(f"column `{name}`", what, remedy))


_LEAVE_OUT = "leave it out with --exclude"


def _is_name(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _parts(types: str) -> list[str]:
    return types.split(" and ") if types not in _UNTYPED else [types]


def _listed(types: set[str]) -> str:
    return " and ".join(sorted(types)) or "nothing"


def plan(wanted: Wanted, types: Mapping[Path, Types]) -> Plan:
    """What to read of these files; ConfigError lists everything that is wrong."""
    by_column: dict[str, dict[str, str]] = {}
    for path, found in types.items():
        for name, each in found.items():
            by_column.setdefault(name, {})[str(path)] = each
    return _Maker(wanted, by_column, [str(path) for path in types]).make()


def like(reference: Reference, score: str | None) -> Wanted:
    """The columns that a reference has. ConfigError when it has a score and nothing says which column that is."""
    if reference.score and score is None:
        raise ConfigError("data", [Problem("--score", "is missing, and the reference has a score", "name its column")])
    kinds = {name: each.kind for name, each in reference.features.items()}
    return Wanted(
        features=tuple(kinds),
        numeric=tuple(name for name, kind in kinds.items() if kind == "numeric"),
        categorical=tuple(name for name, kind in kinds.items() if kind == "categorical"),
        score=score if reference.score else None,
    )
