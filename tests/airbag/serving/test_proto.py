"""Our messages are TensorFlow Serving's, number by number and byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import any_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    status_pb2,
)
from tensorflow_serving.config import (
    file_system_storage_path_source_pb2,
    log_collector_config_pb2,
    logging_config_pb2,
    model_server_config_pb2,
)

from airbag.serving.proto import tfs_pb2
from airbag.serving.values import CODES

OFFICIAL_FILES = (
    file_system_storage_path_source_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    log_collector_config_pb2,
    logging_config_pb2,
    meta_graph_pb2,
    model_management_pb2,
    model_pb2,
    model_server_config_pb2,
    predict_pb2,
    saved_model_pb2,
    status_pb2,
    tensor_pb2,
    tensor_shape_pb2,
)
OFFICIAL: dict[str, Descriptor] = {
    name: message for file in OFFICIAL_FILES for name, message in file.DESCRIPTOR.message_types_by_name.items()
}
OURS: dict[str, Descriptor] = dict(tfs_pb2.DESCRIPTOR.message_types_by_name)
CONFIG_TREE = (
    "ModelServerConfig",
    "ModelConfigList",
    "ModelConfig",
    "LoggingConfig",
    "LogCollectorConfig",
    "SamplingConfig",
    "PerTaskSamplingConfig",
)
# Upstream has fields here that Airbag neither sends nor writes back; compared in the other direction only.
EXTENDED = (
    "FileSystemStoragePathSourceConfig",
    "MetaGraphDef",
    "PredictRequest",
    "PredictResponse",
    "SavedModel",
    "SignatureDef",
    "SignatureDefMap",
    "TensorInfo",
    "TensorProto",
)


def _short(full_name: str) -> str:
    for package in ("airbag.tfs.", "tensorflow.serving.", "tensorflow."):
        full_name = full_name.removeprefix(package)
    return full_name


def _kind(field: FieldDescriptor) -> object:
    if field.message_type is not None:
        return _short(field.message_type.full_name)
    if field.enum_type is not None:
        return "int32" if field.name == "error_code" else _short(field.enum_type.full_name)
    return "int32" if field.name == "error_code" else field.type


def _facts(field: FieldDescriptor) -> tuple[object, ...]:
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return (field.name, field.number, _kind(field), field.is_repeated, field.is_packed, field.has_presence, oneof)


def _nested(name: str, message: Descriptor, official: Descriptor) -> list[tuple[str, Descriptor, Descriptor]]:
    found = [(name, message, official)]
    for each in message.nested_types:
        found += _nested(f"{name}.{each.name}", each, official.nested_types_by_name[each.name])
    return found


PAIRS = [pair for name, message in OURS.items() for pair in _nested(name, message, OFFICIAL[name])]


@pytest.mark.parametrize(("name", "ours", "official"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_each_field_has_the_official_name_number_type_and_label(
    name: str, ours: Descriptor, official: Descriptor
) -> None:
    theirs = {field.number: _facts(field) for field in official.fields}
    assert [_facts(field) for field in ours.fields] == [theirs.get(field.number) for field in ours.fields]


@pytest.mark.parametrize("name", CONFIG_TREE)
def test_no_field_of_a_model_config_is_missing_since_rewriting_would_lose_it(name: str) -> None:
    assert {f.name for f in OURS[name].fields} == {f.name for f in OFFICIAL[name].fields}


def test_a_version_policy_is_whole_too() -> None:
    ours = OURS["FileSystemStoragePathSourceConfig"].nested_types_by_name["ServableVersionPolicy"]
    official = OFFICIAL["FileSystemStoragePathSourceConfig"].nested_types_by_name["ServableVersionPolicy"]
    assert {f.name for f in ours.fields} == {f.name for f in official.fields}


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        (tfs_pb2.ModelType.DESCRIPTOR, model_server_config_pb2.ModelType.DESCRIPTOR),
        (tfs_pb2.ModelVersionStatus.State.DESCRIPTOR, get_model_status_pb2.ModelVersionStatus.State.DESCRIPTOR),
        (tfs_pb2.SamplingConfig.Attributes.DESCRIPTOR, logging_config_pb2.SamplingConfig.Attributes.DESCRIPTOR),
        (tfs_pb2.DataType.DESCRIPTOR, types_pb2.DataType.DESCRIPTOR),
    ],
    ids=["ModelType", "State", "Attributes", "DataType"],
)
def test_each_enum_value_has_the_official_number(ours: EnumDescriptor, official: EnumDescriptor) -> None:
    theirs = {value.name: value.number for value in official.values}
    assert {v.name: v.number for v in ours.values} == {v.name: theirs[v.name] for v in ours.values}


def test_the_code_names_are_the_official_ones() -> None:
    official = {v.number: v.name for v in error_codes_pb2.Code.DESCRIPTOR.values if v.number < 20}
    assert official == CODES


_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=6),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=6),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32, allow_nan=False),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
}


def _value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Any":
            return st.builds(any_pb2.Any, type_url=st.text(max_size=6), value=st.binary(max_size=6))
        return _message(field.message_type)
    if field.enum_type is not None:
        return st.sampled_from([v.number for v in field.enum_type.values])
    if field.name == "error_code":
        return st.sampled_from(sorted(CODES))
    return _SCALARS[field.type]


def _message(descriptor: Descriptor) -> st.SearchStrategy[Any]:
    kind = GetMessageClass(descriptor)

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        message = kind()
        for field in descriptor.fields:
            if not draw(st.booleans()):
                continue
            held = getattr(message, field.name)
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                value = field.message_type.fields_by_name["value"]
                for key, each in draw(st.dictionaries(st.text(max_size=4), _value(value), max_size=2)).items():
                    if value.message_type is not None:
                        held[key].CopyFrom(each)
                    else:
                        held[key] = each
            elif field.is_repeated:
                held.extend(draw(st.lists(_value(field), max_size=2)))
            elif field.message_type is not None:
                held.CopyFrom(draw(_value(field)))
                held.SetInParent()
            else:
                setattr(message, field.name, draw(_value(field)))
        return message

    return build()


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_we_write_the_official_message_reads_and_writes_back_the_same(name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(_message(OURS[name]))
    def holds(ours: Any) -> None:
        official = GetMessageClass(OFFICIAL[name]).FromString(ours.SerializeToString(deterministic=True))
        back = official.SerializeToString(deterministic=True)
        assert back == ours.SerializeToString(deterministic=True)
        assert GetMessageClass(OURS[name]).FromString(back) == ours

    holds()


@pytest.mark.parametrize("name", [n for n in sorted(OURS) if n not in EXTENDED])
def test_what_the_official_message_writes_we_read_and_write_back_the_same(name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(_message(OFFICIAL[name]))
    def holds(official: Any) -> None:
        data = official.SerializeToString(deterministic=True)
        ours = GetMessageClass(OURS[name]).FromString(data)
        assert ours.SerializeToString(deterministic=True) == data
        if name in CONFIG_TREE:
            assert str(ours) == str(official)

    holds()
