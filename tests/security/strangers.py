"""Those who must not get in: certificates that look nearly right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airbag.certificates.make import Maker, Pair
from airbag.certificates.parts import Authority, Use, Wanted
from airbag.http_config import TlsConfig
from tests.security.site import Site

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
KINDS = ("none", "stranger", "expired", "other authority")


def pair_of(site: Site, authority: Authority, kind: str, folder: Path) -> tuple[str, str] | None:
    """A client certificate and its key for a server that trusts `authority`; None for no certificate at all."""
    other = Authority.SERVING if authority is Authority.HTTP else Authority.HTTP
    wanted = Wanted("receiver", Use.CLIENT, authority)  # the name that may do most
    maker = Maker()
    if kind == "none":
        return None
    if kind == "stranger":
        made = maker.leaf(wanted, maker.authority(f"Airbag {authority}", NOW, DAY), NOW, DAY)
    elif kind == "expired":
        made = maker.leaf(wanted, _signer(site, authority), NOW - 9 * DAY, DAY)
    else:
        made = maker.leaf(wanted, _signer(site, other), NOW, DAY)
    cert, key = folder / f"{kind}.crt", folder / f"{kind}.key"
    cert.write_bytes(made.cert_pem)
    key.write_bytes(made.key_pem)
    return str(cert), str(key)


def tls_of(site: Site, kind: str, folder: Path) -> TlsConfig:
    """The same as one wants it who calls TF Serving."""
    pair = pair_of(site, Authority.SERVING, kind, folder)
    own = {"cert_file": Path(pair[0]), "key_file": Path(pair[1])} if pair else {}
    return TlsConfig(ca_file=site.certificates / "receiver" / "serving-ca.crt", **own)


def _signer(site: Site, authority: Authority) -> Pair:
    folder = site.certificates / "authorities"
    return Maker().load((folder / f"{authority}-ca.crt").read_bytes(), (folder / f"{authority}-ca.key").read_bytes())
