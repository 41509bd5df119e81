"""Strict configuration: typed, read once, checked whole, all problems listed with their path and a remedy."""

from __future__ import annotations

import difflib
import inspect
import json
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from airbag.errors import ConfigError, Problem
from airbag.yaml_text import read_yaml

T = TypeVar("T", bound=BaseModel)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Section(BaseModel):
    """Base of every configuration section: unknown keys refused, no silent conversions, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def parse_duration(text: object) -> float:
    """Seconds of a Prometheus-style duration such as "15s", "500ms" or "1h30m"; ValueError for anything else."""
    pairs = _DURATION.findall(text) if isinstance(text, str) else []
    if not pairs or "".join(number + unit for number, unit in pairs) != text:
        raise ValueError('not a duration; write it with a unit, such as "500ms", "15s", "5m" or "1h30m"')
    return sum(float(number) * _UNITS[unit] for number, unit in pairs)


def written_as(pattern: str, form: str) -> AfterValidator:
    """A check for texts that must match `pattern` as a whole; the refusal says the `form` that is right."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"should be {form}")
        return text

    return AfterValidator(check)


def _from_base(path: Path, info: ValidationInfo) -> Path:
    return (cast("dict[str, Path]", info.context)["base"] / path).absolute() if info.context else path


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written as "15s" in the file."""

LocalPath = Annotated[Path, AfterValidator(_from_base)]
"""A path; a relative one counts from the folder of the configuration file."""


class Secret(Section):
    """A secret that stands in a file or in the environment, never in the configuration itself."""

    file: LocalPath | None = None
    env: str | None = None

    def read(self) -> str:
        """The secret without surrounding blanks, read now; ConfigError when it is missing or empty."""
        if (self.file is None) == (self.env is None):
            raise ConfigError("secret", [Problem("secret", "needs exactly one of `file` and `env`")])
        where = str(self.file) if self.file else f"${self.env}"
        try:
            text = self.file.read_text() if self.file else os.environ.get(self.env or "", "")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                where, [Problem(where, f"cannot be read: {_why(error)}", "create it, mode 0600")]
            ) from error
        if not text.strip():
            raise ConfigError(where, [Problem(where, "is empty", "put the secret there")])
        return text.strip()


def load(path: Path, schema: type[T]) -> T:
    """Read and check one YAML file. ConfigError lists every problem; nothing is half accepted."""
    return parse(_read(path), schema, source=str(path), base=path.absolute().parent)


def load_json(path: Path, schema: type[T], *, lines: str = "") -> T:
    """Read and check one JSON file; ConfigError lists every problem.

    With `lines`, a file that ends in .ndjson holds the entries of that key, one a line.
    """
    text = _read(path)
    if lines and path.suffix == ".ndjson":
        numbered = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        document: object = {lines: [_from_json(line, path, number) for number, line in numbered]}
    else:
        document = _from_json(text, path, 1)
    return _validate(document, schema, source=str(path), base=path.absolute().parent)


def load_sections(path: Path, schema: type[T]) -> T:
    """Read and check the top-level keys that `schema` knows, in a file whose other keys belong to somebody else."""
    document = read_yaml(_read(path), str(path))
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if key in schema.model_fields}
    return _validate(document, schema, source=str(path), base=path.absolute().parent)


def parse(text: str, schema: type[T], *, source: str, base: Path) -> T:
    """Check a YAML text; relative paths in it count from `base`."""
    return _validate(read_yaml(text, source), schema, source=source, base=base)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "give the file with --config.file" if isinstance(error, FileNotFoundError) else "make it readable"
        raise ConfigError(str(path), [Problem(str(path), f"cannot be read: {_why(error)}", remedy)]) from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _from_json(text: str, path: Path, line: int) -> object:
    try:
        return json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {line + error.lineno - 1}, column {error.colno}"
        raise ConfigError(str(path), [Problem(where, f"is not JSON: {error.msg}")]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(path), [Problem(f"line {line}" if line > 1 else "file", str(error))]) from error


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twin = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twin!r} stands twice in one object")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _validate(document: object, schema: type[T], *, source: str, base: Path) -> T:
    try:
        text = json.dumps(document if document is not None else {})
    except (TypeError, ValueError) as error:  # `!!binary`, `!!set`, keys that are lists
        what = "holds something that is neither text, number, list nor mapping"
        raise ConfigError(source, [Problem("file", what)]) from error
    try:
        # JSON mode is strict about types and still takes lists for tuples and text for paths and enums.
        return schema.model_validate_json(text, context={"base": base})
    except ValidationError as error:
        details = error.errors()
        # A list whose only entry is wrong also counts as too short, which would mislead.
        deeper = {detail["loc"][:size] for detail in details for size in range(len(detail["loc"]))}
        told = [each for each in details if each["type"] != "too_short" or each["loc"] not in deeper]
        problems = [_problem(detail, schema) for detail in told]
        raise ConfigError(source, list(dict.fromkeys(problems))) from None


def _problem(detail: ErrorDetails, schema: type[BaseModel]) -> Problem:
    location = [part for part in detail["loc"] if not str(part).startswith(("function-", "tuple[", "kind:"))]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "file"
    if detail["type"] == "extra_forbidden":
        known = sorted(_keys_at(schema, location[:-1]))
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}" if known else "remove it"
        return Problem(path, "is not a known key", remedy)
    if detail["type"] == "missing":
        return Problem(path, "is missing", "add it")
    message = detail["msg"].removeprefix("Value error, ").replace("Tuple", "List")
    given = "" if isinstance(detail["input"], dict | list) else f", not {_shown(detail['input'])}"
    return Problem(path, message[:1].lower() + message[1:] + given)


def _shown(value: object) -> str:
    """The value as it was given, without a password that an address or the words of a connection may hold."""
    text = re.sub(r"//[^/@]*@", "//***@", repr(value))
    return re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s'\"]+)", r"\1***", text)


def _keys_at(schema: type[BaseModel], location: list[int | str]) -> set[str]:
    """The keys known at a place of the schema, so that a misspelt one can be named."""
    found: list[type[BaseModel]] = [schema]
    for part in location:
        if isinstance(part, str):
            fields = [model.model_fields[part].annotation for model in found if part in model.model_fields]
            found = [inner for annotation in fields for inner in _models_in(annotation)] or found
    return {name for model in found for name in model.model_fields}


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def check_all(source: str, checks: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Run every named check, then raise one ConfigError with the problems of all that failed."""
    problems: list[Problem] = []
    for name, check in checks:
        try:
            check()
        except ConfigError as error:
            problems += [Problem(f"{name}: {each.path}", each.what, each.remedy) for each in error.problems]
    if problems:
        raise ConfigError(source, problems)


def replace_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """Put local addresses and paths in the place of deployment ones, whole tokens only, longest first."""
    names = "|".join(re.escape(name) for name in sorted(tokens, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{names})(?![\w.-])", lambda hit: tokens[hit.group()], text) if names else text
