"""The schema of an Arrow IPC stream; see Schema.fbs in https://arrow.apache.org/docs/format/Columnar.html."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode.flat import Table
from airbag_exporters.quality.decode.problems import shortened

FIELDS_MAX = 10_000
_DEPTH_MAX = 8
_NULL, _INT, _FLOAT, _TIMESTAMP, _FIXED_LIST, _DURATION = 1, 2, 3, 10, 16, 18
_FORMATS = {
    1: "n", 4: "z", 5: "u", 6: "b", 7: "d", 8: "td", 9: "tt", 11: "ti", 12: "+l", 13: "+s", 15: "w", 17: "+m",
    19: "Z", 20: "U", 21: "+L", 23: "vz", 24: "vu",
}  # fmt: skip
_BUFFERS = {"n": 0, "u": 3, "U": 3, "z": 3, "Z": 3, "+s": 1}
_UNITS = "smun"
_INTS = {(8, 1): "c", (8, 0): "C", (16, 1): "s", (16, 0): "S", (32, 1): "i", (32, 0): "I", (64, 1): "l", (64, 0): "L"}


@dataclass(frozen=True)
class Field:
    """A column or a field of one; `format` is written as in Arrow's C data interface.

    With a `dictionary`, which is the number of one, the format is that of the indices, and `values` that of the values.
    """

    name: str
    format: str
    children: tuple[Field, ...] = ()
    dictionary: int | None = None
    values: Field | None = None

    @property
    def buffers(self) -> int:
        """How many buffers a batch has of it, without those of its children and those that a view adds."""
        return 1 if self.format.startswith("+w") else _BUFFERS.get(self.format, 2)


@dataclass(frozen=True)
class Schema:
    """Columns, the constants in the metadata, and the type of every dictionary by its number."""

    fields: tuple[Field, ...]
    constants: Mapping[str, str]
    dictionaries: Mapping[int, Field]


@dataclass
class _Reader:
    left: int = FIELDS_MAX
    dictionaries: dict[int, Field] = field(default_factory=dict)

    def field(self, table: Table, depth: int) -> Field:
        self.left -= 1
        if self.left < 0 or depth > _DEPTH_MAX:
            raise BadBatch("the schema of the Arrow stream has too many columns, or they are nested too deeply")
        name = table.text(0)
        children = tuple(self.field(child, depth + 1) for child in table.tables(5))
        whole = Field(name, _format(name, table), children)
        if whole.format in ("+l", "+L", "+m") or whole.format.startswith("+w"):
            if len(children) != 1:
                raise _unread(name, "a list without values")
        elif whole.format != "+s" and children:
            raise _unread(name, f"a column of format {whole.format!r} with fields")
        encoding = table.table(4)
        if encoding is None:
            return whole
        number, index = encoding.number(0, "<q"), encoding.table(1)
        self.dictionaries[number] = whole
        return Field(name, "i" if index is None else _int(name, index), (), number, replace(whole, name=name))


def read_schema(table: Table) -> Schema:
    """Of a Schema table; BadBatch for types that are not read here."""
    if table.number(0, "<h"):
        raise BadBatch("the Arrow stream is big-endian; send it little-endian")
    reader = _Reader()
    fields = tuple(reader.field(each, 0) for each in table.tables(1))
    constants = {each.text(0): each.text(1) for each in table.tables(2)}
    return Schema(fields, constants, reader.dictionaries)


def _format(name: str, table: Table) -> str:
    number, details = table.number(2, "<B"), table.table(3)
    if details is None:
        raise _unread(name, "a column without type")
    if number == _INT:
        return _int(name, details)
    if number == _FLOAT:
        precision = details.number(0, "<h")
        if 0 <= precision < len("efg"):
            return "efg"[precision]
    if number in (_TIMESTAMP, _DURATION):
        unit = details.number(0, "<h", default=0 if number == _TIMESTAMP else 1)
        if 0 <= unit < len(_UNITS):
            return f"t{'s' if number == _TIMESTAMP else 'D'}{_UNITS[unit]}"
    if number == _FIXED_LIST:
        width = details.number(0, "<i")
        if width >= 0:
            return f"+w:{width}"
    if number not in _FORMATS:
        raise _unread(name, f"a column of the type number {number}")
    return _FORMATS[number]


def _int(name: str, details: Table) -> str:
    kind = details.number(0, "<i"), int(bool(details.number(1, "<B")))
    if kind not in _INTS:
        raise _unread(name, f"whole numbers of {kind[0]} bits")
    return _INTS[kind]


def _unread(name: str, what: str) -> BadBatch:
    return BadBatch(shortened(f"field `{name}`: {what} cannot be read; leave it out or cast it"))
