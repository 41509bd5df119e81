"""Which part shows which certificate to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath


class Authority(StrEnum):
    """Two of them, for TF Serving lets in whoever has a certificate of its own: no scraper may have one."""

    HTTP = "http"
    SERVING = "serving"


class Use(StrEnum):
    """What a certificate is for. The names of the files are these."""

    SERVER = "server"
    CLIENT = "client"
    SERVING = "serving"


@dataclass(frozen=True)
class Wanted:
    """One certificate: whose, for what, by which authority, and the names and addresses that it holds."""

    part: str
    use: Use
    authority: Authority
    hosts: tuple[str, ...] = ()

    @property
    def cert_file(self) -> PurePath:
        """Below the folder."""
        return PurePath(self.part, f"{self.use}.crt")

    @property
    def key_file(self) -> PurePath:
        """Below the folder."""
        return PurePath(self.part, f"{self.use}.key")


_HTTP_SERVER = (Use.SERVER, Authority.HTTP)
_HTTP_CLIENT = (Use.CLIENT, Authority.HTTP)
_SERVING_CLIENT = (Use.SERVING, Authority.SERVING)

PARTS: Mapping[str, tuple[tuple[Use, Authority], ...]] = {
    "tf-serving": ((Use.SERVER, Authority.SERVING),),
    "serving-exporter": (_HTTP_SERVER, _HTTP_CLIENT, _SERVING_CLIENT),
    "quality-exporter": (_HTTP_SERVER, _HTTP_CLIENT),
    "host-exporter": (_HTTP_SERVER,),
    "prometheus": (_HTTP_SERVER, _HTTP_CLIENT),
    "alertmanager": (_HTTP_SERVER, _HTTP_CLIENT),
    "receiver": (_HTTP_SERVER, _HTTP_CLIENT, _SERVING_CLIENT),
    "grafana": (_HTTP_CLIENT,),
    "redis": (_HTTP_SERVER,),
    "model-client": (_HTTP_CLIENT, _SERVING_CLIENT),
    "operator": (_HTTP_CLIENT,),
}
"""The parts of a site. `model-client` predicts, and tells the quality exporter; `operator` is a person."""


def wanted(parts: Mapping[str, tuple[str, ...]], hosts: tuple[str, ...]) -> Iterator[Wanted]:
    """The certificates of these parts; `parts` has the further names of each, `hosts` those of all servers.

    A server's certificate holds the name of its part, as Compose and Kubernetes have it, and this machine's.
    """
    for part, own in parts.items():
        for use, authority in PARTS[part]:
            names = (part, "localhost", "127.0.0.1", "::1", *hosts, *own) if use is Use.SERVER else ()
            yield Wanted(part, use, authority, tuple(dict.fromkeys(names)))
