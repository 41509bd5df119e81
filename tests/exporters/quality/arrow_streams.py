"""Arrow IPC streams for tests, written by pyarrow."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc


def stream(columns: Mapping[str, Any], metadata: Mapping[str, str] | None = None, **options: Any) -> bytes:
    """One batch; columns are lists or pyarrow arrays. `options` are those of IpcWriteOptions."""
    batch = pa.record_batch(
        {name: column if isinstance(column, pa.Array) else pa.array(column) for name, column in columns.items()}
    )
    return written([batch.replace_schema_metadata(metadata)], **options)


def written(batches: Sequence[pa.RecordBatch], **options: Any) -> bytes:
    """Several batches of one schema."""
    sink = io.BytesIO()
    with ipc.new_stream(sink, batches[0].schema, options=ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()
