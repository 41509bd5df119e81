"""Secrets and certificates that a configuration names: who else may read them, and how long they still hold."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from airbag.certificate import validities
from airbag.chain.finding import Finding, note
from airbag.check_files import Paths
from airbag.config import Secret
from airbag.http_config import HttpConfig, TlsConfig

SOON = 14 * 86_400.0
"""Seconds before the end of a certificate from which on it is told."""


def secret_findings(file: str, config: BaseModel, paths: Paths) -> Iterator[Finding]:
    """About every file of the configuration that lies on this machine; what lies elsewhere nobody can say here."""
    for key, section in _sections(config):
        if isinstance(section, Secret) and section.file:
            yield from _readable_by_all(file, f"{key}.file", paths.find(str(section.file)))
        elif isinstance(section, HttpConfig):
            for name, path in section.secrets:
                yield from _readable_by_all(file, f"{key}.{name}", paths.find(str(path)))
        elif isinstance(section, TlsConfig):
            if section.key_file:
                yield from _readable_by_all(file, f"{key}.key_file", paths.find(str(section.key_file)))
            for name, found in (("ca_file", section.ca_file), ("cert_file", section.cert_file)):
                yield from _end(file, f"{key}.{name}", paths.find(str(found)) if found else None)


def _sections(value: object, key: str = "") -> Iterator[tuple[str, BaseModel]]:
    """Every section of a configuration, each with its place."""
    if isinstance(value, BaseModel):
        if key:
            yield key, value
        for name in type(value).model_fields:
            yield from _sections(getattr(value, name), f"{key}.{name}".lstrip("."))
    elif isinstance(value, tuple | list):
        for number, each in enumerate(value):
            yield from _sections(each, f"{key}[{number}]")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _sections(each, f"{key}.{name}")


def _readable_by_all(file: str, key: str, path: Path | None) -> Iterator[Finding]:
    if path is not None and path.stat().st_mode & stat.S_IROTH:
        yield note(file, key, f"{path} can be read by everybody on this machine", f"chmod o= {path}")


def _end(file: str, key: str, path: Path | None) -> Iterator[Finding]:
    if path is None:
        return
    try:
        last = max(validities(path), key=lambda each: each.ends)
    except (OSError, ValueError) as error:
        yield Finding(file, key, f"{path} {error}" if isinstance(error, ValueError) else f"{path} cannot be read")
        return
    left = last.ends - time.time()
    if left <= 0:
        yield Finding(file, key, f"{path} has expired on {last.last_day}", "renew it")
    elif left < SOON:
        yield note(file, key, f"{path} ends on {last.last_day}, in {left / 86_400:.0f} days", "renew it")
