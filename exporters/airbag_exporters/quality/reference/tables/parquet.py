"""Parquet, row group by row group. Needs pyarrow, which is imported when the first file is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from airbag.errors import ConfigError, Problem, StartError
from airbag.serving.quality import FeatureKind
from airbag_exporters.quality.columns import Coded, Floats
from airbag_exporters.quality.reference.chunk import (
    BOOLEAN,
    CHUNK_ROWS,
    NUMBER,
    TEXT,
    Chunk,
    Kinds,
    Read,
    Unfit,
    numbers,
    texts_of_numbers,
)

_BUFFER = 1 << 20


@dataclass(frozen=True)
class ParquetTable:
    """One file; nested columns are known by the name of the outermost."""

    path: Path
    missing: frozenset[str]

    @property
    def size(self) -> int:
        """Rows."""
        with self._open([]) as file:
            return int(file.metadata.num_rows)

    @cached_property
    def _types(self) -> Mapping[str, str]:
        with self._open([]) as file:
            schema = file.schema_arrow
        twins = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twins:
            raise self._wrong(f"has more than one column called {', '.join(map(repr, twins))}")
        return {field.name: _type(field.type) for field in schema}

    def types(self, read: Read) -> Mapping[str, str]:
        """From the file's schema."""
        read(0)
        return self._types

    def chunks(self, kinds: Kinds, read: Read) -> Iterator[Chunk]:
        """All rows; ConfigError where a page cannot be read."""
        import pyarrow as pa

        first = 1
        coded = [name for name in kinds if self._types[name] == TEXT]
        with self._open(coded) as file:
            try:
                for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(kinds), use_threads=False):
                    yield self._chunk(batch, kinds, first)
                    first += batch.num_rows
                    read(batch.num_rows)
            except (pa.ArrowException, OSError) as error:
                raise self._wrong(f"cannot be read after row {first - 1}: {error}") from error

    def _chunk(self, batch: Any, kinds: Kinds, first: int) -> Chunk:  # Any: pyarrow has no types
        found: dict[str, Floats | Coded] = {}
        bad: dict[str, str] = {}
        for name, kind in kinds.items():
            try:
                found[name] = self._column(batch.column(name), kind)
            except Unfit as error:
                bad[name] = f"{self.path.name}, row {first + error.at}: {error}"
        return Chunk(batch.num_rows, found, bad)

    def _column(self, array: Any, kind: FeatureKind) -> Floats | Coded:  # Any: pyarrow has no types
        import pyarrow as pa

        found = _type(array.type)
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) and found == NUMBER else array
        if found == TEXT:
            coded = _coded(array, self.missing)
            return coded if kind == "categorical" else _parsed(coded)
        if found == BOOLEAN and kind == "categorical":
            return _coded(array.cast(pa.string()), frozenset())
        values: Floats = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return values if kind == "numeric" else texts_of_numbers(values)

    def _open(self, coded: list[str]) -> Any:  # Any: pyarrow has no types
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path, read_dictionary=coded, buffer_size=_BUFFER, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise self._wrong(f"cannot be read as Parquet: {error}") from error

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError("data", [Problem(str(self.path), what)])


def _type(given: Any) -> str:  # Any: pyarrow has no types
    import pyarrow.types as is_a

    inner = given.value_type if is_a.is_dictionary(given) else given
    if is_a.is_integer(inner) or is_a.is_floating(inner) or is_a.is_decimal(inner):
        return NUMBER
    if is_a.is_string(inner) or is_a.is_large_string(inner):
        return TEXT
    return BOOLEAN if is_a.is_boolean(inner) else str(given)


def _coded(array: Any, missing: frozenset[str]) -> Coded:  # Any: pyarrow has no types
    import pyarrow.types as is_a

    coded = array if is_a.is_dictionary(array.type) else array.dictionary_encode()
    values = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    kept = np.array([*(-1 if each is None or each in missing else at for at, each in enumerate(values)), -1])
    return Coded(tuple("" if value is None else value for value in values), kept[codes].astype(np.intp))


def _parsed(coded: Coded) -> Floats:
    """Texts as numbers; Unfit with the first row whose text is none."""
    table = np.full(len(coded.values) + 1, np.nan)
    for code, text in enumerate(coded.values):
        rows = np.flatnonzero(coded.codes == code)
        if len(rows):
            try:
                table[code] = numbers([text])[0]
            except Unfit as error:
                raise Unfit(int(rows[0]), str(error)) from None
    return table[coded.codes]


def open_table(path: Path, missing: frozenset[str]) -> ParquetTable:
    """The file; StartError without pyarrow, ConfigError when it cannot be opened."""
    try:
        import pyarrow.parquet  # noqa: F401 - whether it is there
    except ImportError as error:
        raise StartError(
            f'{path} is Parquet, which needs pyarrow: pip install "tfs-airbag[reference]", or give CSV or NDJSON'
        ) from error
    table = ParquetTable(path, missing)
    table.types(lambda _: None)
    return table
