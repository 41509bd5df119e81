"""What /openapi.json says is what the intake does."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from airbag_exporters.config import Limits
from airbag_exporters.quality.intake import Intake, Kind
from airbag_exporters.quality.intake.openapi import document
from tests.exporters.quality.counting_taker import CountingTaker
from tests.exporters.quality.intake_server import ARROW, NDJSON, Served, served

DOCUMENT = document(Limits(), needs_token=False)


def test_the_document_is_valid() -> None:
    for needs_token in (True, False):
        schemathesis.openapi.from_dict(document(Limits(), needs_token=needs_token)).validate()


def test_the_document_describes_every_path_and_every_status() -> None:
    assert set(DOCUMENT["paths"]) == Intake.PATHS
    for path in DOCUMENT["paths"].values():
        statuses = {"202", "400", "401", "411", "413", "415", "429", "500", "503"}
        assert set(path["post"]["responses"]) == statuses


def test_the_document_is_served_with_the_limits_in_force() -> None:
    with served(CountingTaker(), token="secret") as at:
        got = requests.get(at.url + "/openapi.json", timeout=30)
        assert got.json() == document(Limits(), needs_token=True)
        at.intake.limits = Limits(body_bytes=12345)
        at.intake.token = None
        assert "12345 bytes" in requests.get(at.url + "/openapi.json", timeout=30).text


@pytest.mark.parametrize("kind", Kind)
def test_every_example_of_the_document_is_taken(kind: Kind) -> None:
    content = DOCUMENT["paths"][f"/v1/{kind}"]["post"]["requestBody"]["content"]
    with served(CountingTaker()) as at:
        for content_type, media in content.items():
            if "example" in media:
                example = media["example"]
                body = example.encode() if isinstance(example, str) else msgspec.json.encode(example)
                answer = at.post(f"/v1/{kind}", body, content_type)
                assert (answer.status_code, answer.json()) == (202, {"accepted": 1})


def test_columns_are_described_as_they_are_taken() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["PredictionColumns"]["properties"]) == set(schemas["Prediction"]["properties"])
    assert set(schemas["LabelColumns"]["properties"]) == set(schemas["Label"]["properties"])
    batch = {
        "model_name": "churn", "model_version": 3, "serving": "main", "id": ["1", "2"], "predicted": ["stay", None],
        "score": [0.1, 0.9], "scores": [[0.9, 0.1], None], "features": {"age": [1, None], "plan": ["a", "b"]},
        "segments": {"country": ["de", None]}, "latency_seconds": [0.1, 0.2], "timestamp": [1.0, None],
        "actual": ["stay", "leave"],
    }  # fmt: skip
    assert set(batch) == set(schemas["PredictionColumns"]["properties"])
    with served(CountingTaker()) as at:
        for path, body in (("predictions", batch), ("labels", {"id": ["1", "2"], "actual": ["stay", "leave"]})):
            answer = at.post(f"/v1/{path}", msgspec.json.encode(body), "application/json")
            assert (answer.status_code, answer.json()) == (202, {"accepted": 2})


schemathesis.openapi.media_type(NDJSON, st.lists(st.text().map(str.encode)).map(b"\n".join))
schemathesis.openapi.media_type(ARROW, st.binary())
OPEN = schemathesis.openapi.from_dict(document(Limits(), needs_token=False))
GUARDED = schemathesis.openapi.from_dict(document(Limits(), needs_token=True))
BOUNDED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def open_door() -> Iterator[Served]:
    with served(CountingTaker()) as at:
        yield at


@pytest.fixture(scope="module")
def guarded_door() -> Iterator[Served]:
    with served(CountingTaker(), token="secret") as at:
        yield at


def assert_conforms(case: schemathesis.Case, at: Served) -> None:
    """Every check that means something here.

    What the schema allows may be refused, for instance an unknown group of servers. What it does not allow must be
    refused in a body of JSON; unknown headers are none of our business.
    """
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    broken = body and body.mode.is_negative and case.media_type == "application/json"
    excluded = [positive_data_acceptance] if broken else [positive_data_acceptance, negative_data_rejection]
    case.call_and_validate(base_url=at.url, excluded_checks=excluded)


@OPEN.parametrize()
@BOUNDED
def test_no_request_gets_an_answer_that_is_not_described(case: schemathesis.Case, open_door: Served) -> None:
    assert_conforms(case, open_door)


@GUARDED.auth()
class Token:
    """Schemathesis leaves it away and changes it to see what happens."""

    def get(self, case: schemathesis.Case, context: object) -> str:
        return "secret"

    def set(self, case: schemathesis.Case, data: str, context: object) -> None:
        case.headers["authorization"] = f"Bearer {data}"


@GUARDED.parametrize()
@BOUNDED
def test_no_request_comes_in_without_the_token(case: schemathesis.Case, guarded_door: Served) -> None:
    assert_conforms(case, guarded_door)
