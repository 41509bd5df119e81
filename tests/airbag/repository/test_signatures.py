"""Signatures: one hash wherever they come from, and their difference in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbag.repository import Signatures, compatible, differences, of_map
from airbag.repository.saved_model import read_model
from airbag.repository.signatures import Tensor
from airbag.serving.proto.tfs_pb2 import DataType, SignatureDef, SignatureDefMap, TensorInfo, TensorShapeProto
from tests.fakes import saved_models

FLOAT, INT64 = DataType.DT_FLOAT, DataType.DT_INT64


def tensor(dtype: DataType.ValueType, *shape: int, name: str = "t:0") -> TensorInfo:
    dims = [TensorShapeProto.Dim(size=size) for size in shape]
    return TensorInfo(name=name, dtype=dtype, tensor_shape=TensorShapeProto(dim=dims))


def signatures(
    inputs: dict[str, TensorInfo] | None = None, outputs: dict[str, TensorInfo] | None = None, *,
    name: str = "serving_default", method: str = "tensorflow/serving/predict",
) -> Signatures:  # fmt: skip
    inputs = {"x": tensor(FLOAT, -1, 64)} if inputs is None else inputs
    outputs = {"y": tensor(FLOAT, -1)} if outputs is None else outputs
    return of_map({name: SignatureDef(inputs=inputs, outputs=outputs, method_name=method)})


def test_the_hash_does_not_depend_on_names_inside_the_graph() -> None:
    first, second = (signatures({"x": tensor(FLOAT, -1, 64, name=name)}) for name in ("a:0", "StatefulCall:1"))
    assert first.digest == second.digest
    assert differences(first, second) == ()


def test_a_file_and_the_official_messages_tell_the_same(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    file = saved_models.two_inputs(tmp_path, 1) / "saved_model.pb"
    official = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs[0]
    answer = SignatureDefMap()
    for name, signature in official.signature_def.items():
        answer.signature_def[name].ParseFromString(signature.SerializeToString())
    assert "__saved_model_init_op" in answer.signature_def
    read = read_model(file).signatures
    assert read is not None
    assert list(read.by_name) == ["serving_default"]
    assert read.digest == of_map(answer.signature_def).digest
    assert str(read.by_name["serving_default"].inputs["a"]) == "float[...]"


X, Y = tensor(FLOAT, -1, 64), tensor(FLOAT, -1)
ANY = TensorInfo(dtype=FLOAT, tensor_shape=TensorShapeProto(unknown_rank=True))
OTHER = [
    (signatures({"x": tensor(FLOAT, -1, 32)}), "input x changed from float[?,64] to float[?,32]", True),
    (signatures({"x": tensor(INT64, -1, 64)}), "input x changed from float[?,64] to int64[?,64]", True),
    (signatures({"x": ANY}), "input x changed from float[?,64] to float[...]", True),
    (signatures({}), "input x (float[?,64]) was removed", True),
    (signatures({"x": X, "z": tensor(INT64)}), "input z (int64[]) was added", True),
    (signatures(outputs={}), "output y (float[?]) was removed", True),
    (signatures(outputs={"y": Y, "p": Y}), "output p (float[?]) was added", False),
    (
        signatures(method="tensorflow/serving/classify"),
        "method changed from tensorflow/serving/predict to tensorflow/serving/classify",
        True,
    ),
]


@pytest.mark.parametrize(("other", "text", "breaks"), OTHER, ids=[text for _, text, _ in OTHER])
def test_each_difference_has_words_and_breaks_clients_or_not(other: Signatures, text: str, breaks: bool) -> None:
    [found] = differences(signatures(), other)
    assert (found.text, found.breaks) == (f"serving_default: {text}", breaks)
    assert compatible(signatures(), other) is not breaks
    assert other.digest != signatures().digest


def test_a_signature_may_be_added_and_not_taken_away() -> None:
    one = signatures()
    two = Signatures({**one.by_name, **signatures(name="explain").by_name})
    assert [each.text for each in differences(one, two)] == ["signature explain was added"]
    assert compatible(one, two)
    assert [each.text for each in differences(two, one)] == ["signature explain was removed"]
    assert not compatible(two, one)


def test_a_type_without_a_name_here_is_told_by_its_number() -> None:
    info = TensorInfo.FromString(b"\x10\x15")  # field 2 is 21
    assert str(signatures({"x": info}).by_name["serving_default"].inputs["x"]) == "type21[]"


@pytest.mark.parametrize(
    ("one", "other", "may_be"),
    [
        ((2, 3), (2, 3), True),
        ((-1, 3), (2, 3), True),
        ((2, 3), (2, -1), True),
        (None, (2, 3), True),
        ((2,), None, True),
        ((2, 3), (2, 4), False),
        ((-1,), (2, 3), False),
    ],
)
def test_a_shape_that_one_side_leaves_open_may_be_the_other_s(
    one: tuple[int, ...] | None, other: tuple[int, ...] | None, may_be: bool
) -> None:
    assert Tensor("float", one).may_be(Tensor("float", other)) is may_be
    assert not Tensor("float", one).may_be(Tensor("int64", other))
