"""The golden file: named requests and what their answers must be. JSON, or NDJSON with one request a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from airbag.config import Section, load_json, written_as
from airbag.errors import ConfigError, Problem
from airbag_exporters.config import ExportersConfig
from airbag_exporters.serving.golden.values import Tensor

REQUESTS_MAX = 100
BESIDE_A_VERSION = Path("assets.extra", "airbag_golden.json")
"""Where a version brings its own file: TensorFlow Serving leaves `assets.extra` alone."""

Tolerance = Annotated[float, Field(ge=0)]
Label = Annotated[str, written_as(r"[A-Za-z0-9_.-]{1,60}", "1 to 60 letters, digits, `_`, `.` or `-`")]


class Expected(Section):
    """What one output must be: exact or nearly these `values`, this `argmax` of each row, within `min` and `max`.

    A number passes when |got - expected| <= atol + rtol * |expected|, the formula of numpy.isclose. Left out, the two
    are 1e-5 and 1e-3 for floating-point outputs and 0 for all others. Rows run along the last axis.
    """

    values: Tensor | None = None
    atol: Tolerance | None = None
    rtol: Tolerance | None = None
    argmax: Tensor | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(said is None for said in (self.values, self.argmax, self.min, self.max)):
            raise ValueError("expects nothing; give `values`, `argmax`, `min` or `max`")
        if self.values is None and (self.atol is not None or self.rtol is not None):
            raise ValueError("has a tolerance and no `values` that it could be for")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("has a `min` above its `max`")
        if self.argmax and not all(type(each) is int and each >= 0 for each in self.argmax.flat):
            raise ValueError("should have class numbers as `argmax`: 0, 1, 2 and so on")
        return self


class Inputs(Section):
    """What is asked, under a name. An empty `signature` is the server's `serving_default`."""

    name: Label
    signature: str = ""
    inputs: Annotated[Mapping[str, Tensor], Field(min_length=1)]


class Request(Inputs):
    """One golden request: `expect` goes by the names of the outputs."""

    expect: Annotated[Mapping[str, Expected], Field(min_length=1)]


class GoldenFile(Section):
    """The whole file."""

    requests: Annotated[tuple[Request, ...], Field(min_length=1, max_length=REQUESTS_MAX)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _unique([request.name for request in self.requests])
        return self


class Asked(Inputs):
    """A request to record the answer of. What an earlier recording expected is not read."""

    expect: JsonValue = None


class InputFile(Section):
    """Requests to record answers of; a golden file is one as well."""

    requests: Annotated[tuple[Asked, ...], Field(min_length=1, max_length=REQUESTS_MAX)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _unique([request.name for request in self.requests])
        return self


def load_golden(path: Path) -> tuple[Request, ...]:
    """Read and check one file; ConfigError lists every problem."""
    return load_json(path, GoldenFile, lines="requests").requests


def load_inputs(path: Path) -> tuple[Inputs, ...]:
    """Read requests without what is expected; ConfigError lists every problem."""
    return load_json(path, InputFile, lines="requests").requests


def load_all(config: ExportersConfig) -> Mapping[Path, tuple[Request, ...]]:
    """Every golden file that `config` names; one ConfigError with the problems of all of them."""
    paths = {
        (model.golden.file, f"servings[{i}].models[{j}].golden.file")
        for i, group in enumerate(config.servings)
        for j, model in enumerate(group.models)
        if model.golden and model.golden.file
    }
    found: dict[Path, tuple[Request, ...]] = {}
    problems: list[Problem] = []
    for path, where in sorted(paths):
        try:
            found[path] = load_golden(path)
        except ConfigError as error:
            problems += [Problem(f"{where}: {path}: {each.path}", each.what, each.remedy) for each in error.problems]
    if problems:
        raise ConfigError("golden requests", problems)
    return found


def _unique(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two requests have the name {', '.join(map(repr, twice))}")
