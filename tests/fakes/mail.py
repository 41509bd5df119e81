"""A mail server as providers run them: it offers STARTTLS, takes a login only inside it, and keeps what it is sent."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class MailServer:
    """Its address, what it was sent, and every command with whether it came inside TLS."""

    address: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    commands: list[tuple[str, bool]] = field(default_factory=list)


class _Session(socketserver.StreamRequestHandler):
    """One connection (RFC 5321, 3207, 4954), as far as a client that sends mail goes."""

    kept: MailServer
    tls: ssl.SSLContext | None

    def handle(self) -> None:
        self._inside = False
        self._sender = ""
        self._say("220 mail.example.com ESMTP")
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            self.kept.commands.append((verb.upper(), self._inside))
            if not self._obey(verb.upper(), rest):
                return

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def _obey(self, verb: str, rest: str) -> bool:
        if verb in {"EHLO", "HELO"}:
            features = ["AUTH PLAIN"] if self._inside else ["STARTTLS"] if self.tls else []
            lines = ["mail.example.com", *features]
            for line in lines[:-1]:
                self._say(f"250-{line}")
            self._say(f"250 {lines[-1]}")
        elif verb == "STARTTLS" and self.tls and not self._inside:
            self._say("220 go ahead")
            self.request = self.tls.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
            self._inside = True
        elif verb == "AUTH" and self._inside:
            _, name, password = base64.b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")
            self.kept.logins.append((name, password))
            self._say("235 welcome")
        elif verb == "MAIL":
            self._sender = rest.partition(":")[2].strip("<> ").partition(">")[0]
            self._say("250 ok")
        elif verb == "RCPT":
            self.kept.envelopes.append((self._sender, rest.partition(":")[2].strip("<> ")))
            self._say("250 ok")
        elif verb == "DATA":
            self._say("354 end with a dot")
            self.kept.mails.append(self._mail())
            self._say("250 queued")
        elif verb == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("502 not here")
        return True

    def _mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no error of the server's."""


@contextmanager
def mail_server(tls: ssl.SSLContext | None) -> Iterator[MailServer]:
    """Run one on a free port until the block ends; without `tls` it has no STARTTLS and so no login either."""
    kept = MailServer()
    handler = type("Session", (_Session,), {"kept": kept, "tls": tls})
    with _Server(("127.0.0.1", 0), handler) as server:
        kept.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
