"""Keys and certificates, by the library `cryptography`: imported only by the command that makes them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from airbag.certificates.parts import Use, Wanted

_SKEW = timedelta(minutes=5)
"""Clocks differ: a certificate holds from a little before it was made."""


class Foreign(Exception):
    """Not a certificate with a key that this module made."""


@dataclass(frozen=True, repr=False)
class Pair:
    """A certificate and its key."""

    cert_pem: bytes
    key_pem: bytes
    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ends(self) -> datetime:
        """When it stops to hold."""
        return self.cert.not_valid_after_utc

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names and addresses that it holds."""
        try:
            names = self.cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        dns: list[str] = names.get_values_for_type(x509.DNSName)
        return (*dns, *map(str, names.get_values_for_type(x509.IPAddress)))


class Maker:
    """P-256 throughout: every server and client that Airbag meets knows it."""

    def authority(self, name: str, now: datetime, lifetime: timedelta) -> Pair:
        """A new one, which signs leaves and no further authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = (
            _builder(_name(name), _name(name), key, now, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return _pair(builder.sign(key, hashes.SHA256()), key)

    def leaf(
        self, wanted: Wanted, signer: Pair, now: datetime, lifetime: timedelta, key_pem: bytes | None = None
    ) -> Pair:
        """A new certificate, with a new key unless one is given. It never outlives its authority."""
        key = _key(key_pem) if key_pem else ec.generate_private_key(ec.SECP256R1())
        is_server = wanted.use is Use.SERVER
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        ends = min(now + lifetime, signer.ends)
        builder = (
            _builder(_name(wanted.part), signer.cert.subject, key, now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(_names(wanted)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        )
        return _pair(builder.sign(signer.key, hashes.SHA256()), key)

    def load(self, cert_pem: bytes, key_pem: bytes) -> Pair:
        """What was written earlier. Raises Foreign."""
        try:
            cert, key = x509.load_pem_x509_certificate(cert_pem), _key(key_pem)
        except ValueError as error:
            raise Foreign("is no certificate with a P-256 key that Airbag made") from error
        if cert.public_key() != key.public_key():
            raise Foreign("does not belong to the key beside it")
        return Pair(cert_pem, key_pem, cert, key)

    def is_signed_by(self, pair: Pair, signer: Pair) -> bool:
        """Whether that authority signed it."""
        try:
            pair.cert.verify_directly_issued_by(signer.cert)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names(wanted: Wanted) -> list[x509.GeneralName]:
    """A client's is the name of its part."""
    found: list[x509.GeneralName] = []
    for host in wanted.hosts or (wanted.part,):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _pair(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(cert.public_bytes(serialization.Encoding.PEM), key_pem, cert, key)


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("no key on an elliptic curve")  # noqa: TRY004 - as for anything else that is no such key
    return key
