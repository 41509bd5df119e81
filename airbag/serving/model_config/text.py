"""Where the fields of a protobuf text file stand, so that one of them can be replaced and no other byte moves.

The official parser tells what a text means but not where. This one tells where, and nothing of what it means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\v\f]+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*|\.?[0-9](?:[eE][+-]|[A-Za-z0-9_.])*)
      | (?P<mark>[{}<>\[\]:,;/.-])""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "<": ">"}


class NotUnderstood(ValueError):
    """The text holds something that this scanner does not know; `line` counts from 1."""

    def __init__(self, text: str, offset: int, what: str) -> None:
        self.line = text.count("\n", 0, offset) + 1
        self.what = what
        super().__init__(f"line {self.line}: {what}")


@dataclass(frozen=True)
class Block:
    """A message in braces or angle brackets: `start` is just after the opening mark, `end` is at the closing one."""

    start: int
    end: int
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Field:
    """A field from its name to the end of its value, without a `,` or `;` after it. A list may hold several blocks."""

    name: str
    start: int
    end: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def scan(text: str) -> tuple[Field, ...]:
    """The top-level fields of `text`. Raises NotUnderstood."""
    return _Scanner(text).everything()


def blocks(fields: tuple[Field, ...], name: str) -> tuple[Block, ...]:
    """All messages in the fields called `name`, in the order in which the official parser appends them."""
    return tuple(block for field in fields if field.name == name for block in field.blocks)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def everything(self) -> tuple[Field, ...]:
        fields = self._fields()
        if self._peek().kind != "end":
            raise self._unexpected()
        return fields

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        if token.kind == "end":
            raise self._unexpected()
        self._next += 1
        return token

    def _sees(self, *marks: str) -> bool:
        return self._peek().kind == "mark" and self._peek().text in marks

    def _skip(self, *marks: str) -> bool:
        found = self._sees(*marks)
        self._next += found
        return found

    def _unexpected(self) -> NotUnderstood:
        token = self._peek()
        what = "the end of the file" if token.kind == "end" else repr(token.text)
        return NotUnderstood(self._text, token.start, f"did not expect {what} here")

    def _fields(self) -> tuple[Field, ...]:
        fields = []
        while self._peek().kind == "word" or self._sees("["):
            fields.append(self._field())
            self._skip(",", ";")
        return tuple(fields)

    def _field(self) -> Field:
        start = self._peek().start
        name = self._name()
        colon = self._skip(":")
        found: tuple[Block, ...] = ()
        if self._sees("{", "<"):
            found = (self._block(),)
        elif self._sees("["):
            found = self._list()
        elif colon:
            self._scalar()
        else:
            raise self._unexpected()
        return Field(name, start, self._tokens[self._next - 1].end, found)

    def _name(self) -> str:
        if not self._skip("["):
            return self._take().text
        parts = []
        while not self._skip("]"):
            parts.append(self._take().text)
        return "".join(parts)

    def _block(self) -> Block:
        opening = self._take()
        fields = self._fields()
        if not self._sees(_CLOSING[opening.text]):
            raise self._unexpected()
        return Block(opening.end, self._take().start, fields)

    def _list(self) -> tuple[Block, ...]:
        self._take()
        found = []
        while not self._skip("]"):
            if self._sees("{", "<"):
                found.append(self._block())
            else:
                self._scalar()
            if not self._skip(",") and not self._sees("]"):
                raise self._unexpected()
        return tuple(found)

    def _scalar(self) -> None:
        self._skip("-")
        if self._peek().kind == "string":
            while self._peek().kind == "string":  # neighbours are one string
                self._take()
        elif self._peek().kind == "word":
            self._take()
        else:
            raise self._unexpected()


def _tokens(text: str) -> list[_Token]:
    tokens = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise NotUnderstood(text, offset, f"cannot read {text[offset : offset + 20]!r}")
        kind = str(match.lastgroup)
        if kind != "blank":
            tokens.append(_Token(kind, match.group(), offset, match.end()))
        offset = match.end()
    return [*tokens, _Token("end", "", len(text), len(text))]
