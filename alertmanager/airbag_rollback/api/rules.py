"""Who may ask for what. A route without a line here does not come up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airbag_rollback.pages.paths import is_page
from airbag_rollback.policy import Role

ROLES: Mapping[tuple[str, str], Role] = {
    ("POST", "/v1/alerts"): "alertmanager",
    ("GET", "/v1/actions"): "viewer",
    ("GET", "/v1/actions/{action_id}"): "viewer",
    ("GET", "/v1/actions/{action_id}/report"): "viewer",
    ("PUT", "/v1/actions/{action_id}/report"): "operator",
    ("GET", "/v1/serving"): "viewer",
    ("GET", "/v1/models"): "viewer",
    ("GET", "/v1/models/{serving}/{model}/versions"): "viewer",
    ("GET", "/v1/explain"): "viewer",
    ("GET", "/v1/pauses"): "viewer",
    ("POST", "/v1/actions/{action_id}/approve"): "operator",
    ("POST", "/v1/actions/{action_id}/reject"): "operator",
    ("POST", "/v1/actions/{action_id}/clear"): "operator",
    ("POST", "/v1/rollbacks"): "operator",
    ("POST", "/v1/drills"): "operator",
    ("GET", "/v1/drills/{action_id}"): "viewer",
    ("POST", "/v1/pauses"): "operator",
    ("DELETE", "/v1/pauses/{serving}/{model}"): "operator",
    ("POST", "/v1/quarantine/{serving}/{model}/{version}"): "admin",
    ("DELETE", "/v1/quarantine/{serving}/{model}/{version}"): "admin",
    ("GET", "/v1/audit"): "admin",
}


@dataclass(frozen=True)
class Document:
    """What a route takes that takes no order: its type, and how many bytes at most."""

    media_type: str
    limit: int


DOCUMENTS: Mapping[tuple[str, str], Document] = {
    ("PUT", "/v1/actions/{action_id}/report"): Document("text/html", 4 << 20),
}


def has_own_rule(path: str) -> bool:
    """Whether the routes at this path check by themselves who asks, and the web configuration's passwords do not."""
    return path.startswith("/v1/") or is_page(path)
