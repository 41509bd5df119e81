"""`airbag certificates`: what it makes, what it leaves alone, what it renews, and that real TLS takes it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result
from cryptography import x509
from google.protobuf import text_format

from airbag.certificate import validities
from airbag.certificates.command import certificates
from airbag.certificates.files import Folder, Kept, Lifetimes
from airbag.certificates.make import Maker
from airbag.certificates.parts import PARTS, wanted
from airbag.http_config import TlsConfig
from airbag_demo.model_server.protos import message
from tests.airbag.certificates import write_pair

DAY = timedelta(days=1)
LIFETIMES = Lifetimes(leaf=90 * DAY, authority=3650 * DAY, renew_before=30 * DAY)
NOW = datetime.now(UTC).replace(microsecond=0)


def fill(root: Path, now: datetime = NOW, *parts: str, hosts: tuple[str, ...] = ()) -> dict[str, str]:
    """What became of each file, by its path below the folder."""
    found = wanted(dict.fromkeys(parts or PARTS, ()), hosts)
    return {
        str(done.path.relative_to(root)): done.what
        for done in Folder(root, Maker(), LIFETIMES, now).fill(list(found))
    }  # fmt: skip


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(certificates, arguments, catch_exceptions=False)


def test_each_part_gets_what_it_shows_and_whom_it_trusts_for_its_own_eyes_only(tmp_path: Path) -> None:
    root = tmp_path / "site"
    assert set(fill(root).values()) == {"made"}
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert {path.name for path in (root / "receiver").iterdir()} == {
        "server.crt", "server.key", "client.crt", "client.key", "serving.crt", "serving.key", "http-ca.crt",
        "serving-ca.crt",
    }  # fmt: skip
    assert {path.name for path in (root / "prometheus").iterdir()} & {"serving.crt", "serving-ca.crt"} == set()


def test_again_it_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    before = contents(tmp_path)
    assert set(fill(tmp_path).values()) == {"kept"}
    assert contents(tmp_path) == before


def test_what_is_about_to_end_is_renewed_with_its_key_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path, NOW - 61 * DAY, "receiver")
    fill(tmp_path, NOW, "prometheus")
    before = contents(tmp_path)
    done = fill(tmp_path, NOW, "receiver", "prometheus")
    assert {path for path, what in done.items() if what == "renewed"} == {
        f"receiver/{use}.crt" for use in ("server", "client", "serving")
    }
    changed = {path for path, data in contents(tmp_path).items() if data != before[path]}
    assert changed == {f"receiver/{use}.crt" for use in ("server", "client", "serving")}
    [valid] = validities(tmp_path / "receiver" / "server.crt")
    assert valid.ends == (NOW + 90 * DAY).timestamp()
    assert TlsConfig(cert_file=tmp_path / "receiver/client.crt", key_file=tmp_path / "receiver/client.key").context()


def test_a_further_name_is_added_and_none_is_lost(tmp_path: Path) -> None:
    fill(tmp_path, NOW, "receiver", hosts=("a.example",))
    assert fill(tmp_path, NOW, "receiver", hosts=("b.example", "10.1.2.3"))["receiver/server.crt"] == "renewed"
    cert = x509.load_pem_x509_certificate((tmp_path / "receiver" / "server.crt").read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"receiver", "localhost", "a.example", "b.example"} <= set(names.get_values_for_type(x509.DNSName))
    assert "10.1.2.3" in map(str, names.get_values_for_type(x509.IPAddress))


def test_a_certificate_never_outlives_its_authority(tmp_path: Path) -> None:
    short = Lifetimes(leaf=90 * DAY, authority=40 * DAY, renew_before=30 * DAY)
    list(Folder(tmp_path, Maker(), short, NOW).fill(list(wanted({"receiver": ()}, ()))))
    assert validities(tmp_path / "receiver/client.crt")[0].ends == (NOW + 40 * DAY).timestamp()


@pytest.mark.parametrize("what", ["foreign pair", "half a pair", "rubbish", "other authority"])
def test_what_it_did_not_make_it_does_not_touch(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "receiver"
    folder.mkdir()
    if what == "foreign pair":
        write_pair(folder, trustme.CA(), "server")
    elif what == "half a pair":
        (folder / "server.key").write_text("a key")
    elif what == "rubbish":
        (folder / "server.key").write_text("a key")
        (folder / "server.crt").write_text("a certificate")
    else:
        fill(tmp_path / "other", NOW, "receiver")
        for name in ("server.crt", "server.key"):
            (folder / name).write_bytes((tmp_path / "other" / "receiver" / name).read_bytes())
    before = contents(folder)
    with pytest.raises(Kept, match=r"receiver/server\.") as told:
        fill(tmp_path, NOW, "receiver")
    assert "move" in str(told.value).lower()
    assert contents(folder) == before


def test_tf_serving_gets_one_file_with_the_contents_of_the_others(tmp_path: Path) -> None:
    fill(tmp_path, NOW, "tf-serving")
    folder = tmp_path / "tf-serving"
    read = text_format.Parse((folder / "ssl.config").read_text(), message("SSLConfig")())
    assert read.server_key == (folder / "server.key").read_text()
    assert read.server_cert == (folder / "server.crt").read_text()
    assert read.custom_ca == (folder / "serving-ca.crt").read_text()
    assert read.client_verify is True


def test_openssl_finds_each_fit_for_its_purpose_and_for_no_other(tmp_path: Path) -> None:
    fill(tmp_path, NOW, "receiver")
    folder = tmp_path / "receiver"

    def verify(name: str, authority: str, purpose: str) -> bool:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / f"{authority}-ca.crt"), "-purpose",
                   purpose, str(folder / f"{name}.crt")]  # fmt: skip
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    assert verify("server", "http", "sslserver")
    assert verify("client", "http", "sslclient")
    assert verify("serving", "serving", "sslclient")
    assert not verify("server", "http", "sslclient")
    assert not verify("client", "http", "sslserver")
    assert not verify("client", "serving", "sslclient")


def test_the_command_says_what_it_did_until_when_and_what_to_mount(tmp_path: Path) -> None:
    done = run(str(tmp_path / "c"), "--name", "receiver=r.example", "--name", "tf-serving")
    assert done.exit_code == 0
    for part in ("made", "receiver/serving.crt", "90 days", "/etc/airbag/certificates", "authorities", "ssl.config"):
        assert part in done.output
    assert "PRIVATE" not in done.output
    late = run(str(tmp_path / "c"), "--name", "receiver", "--days", "3651", "--authority-days", "20")
    assert late.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "receivr"], "'receivr' is no part; there are tf-serving"),
        (["--name", "receiver=bad host"], "'bad host' is no host name"),
        (["--host", "a/b"], "'a/b' is no host name"),
        (["--days", "20"], "--renew-before must be less than --days"),
    ],
    ids=["part", "name", "host", "days"],
)  # fmt: skip
def test_wrong_usage_is_told_before_anything_is_made(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run(str(tmp_path / "c"), *arguments)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "c").exists()


def test_without_the_library_it_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "cryptography.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "airbag", "certificates", str(tmp_path / "c")], capture_output=True, text=True,
        timeout=60, check=False, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 1
    assert "tfs-airbag[certificates]" in done.stderr
    assert "Traceback" not in done.stderr
