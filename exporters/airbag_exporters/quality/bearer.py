"""Whether a request brings the right token."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers

CHALLENGE = {"www-authenticate": 'Bearer realm="airbag"'}
"""Goes with a refusal."""
REFUSAL = "a bearer token is needed, and the right one"


def is_let_in(headers: Headers, token: str | None) -> bool:
    """Everybody is without a `token`; takes as long for a token that is nearly right."""
    if token is None:
        return True
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token.encode())
