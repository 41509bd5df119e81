"""Certificates for tests, from an authority made up for them."""

from __future__ import annotations

from pathlib import Path

import trustme


def write_pair(folder: Path, authority: trustme.CA, name: str = "server") -> tuple[Path, Path]:
    """NAME.crt and NAME.key for 127.0.0.1; an existing pair is replaced, as at a renewal."""
    leaf = authority.issue_cert("127.0.0.1", "localhost", common_name=name)
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    return cert, key


def write_authority(folder: Path, authority: trustme.CA, name: str = "ca.crt") -> Path:
    path = folder / name
    path.write_bytes(authority.cert_pem.bytes())
    return path
