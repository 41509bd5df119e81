"""Everybody whom Alertmanager may tell, and an Alertmanager whose routes name the channel that a test wants."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from airbag_demo.processes import Processes
from tests.fakes.binaries import Release
from tests.fakes.chat_and_pager import PAGERDUTY, SLACK, Taken, chat_and_pager
from tests.fakes.mail import MailServer, mail_server
from tests.fakes.real_alertmanager import Alertmanager, alertmanager, configuration
from tests.fakes.webhooks import Webhooks, webhooks

Running = Callable[..., AbstractContextManager[Alertmanager]]


@dataclass(frozen=True)
class Channels:
    """Where each channel's messages arrive."""

    posted: Webhooks
    hook: Webhooks
    services: Taken
    mail: MailServer

    def tokens(self, folder: Path) -> dict[str, str]:
        """What stands in the place of the shipped addresses and secret files; nobody waits long."""
        secrets = {
            "slack_url": f"http://{self.services.address}{SLACK}", "smtp_password": "mail-secret",
            "pagerduty_key": "k" * 32, "people_webhook_token": "people-secret",
        }  # fmt: skip
        for name, secret in secrets.items():
            (folder / name).write_text(secret)
        always = {"monday:friday": "sunday:saturday", "08:00": "00:00", "18:00": "24:00"}
        return always | {
            **{f"/run/secrets/channels/{name}": str(folder / name) for name in secrets},
            "receiver:9815": self.posted.address,
            "people:9820": self.posted.address,
            "https://hooks.example.com/alerts": f"http://{self.hook.address}/hook",
            "https://events.pagerduty.com/v2/enqueue": f"http://{self.services.address}{PAGERDUTY}",
            "smtp.example.com:587": self.mail.address,
            "group_wait: 5s": "group_wait: 1s",
            "group_interval: 1m": "group_interval: 1s",
        }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for the mail server."""
    return trustme.CA()


@pytest.fixture(scope="module")
def channels(authority: trustme.CA) -> Iterator[Channels]:
    """All of them, on free ports."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with webhooks() as posted, webhooks() as hook, chat_and_pager() as services, mail_server(tls) as mail:
        yield Channels(posted, hook, services, mail)


@pytest.fixture
def release() -> Release:
    """Which Alertmanager `running` runs; a file that wants both overrides it."""
    return "system"


@pytest.fixture
def running(channels: Channels, authority: trustme.CA, tmp_path: Path, release: Release) -> Running:
    """An Alertmanager with the shipped configuration, some names on its routes changed, until the block ends."""

    @contextmanager
    def run(receivers: dict[str, str] | None = None, **tokens: str) -> Iterator[Alertmanager]:
        known = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(known)
        config = configuration(tmp_path, channels.tokens(tmp_path) | tokens, receivers)
        with pytest.MonkeyPatch.context() as environment, Processes(tmp_path) as processes:
            environment.setenv("SSL_CERT_FILE", str(known))
            found = alertmanager(config, release=release)
            processes.start(found.program)
            processes.wait_ready()
            yield found

    return run
