"""What the command line of every long-running process has in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from airbag import log
from airbag.http import Address, Web
from airbag.web_file import WebFile

R = TypeVar("R")


class AddressType(click.ParamType[Address]):
    """HOST:PORT on the command line."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


http_config_option = click.option(
    "--http.config.file", "http_config_file", type=click.Path(path_type=Path),
    help="How to reach that Prometheus: tls_config, basic_auth, authorization, as promtool takes them.",
)  # fmt: skip


def log_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--log.level` and `--log.format` and set the log up before the command runs."""

    @click.option("--log.level", "log_level", type=click.Choice(log.LEVELS), default="info", show_default=True)
    @click.option(
        "--log.format", "log_format", type=click.Choice(["logfmt", "json"]), default="logfmt", show_default=True
    )
    @functools.wraps(command)
    def with_log(*, log_level: str, log_format: log.Format, **options: object) -> R:
        log.setup(log_level, log_format)
        return command(**options)

    return with_log


def process_options(config: str, listen: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Add the flags of a process: `--config.file`, `--config.check`, those of `--web.*` and the log's.

    The command gets `config_file: Path`, `config_check: bool` and `web: Web`. The web configuration is read before the
    command runs, so that a wrong one ends it with ConfigError, with `--config.check` as without.
    """

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def with_web(*, listen_address: Address, web_config_file: Path | None, **options: object) -> R:
            web = Web(listen_address, WebFile(web_config_file) if web_config_file else None)
            return command(web=web, **options)

        options = [
            click.option("--config.file", "config_file", type=click.Path(path_type=Path), default=config,
                         show_default=True, help="Configuration file."),
            click.option("--config.check", "config_check", is_flag=True, help="Check the configuration and exit."),
            click.option("--web.listen-address", "listen_address", type=AddressType(), default=listen,
                         show_default=True, help="Address to listen on; :PORT means loopback."),
            click.option("--web.config.file", "web_config_file", type=click.Path(path_type=Path),
                         help="TLS and passwords, in the format of Prometheus' exporter-toolkit."),
        ]  # fmt: skip
        wrapped: Callable[..., R] = log_options(with_web)
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate
