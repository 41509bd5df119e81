"""Certificates and keys in files: whether they can be used, said in words, and when they were changed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from pathlib import Path

from airbag.certificate import validities

Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp(paths: Iterable[Path]) -> Stamp:
    """Equal as long as no file was written or replaced; None stands for one that is not there."""
    return tuple(_stamp_of(path) for path in paths)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def load_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    """Let the context show this certificate; ValueError saying what is wrong with the files."""

    def no_password() -> str:
        raise ValueError("the key in key_file is protected by a password; store it without one, mode 0600")

    try:
        context.load_cert_chain(cert_file, key_file, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("the key in key_file does not belong to the certificate in cert_file") from None
        raise ValueError(f"cert_file and key_file should hold a PEM certificate and its key ({_why(error)})") from None
    except OSError as error:
        raise ValueError(f"cert_file or key_file cannot be read ({_why(error)})") from None


def load_authorities(context: ssl.SSLContext, ca_file: Path, key: str = "ca_file") -> None:
    """Let the context trust these authorities; ValueError saying what is wrong. `key` is the configuration's word."""
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        raise ValueError(f"{key} should hold PEM certificates ({_why(error)})") from None


def _why(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else None) or error.strerror or str(error)


def unreadable(path: Path) -> str:
    """Why the file cannot be read; "" when it can."""
    try:
        path.open("rb").close()
    except OSError as error:
        return f"should be a file that can be read ({error.strerror}: {path})"
    return ""


def untimely(path: Path) -> str:
    """Why no certificate of the file holds now; "" when its first one does, or for authorities any one."""
    try:
        found = validities(path)
    except (OSError, ValueError) as error:
        return f"{path} {error}" if isinstance(error, ValueError) else f"{path} cannot be read ({error.strerror})"
    now = time.time()
    if any(each.begins <= now < each.ends for each in found):
        return ""
    if found[0].ends <= now:
        return f"{path} has expired on {found[0].last_day}; renew it"
    return f"{path} is not valid yet; is this machine's clock right?"
