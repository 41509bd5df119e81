"""Why two sides did not come to speak TLS, in words that say what to change."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.client import RemoteDisconnected

NOT_TRUSTED = "the server's certificate is not trusted: its authority is not in ca_file"
SERVER_EXPIRED = "the server's certificate has expired, or is not valid yet"
WRONG_NAME = "the server's certificate does not name this address: use a name that it holds, or set server_name"
NEEDS_CERTIFICATE = "the server wants a client certificate: set cert_file and key_file"
REFUSED_CERTIFICATE = "the server refuses our client certificate: another authority's, expired, or not for clients"
CUT_WITHOUT = "the server ended the connection at once; does it want a client certificate (cert_file, key_file)?"
CUT_WITH = "the server ended the connection at once; is our client certificate one that it accepts?"
NO_TLS = "the server does not speak TLS on that port"

_VERIFY = {9: SERVER_EXPIRED, 10: SERVER_EXPIRED, 62: WRONG_NAME, 64: WRONG_NAME}
"""X509_V_ERR_*: not yet valid, expired, wrong host name, wrong IP address."""

_REASONS = {
    "CERTIFICATE_REQUIRED": NEEDS_CERTIFICATE,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": NEEDS_CERTIFICATE,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": NEEDS_CERTIFICATE,  # how TLS 1.2 says it
    "TLSV1_ALERT_UNKNOWN_CA": REFUSED_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": REFUSED_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": REFUSED_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": REFUSED_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": REFUSED_CERTIFICATE,
    "TLSV1_ALERT_DECRYPT_ERROR": REFUSED_CERTIFICATE,
    "WRONG_VERSION_NUMBER": NO_TLS,
    "UNEXPECTED_MESSAGE": NO_TLS,
    "HTTP_REQUEST": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
}


_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError, RemoteDisconnected)


def tls_trouble(error: BaseException, *, shown: bool | None = None) -> str:
    """What went wrong, where TLS is the reason; "" for any other error. Looks into what libraries wrap.

    A server that refuses a client's certificate, or the lack of one, may just hang up, as it may when it restarts:
    where `shown` says whether we had one to show, and so that it was TLS, this asks about it.
    """
    for each in _inside(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _VERIFY.get(each.verify_code, NOT_TRUSTED)
        if isinstance(each, ssl.SSLError) and not isinstance(each, _CUT):
            return _REASONS.get(each.reason or "", f"TLS failed ({each.reason or each})")
    if shown is not None and any(isinstance(each, _CUT) for each in _inside(error)):
        return CUT_WITH if shown else CUT_WITHOUT
    return ""


def _inside(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and what it carries, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        carried = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        waiting += [other for other in carried if isinstance(other, BaseException)]
