"""`airbag healthcheck`: the health check of the container image, which has no curl. Starts in a tenth of a second."""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import click

from airbag.address import Address

PATH = "/-/healthy"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a process listens on, not what we bind
_ANSWERS = (200, 401, 403, 429)
_LINE = 4096


@click.command()
@click.option("--web.listen-address", "listen_address", required=True, metavar="ADDRESS",
              help="The address that the process was given; :PORT means loopback.")  # fmt: skip
@click.option("--web.config.file", "web_config_file", type=click.Path(path_type=Path, dir_okay=False),
              help="The web configuration that the process was given, for TLS.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds to wait.")
def healthcheck(listen_address: str, web_config_file: Path | None, timeout: float) -> None:
    """Ask a process of this machine whether it is healthy; exit 0 when it is, 1 when not.

    Takes the flags of the process itself. One that answers by asking for a password, a client certificate or
    patience is healthy, too.
    """
    try:
        address = Address.parse(listen_address)
    except ValueError as error:
        raise click.UsageError(f"--web.listen-address: {error}") from None
    try:
        context = client_context(web_config_file) if web_config_file else None
        status = ask(address, context, timeout)
    except (OSError, ValueError) as error:
        click.echo(f"{address} does not answer: {error}", err=True)
        sys.exit(1)
    click.echo(f"{address}{PATH} answers {status}", err=status != 200)
    sys.exit(0 if status in _ANSWERS else 1)


def client_context(web_config_file: Path) -> ssl.SSLContext | None:
    """How to speak to a process with that file; None without TLS. OSError or ValueError when it cannot be read.

    The certificate is not verified: it is made out to the name that others call, and nothing secret is sent. The
    server's own stands in for a client's, which a server may demand whose authority made both.
    """
    import yaml  # the most expensive part, and not needed without TLS

    try:
        document: Any = yaml.safe_load(web_config_file.read_text())  # Any: YAML
    except yaml.YAMLError as error:
        raise ValueError(f"{web_config_file} is not YAML: {error}") from None
    tls = document.get("tls_server_config") if isinstance(document, dict) else None
    if not tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    folder = web_config_file.parent
    context.load_cert_chain(folder / tls["cert_file"], folder / tls["key_file"])
    return context


def ask(address: Address, context: ssl.SSLContext | None, timeout: float) -> int:
    """The status of the answer; OSError or ValueError when there is none.

    A server that does not take our certificate completes the handshake, and closes the door then or says why. That is
    an answer, too, and counts as 403.
    """
    host = _ANYWHERE.get(address.host, address.host)
    with socket.create_connection((host, address.port), timeout) as raw:
        stream = context.wrap_socket(raw) if context else raw
        try:
            stream.sendall(f"GET {PATH} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            line = _first_line(stream)
        except (ssl.SSLError, ConnectionError):
            if not context:
                raise
            line = b""
    if context and not line:
        return 403
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError(f"this is no answer in HTTP: {line[:80]!r}")
    return int(words[1])


def _first_line(stream: socket.socket) -> bytes:
    said = b""
    while b"\n" not in said and len(said) < _LINE:
        more = stream.recv(_LINE)
        if not more:
            break
        said += more
    return said.partition(b"\n")[0]
