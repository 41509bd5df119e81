"""When a certificate begins and ends, against what the library for certificates says."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from airbag.certificate import validities
from airbag.certificates.make import Maker
from airbag.certificates.parts import Authority, Use, Wanted

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("years", [1, 40], ids=["UTCTime", "GeneralizedTime"])
def test_says_what_the_library_says_of_every_certificate_in_a_file(tmp_path: Path, years: int) -> None:
    maker = Maker()
    signer = maker.authority("a", NOW, timedelta(days=365 * years))
    leaf = maker.leaf(Wanted("receiver", Use.SERVER, Authority.HTTP, ("a",)), signer, NOW, timedelta(days=365 * years))
    path = tmp_path / "chain.crt"
    path.write_bytes(b"some words before\n" + leaf.cert_pem + signer.cert_pem)
    expected = [
        (each.not_valid_before_utc.timestamp(), each.not_valid_after_utc.timestamp())
        for each in x509.load_pem_x509_certificates(leaf.cert_pem + signer.cert_pem)
    ]
    assert [(each.begins, each.ends) for each in validities(path)] == expected


@given(st.binary(max_size=200))
def test_anything_else_is_a_value_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish.crt"
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match="holds"):
        validities(path)
