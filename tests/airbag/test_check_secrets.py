"""`airbag check` about secrets that everybody can read, and certificates that end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pydantic import BaseModel

from airbag.chain.finding import Level
from airbag.check_files import Paths
from airbag.check_secrets import secret_findings
from airbag.config import load
from airbag_exporters.config import ExportersConfig
from airbag_rollback.policy import Policy
from tests.airbag.certificates import EXPIRED, write_pair
from tests.fakes.binaries import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "tls"


def told(config: BaseModel, paths: Paths) -> dict[str, tuple[Level, str]]:
    return {each.path: (each.level, each.what) for each in secret_findings("f.yml", config, paths)}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """What the example's files point to, as it should be."""
    for name in ("airbag_webhook_token", "airbag_operator_token", "airbag_audit_key"):
        (tmp_path / name).touch(mode=0o600)
    authority = trustme.CA()
    for name in ("client", "serving", "http-ca", "serving-ca"):
        for path in write_pair(tmp_path, authority, name):
            path.chmod(0o600)
    return tmp_path


def paths(here: Path) -> Paths:
    return Paths({"/run/secrets": here, "/etc/airbag/certificates": here})


def test_nothing_is_told_of_what_is_as_it_should_be_or_lies_elsewhere(here: Path) -> None:
    for where in (paths(here), Paths()):
        assert told(load(EXAMPLE / "policy.yml", Policy), where) == {}
        assert told(load(EXAMPLE / "exporters.yml", ExportersConfig), where) == {}


def test_every_secret_that_everybody_can_read_is_named_by_its_key(here: Path) -> None:
    for path in here.iterdir():
        path.chmod(0o644)
    found = told(load(EXAMPLE / "policy.yml", Policy), paths(here))
    assert set(found) == {
        "webhook_token.file", "audit_key.file", "access.tokens[0].token.file",
        "prometheus_http_config.tls_config.key_file", "alertmanager_http_config.tls_config.key_file",
    }  # fmt: skip
    assert {level for level, _ in found.values()} == {Level.NOTE}
    exporters = told(load(EXAMPLE / "exporters.yml", ExportersConfig), paths(here))
    assert set(exporters) == {"servings[0].grpc_tls.key_file", "alerts.http_config.tls_config.key_file"}


def test_certificates_are_told_of_before_they_end_and_after(here: Path) -> None:
    authority = trustme.CA()
    write_pair(here, authority, "serving", ends=EXPIRED)
    write_pair(here, authority, "client", ends=datetime.now(UTC) + timedelta(days=5, hours=1))
    found = told(load(EXAMPLE / "exporters.yml", ExportersConfig), paths(here))
    level, what = found["servings[0].grpc_tls.cert_file"]
    assert level is Level.PROBLEM
    assert "has expired on" in what
    level, what = found["alerts.http_config.tls_config.cert_file"]
    assert level is Level.NOTE
    assert "in 5 days" in what
