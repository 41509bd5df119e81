"""What the OpenAPI document says of every route alike: who may ask, and how refusals look."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from airbag_rollback.api.rules import ROLES

SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of policy.yml."},
    "password": {"type": "http", "scheme": "basic", "description": "A user of policy.yml, under access.users."},
    "certificate": {"type": "mutualTLS", "description": "A client certificate named under access.certificates."},
}
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]


class Refusal(BaseModel):
    """Why there is no other answer. `problems` has all that is wrong with what was sent, each with its path."""

    detail: str
    problems: list[str] = []


_TEXTS = {
    400: "no Alertmanager message of version 4",
    401: "a token, a password or a certificate is missing or wrong",
    403: "the role does not allow it; the answer names the role that it takes",
    404: "there is no such thing",
    405: "no such method here",
    409: "it makes no sense as things stand; the answer says how they stand",
    413: "the body is too large",
    415: "the body is not JSON",
    422: "the request has other values than described; all of them are named",
    429: "too many wrong passwords",
    503: "the journal cannot be written or read; try again",
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:  # Any: FastAPI's own shape
    """The descriptions of these refusals."""
    return {code: {"description": _TEXTS[code], "model": Refusal} for code in codes}


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with who may ask for what; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, routes=app.routes,
            description="Every order needs a role: viewer, operator or admin, each of which may all that the ones "
            "before it may. The role alertmanager may hand in alerts and nothing else. "
            "Times are seconds since the epoch.",
        )  # fmt: skip
        document.setdefault("components", {})["securitySchemes"] = SCHEMES
        for (method, path), role in ROLES.items():
            operation = document["paths"][path][method.lower()]
            operation |= {"security": SECURITY, "x-airbag-role": role}
            operation["responses"]["401"]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
        app.openapi_schema = document
    return app.openapi_schema
