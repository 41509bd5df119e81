"""The messages that the Python package of TensorFlow Serving does not ship, with the field numbers of the real ones.

They live in a pool of their own, so that they never clash with the official modules.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bool": _FIELD.TYPE_BOOL,
    "string": _FIELD.TYPE_STRING,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
}
_MESSAGES = {
    "PrometheusConfig": ("bool enable 1", "string path 2"),
    "MonitoringConfig": ("PrometheusConfig prometheus_config 1",),
    "SSLConfig": ("string server_key 1", "string server_cert 2", "string custom_ca 3", "bool client_verify 4"),
    "Int64Value": ("int64 value 1",),
    "StringValue": ("string value 1",),
    "BoolValue": ("bool value 1",),
    "BatchingParameters": (
        "Int64Value max_batch_size 1",
        "Int64Value batch_timeout_micros 2",
        "Int64Value max_enqueued_batches 3",
        "Int64Value num_batch_threads 4",
        "StringValue thread_pool_name 5",
        "repeated int64 allowed_batch_sizes 6",
        "bool pad_variable_length_inputs 7",
        "BoolValue enable_large_batch_splitting 8",
        "Int64Value max_execution_batch_size 9",
    ),
    "HealthCheckRequest": ("string service 1",),
    "HealthCheckResponse": ("int32 status 1",),
}


def message(name: str) -> Any:
    """The class of a message in this file's table."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"local.{name}"))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="local.proto", package="local", syntax="proto3")
    for name, fields in _MESSAGES.items():
        made = file.message_type.add(name=name)
        for text in fields:
            _add_field(made, text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(made: Any, text: str) -> None:
    *label, kind, name, number = text.split()
    made.field.add(
        name=name,
        number=int(number),
        label=_FIELD.LABEL_REPEATED if label else _FIELD.LABEL_OPTIONAL,
        type=_TYPES.get(kind, _FIELD.TYPE_MESSAGE),
        type_name=None if kind in _TYPES else f".local.{kind}",
    )
