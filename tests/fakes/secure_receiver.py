"""The real receiver behind TLS, with client certificates of an authority of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import trustme

from tests.fakes.ports import free_port
from tests.fakes.rollback import Surroundings
from tests.fakes.wait import until


@dataclass(frozen=True)
class SecureReceiver:
    """Where it is, the file with its authority, and who makes client certificates that it takes."""

    around: Surroundings
    url: str
    ca: Path
    authority: trustme.CA

    def certificate(self, name: str, authority: trustme.CA | None = None) -> tuple[Path, Path]:
        """Certificate and key of a client with that common name."""
        leaf = (authority or self.authority).issue_cert(f"{name}.example", common_name=name)
        cert, key = self.around.folder / f"{name}.crt", self.around.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        return cert, key

    def log(self) -> str:
        """What it wrote so far."""
        return (self.around.folder / "receiver.log").read_text()


@contextmanager
def secure_receiver(around: Surroundings) -> Iterator[SecureReceiver]:
    """Started, answering, ended whatever happens. A client certificate is verified when one is given."""
    authority, folder, port = trustme.CA(), around.folder, free_port()
    server = authority.issue_cert("127.0.0.1", "localhost")
    (folder / "server.crt").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    (folder / "server.key").write_bytes(server.private_key_pem.bytes())
    ca = folder / "ca.crt"
    ca.write_bytes(authority.cert_pem.bytes())
    (folder / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, "
        "client_auth_type: VerifyClientCertIfGiven}\n"
    )
    command = [
        sys.executable, "-m", "airbag", "receiver", "--config.file", str(around.policy_file),
        "--web.config.file", str(folder / "web.yml"), "--web.listen-address", f"127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "receiver.log").open("ab") as log:
        child = subprocess.Popen(command, stderr=log, stdout=log, env=os.environ | {"PYTHONWARNINGS": "default"})
    found = SecureReceiver(around, f"https://127.0.0.1:{port}", ca, authority)
    try:
        ready = f"{found.url}/-/ready"
        until(lambda: requests.get(ready, timeout=5, verify=str(ca)).ok, timeout=60, what="the receiver to be ready")
        yield found
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
