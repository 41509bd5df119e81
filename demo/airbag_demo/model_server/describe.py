"""What the server says of its models: states of versions, signatures, and which version answers."""

from __future__ import annotations

from typing import Any, cast

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from airbag_demo.model_server.core import ServerCore, Wanted
from airbag_demo.model_server.saved_model import SavedModel


def model_status(core: ServerCore, wanted: Wanted) -> Any:
    """A GetModelStatusResponse with the states of all versions, or of the one asked for. StatusError NOT_FOUND."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for event in core.status(wanted):
        one = response.model_version_status.add(version=event.version, state=int(event.state))
        one.status.error_code = int(event.status.code)
        one.status.error_message = event.status.message
    return response


def model_metadata(core: ServerCore, wanted: Wanted) -> Any:
    """A GetModelMetadataResponse with the signatures and the version that answered. StatusError as for a request."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with core.hold(wanted) as route:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in cast(SavedModel, route.servable).signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        response.model_spec.name = route.name
        response.model_spec.version.value = route.version
    return response
