"""Certificates in a folder: made where they are missing, renewed before they end, never written over otherwise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from airbag.certificates.make import Foreign, Maker, Pair
from airbag.certificates.parts import Authority, Use, Wanted
from airbag.errors import AirbagError


class Kept(AirbagError):
    """Something is in the way that is not ours to replace."""

    reason = "certificates"


@dataclass(frozen=True)
class Lifetimes:
    """How long things hold, and how long before its end a certificate is renewed."""

    leaf: timedelta
    authority: timedelta
    renew_before: timedelta


@dataclass(frozen=True)
class Done:
    """What became of one file: "made", "renewed" or "kept", and when it ends."""

    path: Path
    what: str
    ends: datetime


class Folder:
    """`authorities/` holds the keys that sign and belongs on no server; each part has a folder of its own to mount."""

    def __init__(self, root: Path, maker: Maker, lifetimes: Lifetimes, now: datetime) -> None:
        self.root = root
        self._maker = maker
        self._lifetimes = lifetimes
        self._now = now

    def fill(self, wanted: Sequence[Wanted]) -> Iterator[Done]:
        """Make and renew what is due. Kept when a file is in the way; safe to repeat."""
        _private_folder(self.root)
        signers = {}
        for authority in dict.fromkeys(each.authority for each in wanted):
            pair, done = self._authority(authority)
            signers[authority] = pair
            yield done
        for each in wanted:
            yield self._leaf(each, signers[each.authority])
        for part in dict.fromkeys(each.part for each in wanted):
            for authority in dict.fromkeys(each.authority for each in wanted if each.part == part):
                self._copy(self.root / part / f"{authority}-ca.crt", signers[authority].cert_pem)
            if part == "tf-serving":
                self._ssl_config(self.root / part, signers[Authority.SERVING])

    def _authority(self, authority: Authority) -> tuple[Pair, Done]:
        cert, key = (self.root / "authorities" / f"{authority}-ca.{end}" for end in ("crt", "key"))
        found = self._load(cert, key)
        if found is not None:
            return found, Done(cert, "kept", found.ends)
        made = self._maker.authority(f"Airbag {authority}", self._now, self._lifetimes.authority)
        _write_new(key, made.key_pem)
        _write_new(cert, made.cert_pem)
        return made, Done(cert, "made", made.ends)

    def _leaf(self, wanted: Wanted, signer: Pair) -> Done:
        cert, key = self.root / wanted.cert_file, self.root / wanted.key_file
        found = self._load(cert, key)
        if found is None:
            made = self._maker.leaf(wanted, signer, self._now, self._lifetimes.leaf)
            _write_new(key, made.key_pem)
            _write_new(cert, made.cert_pem)
            return Done(cert, "made", made.ends)
        if not self._maker.is_signed_by(found, signer):
            raise Kept(f"{cert} is of another authority than {self.root / 'authorities'} has; move it away")
        lacks = set(wanted.hosts) - set(found.hosts)
        if found.ends - self._now > self._lifetimes.renew_before and not lacks:
            return Done(cert, "kept", found.ends)
        # With the same key: whoever reads both while they are renewed never sees a pair that does not fit.
        hosts = tuple(dict.fromkeys((*wanted.hosts, *found.hosts)))
        whole = Wanted(wanted.part, wanted.use, wanted.authority, hosts)
        made = self._maker.leaf(whole, signer, self._now, self._lifetimes.leaf, key_pem=found.key_pem)
        _replace(cert, made.cert_pem)
        return Done(cert, "renewed", made.ends)

    def _load(self, cert: Path, key: Path) -> Pair | None:
        """None when neither file is there."""
        if not cert.exists() and not key.exists():
            return None
        try:
            return self._maker.load(cert.read_bytes(), key.read_bytes())
        except FileNotFoundError as error:
            raise Kept(f"{error.filename} is missing beside its other half; move that away") from error
        except Foreign as error:
            raise Kept(f"{cert}: {error}; it stays as it is. Move it away, or use another folder") from error

    def _copy(self, path: Path, pem: bytes) -> None:
        """An authority's certificate is no secret, and whoever runs the part has to read it."""
        if not path.exists() or path.read_bytes() != pem:
            _replace(path, pem)

    def _ssl_config(self, folder: Path, signer: Pair) -> None:
        """What TF Serving takes by --ssl_config_file: the contents, not the paths."""
        cert, key = ((folder / f"{Use.SERVER}.{end}").read_text() for end in ("crt", "key"))
        parts = {"server_key": key, "server_cert": cert, "custom_ca": signer.cert_pem.decode()}
        lines = [f"{name}: {_quoted(text)}" for name, text in parts.items()]
        text = "\n".join([*lines, "client_verify: true", ""]).encode()
        path = folder / "ssl.config"
        if not path.exists() or path.read_bytes() != text:
            _replace(path, text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _private_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write_new(path: Path, data: bytes) -> None:
    """Mode 0600, durable, and never over anything. FileExistsError."""
    _private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, data: bytes) -> None:
    """Whole or not at all, with the owner and the mode that the file had; a new one has mode 0600."""
    _private_folder(path.parent)
    before = path.stat() if path.exists() else None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if before:
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
            if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
    Path(name).replace(path)
