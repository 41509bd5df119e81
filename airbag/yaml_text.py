"""YAML from anybody: safe types only, no key twice, and no text that is small on disk and endless in memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from airbag.errors import ConfigError, Problem

DEPTH_MAX = 60
"""Levels of lists and mappings inside each other."""
VALUES_MAX = 250_000
"""Values of one text, those that an alias repeats counted each time: a few aliases of aliases grow to gigabytes."""


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is too deep, too large, or contains itself."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate keys and endless values, and leaves dates as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._sizes: dict[str, int | None] = {}

    # Any, here and below: nodes and events of PyYAML.
    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML is not typed
        if isinstance(event, yaml.AliasEvent):
            self._repeat(event)
            return super().compose_node(parent, index)
        begun, anchor = self._values, getattr(event, "anchor", None)
        self._count(1, event)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _Refused(None, None, f"is nested more than {DEPTH_MAX} levels deep", event.start_mark)
        if anchor is not None:
            self._sizes[anchor] = None
        node = super().compose_node(parent, index)
        if anchor is not None:
            self._sizes[anchor] = self._values - begun
        self._depth -= 1
        return node

    def _repeat(self, event: Any) -> None:
        size = self._sizes.get(event.anchor, 0)
        if size is None:
            raise _Refused(None, None, f"the alias {event.anchor!r} stands inside of what it names", event.start_mark)
        self._count(size, event)

    def _count(self, more: int, event: Any) -> None:
        self._values += more
        if self._values > VALUES_MAX:
            problem = f"holds more than {VALUES_MAX:,} values, those repeated by aliases counted each time"
            raise _Refused(None, None, problem, event.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} stands here twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str, source: str) -> object:
    """The document in a text; ConfigError naming `source`, line and column when there is none or it is endless."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - the loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        what = error.problem if isinstance(error, _Refused) else f"is not YAML: {error.problem}"
        raise ConfigError(source, [Problem(where, str(what))]) from error
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem("file", f"is not YAML: {error}")]) from error
    except (ValueError, ArithmeticError, AttributeError, TypeError) as error:  # `!!int x`, 5000 digits
        raise ConfigError(source, [Problem("file", "holds a value that its type does not allow")]) from error
