"""TLS for incoming connections, from the file format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from airbag.tls_files import load_authorities, load_pair

ClientAuth = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Version = Literal["TLS12", "TLS13"]

_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

# Go's names for the suites it counts as secure, and OpenSSL's. Those of TLS 1.3 are always on, in Go as here.
CIPHERS: dict[str, str | None] = {
    "TLS_AES_128_GCM_SHA256": None,
    "TLS_AES_256_GCM_SHA384": None,
    "TLS_CHACHA20_POLY1305_SHA256": None,
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}


def server_context(
    cert_file: Path, key_file: Path, client_ca_file: Path | None, client_auth: ClientAuth,
    versions: tuple[Version, Version], ciphers: tuple[str, ...], *, prefer_ours: bool,
) -> ssl.SSLContext:  # fmt: skip
    """A context for a server; ValueError saying what is wrong with the files. `ciphers` are keys of CIPHERS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = (_VERSIONS[each] for each in versions)
    context.set_alpn_protocols(["http/1.1"])
    older = [name for each in ciphers if (name := CIPHERS[each])]
    if older:
        context.set_ciphers(":".join(older))
    if not prefer_ours:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    load_pair(context, cert_file, key_file)
    if client_ca_file:
        load_authorities(context, client_ca_file, "client_ca_file")
    context.verify_mode = _CLIENT_AUTH[client_auth]
    return context


class FollowingContext(ssl.SSLContext):
    """Hands each new connection to the context that is in force at that moment.

    So a renewed certificate, other authorities or versions hold from the next connection on, and no open one ends.
    """

    current: Callable[[], ssl.SSLContext]

    @classmethod
    def of(cls, current: Callable[[], ssl.SSLContext]) -> FollowingContext:
        """`current` is asked at every connection, on the event loop."""
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context.current = current
        return context

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False,
        server_hostname: str | bytes | None = None, session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:  # fmt: skip
        """What asyncio calls for each connection."""
        return self.current().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
