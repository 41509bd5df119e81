"""Change what one model serves in the text of a models.config, and prove that nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf import text_encoding

from airbag.errors import ConfigError, Problem
from airbag.serving.model_config.policy import find_model, model_names, parse
from airbag.serving.model_config.text import Block, Field, NotUnderstood, blocks, scan
from airbag.serving.proto.tfs_pb2 import ModelServerConfig

_LARGEST = (1 << 63) - 1


@dataclass(frozen=True)
class _Change:
    start: int
    end: int
    text: str


def edit_versions(
    text: str,
    model: str,
    versions: Sequence[int],
    *,
    labels: Mapping[str, int] | None = None,
    source: str = "models.config",
) -> str:
    """`text` with the policy of `model` set to exactly `versions`, in that order.

    `labels`, when given, replaces all labels of that model; None leaves them. Every byte outside that policy and those
    labels stays as it is, comments and spacing included. When nothing would change, `text` itself comes back.
    Raises ConfigError: unreadable text, no such model, no version (which would unload the model), or a spelling that
    cannot be edited safely. The result is parsed again and compared with what was meant before it is returned.
    """
    _check(versions, source)
    before = parse(text, source)
    meant = _meant(before, model, versions, labels, source)
    if meant == before:
        return text
    edited = _apply(text, _changes(text, before, model, versions, labels, source))
    try:
        is_meant = parse(edited, source) == meant
    except ConfigError:
        is_meant = False
    if not is_meant:
        raise _refusal(source, f"model {model}", "the edited text does not read back as what was meant")
    return edited


def _check(versions: Sequence[int], source: str) -> None:
    if not versions:
        raise ConfigError(source, [Problem("versions", "none given", "an empty list would unload the model")])
    wrong = [v for v in versions if not 0 <= v <= _LARGEST]
    if wrong or len(set(versions)) != len(versions):
        what = f"{list(versions)} are not different numbers from 0 to {_LARGEST}"
        raise ConfigError(source, [Problem("versions", what)])


def _meant(
    before: ModelServerConfig, model: str, versions: Sequence[int], labels: Mapping[str, int] | None, source: str
) -> ModelServerConfig:
    meant = ModelServerConfig()
    meant.CopyFrom(before)
    entry = find_model(meant, model, source)
    if list(entry.model_version_policy.specific.versions) != list(versions):
        entry.model_version_policy.specific.versions[:] = versions
    if labels is not None:
        entry.version_labels.clear()
        entry.version_labels.update(labels)
    return meant


def _changes(
    text: str,
    before: ModelServerConfig,
    model: str,
    versions: Sequence[int],
    labels: Mapping[str, int] | None,
    source: str,
) -> list[_Change]:
    block = _block_of(text, model_names(before), model, source)
    entry = find_model(before, model, source)
    inserts: list[str] = []
    changes: list[_Change] = []
    if list(entry.model_version_policy.specific.versions) != list(versions):
        specific = "specific { " + "".join(f"versions: {v} " for v in versions) + "}"
        policies = [field for field in block.fields if field.name == "model_version_policy"]
        if policies and not policies[0].blocks:
            raise _refusal(source, f"model {model}", "cannot tell where its model_version_policy stands")
        if policies:
            changes.append(_policy_change(policies[0].blocks[0], specific))
        else:
            inserts.append(f"model_version_policy {{ {specific} }}")
    if labels is not None and dict(entry.version_labels) != dict(labels):
        written = [
            f'version_labels {{ key: "{text_encoding.CEscape(key.encode(), as_utf8=True)}" value: {value} }}'
            for key, value in sorted(labels.items())
        ]
        old = [field for field in block.fields if field.name == "version_labels"]
        if old and written:
            changes.append(_Change(old[0].start, old[0].end, _spread(text, old[0], written)))
            old = old[1:]
            written = []
        changes += [_removal(text, field) for field in old]
        inserts += written
    if inserts:
        stays = [field for field in block.fields if labels is None or field.name != "version_labels"]
        changes.append(_insertion(text, stays[-1], block.end, inserts))
    return changes


def _block_of(text: str, names: Sequence[str], model: str, source: str) -> Block:
    """The block of `model`: the parser appends entries in the order of the text, so the n-th block is the n-th name."""
    try:
        top = scan(text)
    except NotUnderstood as error:
        raise _refusal(source, f"line {error.line}", error.what) from error
    found = [each for block in blocks(top, "model_config_list") for each in blocks(block.fields, "config")]
    if len(found) != len(names):
        raise _refusal(source, "model_config_list", f"found {len(found)} entries where the parser reads {len(names)}")
    return found[list(names).index(model)]


def _policy_change(policy: Block, specific: str) -> _Change:
    if policy.fields:
        return _Change(policy.fields[0].start, policy.fields[-1].end, specific)
    return _Change(policy.start, policy.start, f" {specific} ")


def _insertion(text: str, last: Field, limit: int, lines: Sequence[str]) -> _Change:
    """New fields after `last`: on lines of their own when its line ends there, else in the same line."""
    after = _end_with_separator(text, last)
    end_of_line = text.find("\n", after, limit)
    rest = text[after:end_of_line].strip()
    if end_of_line < 0 or (rest and not rest.startswith("#")):
        return _Change(after, after, "".join(f" {line}" for line in lines))
    at = end_of_line - (text[end_of_line - 1] == "\r")
    return _Change(at, at, "".join(_newline(text, last) + line for line in lines))


def _spread(text: str, field: Field, lines: Sequence[str]) -> str:
    starts_line = not text[text.rfind("\n", 0, field.start) + 1 : field.start].strip()
    return (_newline(text, field) if starts_line else " ").join(lines)


def _newline(text: str, field: Field) -> str:
    """A line break in the file's style, with the indentation of the line in which `field` starts."""
    start = text.rfind("\n", 0, field.start) + 1
    line = text[start : field.start]
    ending = "\r\n" if "\r\n" in text else "\n"
    return ending + line[: len(line) - len(line.lstrip())]


def _removal(text: str, field: Field) -> _Change:
    """The field with its separator, and its whole line when nothing else stands there."""
    end = _end_with_separator(text, field)
    start_of_line = text.rfind("\n", 0, field.start) + 1
    end_of_line = text.find("\n", end)
    alone = not text[start_of_line : field.start].strip() and end_of_line >= 0 and not text[end:end_of_line].strip()
    return _Change(start_of_line, end_of_line + 1, "") if alone else _Change(field.start, end, "")


def _end_with_separator(text: str, field: Field) -> int:
    rest = text[field.end :]
    blank = len(rest) - len(rest.lstrip())
    return field.end + blank + 1 if rest[blank : blank + 1] in (",", ";") else field.end


def _apply(text: str, changes: Sequence[_Change]) -> str:
    for change in sorted(changes, key=lambda change: change.start, reverse=True):
        text = text[: change.start] + change.text + text[change.end :]
    return text


def _refusal(source: str, path: str, what: str) -> ConfigError:
    return ConfigError(source, [Problem(path, what, "nothing was changed; edit the file by hand or write it plainly")])
