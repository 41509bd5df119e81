"""`airbag check`: the whole chain from a fault to an action, as deployed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from airbag.chain.durations import parse
from airbag.chain.facts import Chain, Names
from airbag.chain.finding import Finding, Level, in_order
from airbag.chain.lint import lint
from airbag.chain.report import as_json, text
from airbag.chain.times import Way, ways
from airbag.chain.webhook_lint import machine_webhooks
from airbag.check_files import Files, Paths, parse_prefix, read_files, shown_path
from airbag.check_live import ask

_FILE = click.Path(path_type=Path)


def _pairs(_ctx: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    try:
        return dict(parse_prefix(each) for each in given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _seconds(_ctx: click.Context, _parameter: click.Parameter, given: str) -> float:
    try:
        return parse(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    exporters: Path
    policy: Path
    prometheus: Path
    alertmanager: Path
    prefixes: dict[str, str]
    receiver_url: str | None
    traffic: float
    resend_delay: float
    live: bool
    addresses: dict[str, str]
    form: str

    @property
    def paths(self) -> Paths:
        """A deployed path is looked for beside the file that lies in its folder when deployed."""
        beside = {
            "/etc/prometheus": [self.prometheus.parent],
            "/etc/alertmanager": [self.alertmanager.parent],
            "/etc/airbag": [self.exporters.parent, self.policy.parent],
        }
        return Paths({deployed: Path(here) for deployed, here in self.prefixes.items()}, beside)


@click.command()
@click.option("--exporters.file", "exporters", type=_FILE, default="exporters/exporters.yml", show_default=True,
              help="The exporters' configuration.")  # fmt: skip
@click.option("--policy.file", "policy", type=_FILE, default="alertmanager/policy.yml", show_default=True,
              help="The receiver's policy.")  # fmt: skip
@click.option("--prometheus.file", "prometheus", type=_FILE, default="prometheus/prometheus.yml", show_default=True,
              help="Prometheus' configuration; its rules and targets are read too.")  # fmt: skip
@click.option("--alertmanager.file", "alertmanager", type=_FILE, default="alertmanager/alertmanager.yml",
              show_default=True, help="Alertmanager's configuration.")  # fmt: skip
@click.option("--path", "prefixes", multiple=True, metavar="DEPLOYED=HERE", callback=_pairs,
              help="Where a deployed folder lies here, such as /etc/prometheus=prometheus. Repeatable. Otherwise a "
                   "path is looked for beside the file that names it, then as it is.")  # fmt: skip
@click.option("--receiver.url", "receiver_url", metavar="URL",
              help="The receiver's webhook as Alertmanager should call it, where that is not what Prometheus "
                   "scrapes.")  # fmt: skip
@click.option("--traffic", type=click.FloatRange(min=0, min_open=True), default=50.0, show_default=True,
              help="Answers, and labels, a second of one model that the times are told for.")  # fmt: skip
@click.option("--resend-delay", default="5s", show_default=True, callback=_seconds,
              help="Prometheus' --rules.alert.resend-delay; with --live it is asked.")  # fmt: skip
@click.option("--live", is_flag=True, help="Ask the running Prometheus, Alertmanagers and receiver as well.")
@click.option("--address", "addresses", multiple=True, metavar="DEPLOYED=HERE", callback=_pairs,
              help="With --live: how to reach an address from here, such as prometheus:9090=localhost:9090. "
                   "Repeatable.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(**options: Any) -> None:  # Any: one type per option
    """Check the whole chain from a fault to an action, and tell how long it takes at most.

    Reads the five files and what they point to. Lists every problem at once, and exits 1 when there is one.
    """
    _run(Options(**options))


def _run(options: Options) -> None:
    from airbag.check_parts import asking, fast_lane_facts, policy_facts, read_parts, token_findings

    paths = options.paths
    parts = read_parts(options.exporters, options.policy, paths)
    files = read_files(options.prometheus, options.alertmanager, paths)
    rules = parts.exporters.rules if parts.exporters else None
    chain = replace(
        _chain(options, files),
        servings=parts.exporters,
        policy=policy_facts(parts.policy, rules, options.receiver_url) if parts.policy and rules else None,
        fast_lane=fast_lane_facts(parts.exporters) if parts.exporters else None,
        asking=asking(parts.exporters) if parts.exporters else {},
    )
    findings = [*parts.findings, *files.findings]
    for _, _, http in machine_webhooks(chain):
        findings += token_findings(chain.names.alertmanager, http.secret_file, parts.policy, paths)
    if options.live:
        policy = parts.policy
        shown = (policy.prometheus_http_config, policy.alertmanager_http_config) if policy else ()
        chain, more = ask(chain, options.addresses, *shown)
        findings += more
    found = ways(chain)
    _tell(options.form, chain, in_order([*findings, *lint(chain, found)]), found, parts.told)


def _chain(options: Options, files: Files) -> Chain:
    from airbag.check_parts import JOBS

    return Chain(
        prometheus=files.prometheus,
        rules=files.rules,
        target_files=files.target_files,
        alertmanager=files.alertmanager,
        names=Names(*map(shown_path, (options.exporters, options.policy, options.prometheus, options.alertmanager))),
        jobs=JOBS,
        traffic=options.traffic,
        resend_delay=options.resend_delay,
    )


def _tell(form: str, chain: Chain, findings: list[Finding], found: list[Way], told: list[str]) -> None:
    if form == "json":
        click.echo(json.dumps(as_json(chain, findings, found) | {"series": told}, indent=2))
    else:
        for line in [*told, *text(chain, findings, found)]:
            click.echo(line)
    if any(each.level is Level.PROBLEM for each in findings):
        sys.exit(1)
