"""Secrets come from files and the environment alone, and stay there."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from airbag.cli import COMMANDS, airbag
from airbag.config import Secret
from airbag.http_config import HttpConfig
from airbag.web_config import WebConfig
from airbag_exporters.config import ExportersConfig
from airbag_rollback.policy import Policy

SOUNDS_SECRET = re.compile(r"pass(word)?|token|secret|credential|private|api_?key|(^|_)key", re.IGNORECASE)
TOKEN = "a-token-that-nobody-may-see"


def keys(model: type[BaseModel], place: str) -> Iterator[tuple[str, object]]:
    """Every key that may stand in a configuration, with its type."""
    for name, field in model.model_fields.items():
        yield f"{place}.{name}", field.annotation
        for inner in _models(field.annotation):
            yield from keys(inner, f"{place}.{name}")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Secret:
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


@pytest.mark.parametrize("model", [Policy, ExportersConfig, WebConfig, HttpConfig], ids=lambda model: model.__name__)
def test_no_key_of_any_configuration_takes_a_secret_itself(model: type[BaseModel]) -> None:
    """A key that sounds like one is a Secret (a file or the environment), a list of such entries, or a path."""
    found = dict(keys(model, model.__name__))
    assert len(found) > 3
    inline = {
        key
        for key, annotation in found.items()
        if SOUNDS_SECRET.search(key.rpartition(".")[2]) and not _is_elsewhere(key, annotation)
    }
    assert inline == set()


def _is_elsewhere(key: str, annotation: object) -> bool:
    types = {annotation, *typing.get_args(annotation)}
    is_path = key.endswith("_file") and any(isinstance(each, type) and issubclass(each, Path) for each in _flat(types))
    return is_path or Secret in types or any(True for each in types for _ in _models(each))


def _flat(types: set[object]) -> Iterator[object]:
    for each in types:
        yield each
        yield from _flat(set(typing.get_args(each)))


def test_no_help_page_shows_what_the_environment_holds() -> None:
    runner = CliRunner(env={"AIRBAG_TOKEN": TOKEN})
    for name in COMMANDS:
        shown = runner.invoke(airbag, [name, "--help"])
        assert shown.exit_code == 0
        assert TOKEN not in shown.output


@pytest.mark.parametrize("name", ["status", "history", "pause"])
def test_no_error_shows_the_token(name: str, tmp_path: Path) -> None:
    """With a receiver that is not there."""
    (tmp_path / "token").write_text(TOKEN)
    url = "--receiver.url=http://127.0.0.1:1"
    more = ["--because", "x", "--for", "1h"] if name == "pause" else []
    more += ["--json"] if name == "status" else []
    done = CliRunner().invoke(airbag, [name, url, f"--token-file={tmp_path / 'token'}", *more])
    assert done.exit_code != 0
    assert TOKEN not in done.output + repr(done.exception)
