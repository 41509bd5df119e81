"""Certificates for tests, from an authority made up for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

EXPIRED = datetime.now(UTC) - timedelta(days=1)


def write_pair(
    folder: Path, authority: trustme.CA, name: str = "server", hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
    ends: datetime | None = None,
) -> tuple[Path, Path]:  # fmt: skip
    """NAME.crt and NAME.key for 127.0.0.1; an existing pair is replaced, as at a renewal."""
    begins = ends - timedelta(days=30) if ends else None
    leaf = authority.issue_cert(*hosts, common_name=name, not_before=begins, not_after=ends)
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    return cert, key


def write_authority(folder: Path, authority: trustme.CA, name: str = "ca.crt") -> Path:
    path = folder / name
    path.write_bytes(authority.cert_pem.bytes())
    return path
