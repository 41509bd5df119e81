"""All that is wrong with the chain, in the order in which data flows through it."""

from __future__ import annotations

from collections.abc import Sequence

from airbag.chain.facts import Chain
from airbag.chain.finding import Finding, in_order
from airbag.chain.prometheus_lint import prometheus_lint
from airbag.chain.route_lint import route_lint
from airbag.chain.rules_lint import rules_lint
from airbag.chain.times import Way
from airbag.chain.times_lint import times_lint
from airbag.chain.webhook_lint import webhook_lint


def lint(chain: Chain, ways: Sequence[Way]) -> list[Finding]:
    """Every finding once, problems first. What rests on a file that could not be read is left out."""
    found = [
        *prometheus_lint(chain),
        *rules_lint(chain),
        *route_lint(chain),
        *webhook_lint(chain),
        *times_lint(chain, ways),
    ]
    return in_order(found)
