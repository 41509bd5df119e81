"""The web configuration in force: when it is read again, and what a broken one changes."""

from __future__ import annotations

import os
from pathlib import Path

import bcrypt
import pytest
import trustme

from airbag.errors import ConfigError
from airbag.web_file import WebFile
from tests.airbag.certificates import write_pair
from tests.fakes.clock import SetClock

HASHES = [bcrypt.hashpw(word, bcrypt.gensalt(4)).decode() for word in (b"one", b"two")]


class Watched:
    """A file, its WebFile, and what the latter told."""

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / "web.yml"
        self.write(text)
        self.clock = SetClock()
        self.told: list[str | None] = []
        self.file = WebFile(self.path, self.clock)
        self.file.on_read = self.told.append

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def names(self) -> list[str]:
        return list(self.file.current().basic_auth_users)


def users(*names: str) -> str:
    return "basic_auth_users:\n" + "".join(f"  {name}: {HASHES[0]}\n" for name in names)


def test_a_change_is_in_force_at_the_next_look_and_told_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path, users("alice"))
    assert (watched.names(), watched.told) == (["alice"], [])
    watched.write(users("alice", "bob"))
    assert (watched.names(), watched.names(), watched.told) == (["alice", "bob"], ["alice", "bob"], [None])


def test_a_change_of_equal_size_and_time_is_seen_when_the_file_was_replaced(tmp_path: Path) -> None:
    watched = Watched(tmp_path, users("alice"))
    before = watched.path.stat()
    new = tmp_path / "new"
    new.write_text(users("carol"))
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(watched.path)
    assert watched.names() == ["carol"]


def test_a_broken_file_keeps_the_old_one_in_force_until_it_is_mended(tmp_path: Path) -> None:
    watched = Watched(tmp_path, users("alice"))
    watched.write("basic_auth_users: {alice: plain}")
    assert (watched.names(), watched.names()) == (["alice"], ["alice"])
    assert len(watched.told) == 1
    assert "'alice' should be a bcrypt hash" in str(watched.told[0])
    watched.write(users("bob"))
    assert (watched.names(), watched.told[1:]) == (["bob"], [None])


def test_a_file_that_vanished_keeps_the_old_one_in_force(tmp_path: Path) -> None:
    watched = Watched(tmp_path, users("alice"))
    watched.path.unlink()
    assert watched.names() == ["alice"]
    assert "cannot be read" in str(watched.told[0])


def test_a_file_that_waits_for_its_certificate_is_tried_again_without_being_touched(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_pair(tmp_path, authority)
    watched = Watched(tmp_path, "tls_server_config: {cert_file: server.crt, key_file: server.key}")
    watched.write("tls_server_config: {cert_file: next.crt, key_file: next.key}")
    assert watched.file.current().files[0].name == "server.crt"
    write_pair(tmp_path, authority, "next")
    watched.clock.sleep(4.9)
    assert watched.file.current().files[0].name == "server.crt"
    watched.clock.sleep(0.2)
    assert watched.file.current().files[0].name == "next.crt"
    assert watched.file.current() is watched.file.current()


def test_a_renewed_certificate_makes_a_new_context_once_both_files_fit(tmp_path: Path) -> None:
    authority = trustme.CA()
    cert, key = write_pair(tmp_path, authority)
    watched = Watched(tmp_path, "tls_server_config: {cert_file: server.crt, key_file: server.key}")
    old = watched.file.context()
    assert watched.file.context() is old
    next_cert, next_key = write_pair(tmp_path, authority, "next")
    next_cert.rename(cert)
    assert watched.file.context() is old
    assert "does not belong" in str(watched.told[-1])
    next_key.rename(key)
    assert watched.file.context() is not old
    assert watched.told[-1] is None


@pytest.mark.parametrize("encrypts", [True, False])
def test_encryption_cannot_be_switched_while_the_process_runs(tmp_path: Path, encrypts: bool) -> None:
    write_pair(tmp_path, trustme.CA())
    texts = ["", "tls_server_config: {cert_file: server.crt, key_file: server.key}"]
    watched = Watched(tmp_path, texts[encrypts])
    assert watched.file.encrypts is encrypts
    watched.write(texts[not encrypts])
    with pytest.raises(ConfigError, match=r"cannot be added or removed while the process runs \(restart"):
        watched.file.reload()
    assert watched.file.encrypts is encrypts
