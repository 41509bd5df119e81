"""When a certificate begins and ends, read with the standard library alone."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


@dataclass(frozen=True)
class Validity:
    """From when until when, in seconds since the epoch."""

    begins: float
    ends: float

    @property
    def last_day(self) -> str:
        """For people."""
        return datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%d %H:%M UTC")


def validities(path: Path) -> tuple[Validity, ...]:
    """Of every certificate in a PEM file, in its order. OSError when it cannot be read, ValueError for no certificate.

    The standard library tells this of the certificates of a connection only, and of a file not at all.
    """
    blocks = _BLOCK.findall(path.read_text(encoding="ascii", errors="replace"))
    if not blocks:
        raise ValueError("holds no PEM certificate")
    return tuple(map(_validity, blocks))


def _validity(pem: str) -> Validity:
    """RFC 5280, 4.1: Certificate -> TBSCertificate -> [version], serial number, algorithm, issuer, validity."""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem)
        certificate = next(_items(der))[1]
        fields = [each for each in _items(next(_items(certificate))[1]) if each[0] != _VERSION]
        begins, ends = (_moment(*each) for each in _items(fields[3][1]))
    except (IndexError, StopIteration, ValueError, OverflowError) as error:
        raise ValueError("holds something that only looks like a certificate") from error
    return Validity(begins, ends)


def _items(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element that stands one after the other."""
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size & 0x80:
            size, at = int.from_bytes(der[at : at + (size & 0x7F)]), at + (size & 0x7F)
        yield tag, der[at : at + size]
        at += size


def _moment(tag: int, content: bytes) -> float:
    forms = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
    if tag not in forms:
        raise ValueError("is no time")
    return datetime.strptime(content.decode(), forms[tag]).replace(tzinfo=UTC).timestamp()
