"""The shipped chain, whole or with one thing changed, and what the check says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from airbag.chain.documents import AlertmanagerFile, PrometheusFile, RuleFile, TargetFile
from airbag.chain.facts import Chain, Names
from airbag.chain.finding import Finding
from airbag.chain.lint import lint
from airbag.chain.times import Way, ways
from airbag.check_files import Paths, read_files
from airbag.check_parts import JOBS, asking, fast_lane_facts, policy_facts
from airbag.config import parse
from airbag_exporters.config import ExportersConfig
from airbag_rollback.policy import Policy
from tests.fakes.binaries import ROOT

EXPORTERS, POLICY = "exporters/exporters.yml", "alertmanager/policy.yml"
PROMETHEUS, ALERTMANAGER = "prometheus/prometheus.yml", "alertmanager/alertmanager.yml"
SERVING = "prometheus/rules/serving.yml"


@dataclass(frozen=True)
class Change:
    """In one file the first `old` becomes `new`."""

    file: str
    old: str
    new: str


@cache
def shipped() -> Chain:
    """As it is in the checkout."""
    beside = {"/etc/prometheus": [ROOT / "prometheus"]}
    files = read_files(ROOT / PROMETHEUS, ROOT / ALERTMANAGER, Paths(beside=beside))
    assert not files.findings, files.findings
    chain = Chain(
        prometheus=files.prometheus,
        alertmanager=files.alertmanager,
        rules={name.removeprefix(f"{ROOT}/"): document for name, document in files.rules.items()},
        target_files={
            pattern: {name.removeprefix(f"{ROOT}/"): document for name, document in found.items()}
            for pattern, found in files.target_files.items()
        },
        names=Names(EXPORTERS, POLICY, PROMETHEUS, ALERTMANAGER),
        jobs=JOBS,
    )
    return with_parts(chain, _text(EXPORTERS), _text(POLICY))


def _text(file: str) -> str:
    return (ROOT / file).read_text()


def with_parts(chain: Chain, exporters: str, policy: str, url: str | None = None) -> Chain:
    """The chain with what both configurations say."""
    config = parse(exporters, ExportersConfig, source=EXPORTERS, base=ROOT)
    settings = parse(policy, Policy, source=POLICY, base=ROOT)
    facts = policy_facts(settings, config.rules, url)
    return replace(chain, servings=config, policy=facts, fast_lane=fast_lane_facts(config), asking=asking(config))


def changed(*changes: Change, url: str | None = None) -> Chain:
    """The shipped chain with those changes."""
    texts: dict[str, str] = {}
    for change in changes:
        before = texts.get(change.file) or _text(change.file)
        assert change.old in before, f"{change.file} no longer has {change.old!r}"
        texts[change.file] = before.replace(change.old, change.new, 1)
    chain = shipped()
    for file, text in texts.items():
        if file == PROMETHEUS:
            chain = replace(chain, prometheus=parse(text, PrometheusFile, source=file, base=ROOT))
        elif file == ALERTMANAGER:
            chain = replace(chain, alertmanager=parse(text, AlertmanagerFile, source=file, base=ROOT))
        elif file in chain.rules:
            chain = replace(chain, rules={**chain.rules, file: parse(text, RuleFile, source=file, base=ROOT)})
        elif file.startswith("prometheus/targets/"):
            document = parse(text, TargetFile, source=file, base=ROOT)
            files = {
                pattern: {name: document if name == file else each for name, each in found.items()}
                for pattern, found in chain.target_files.items()
            }
            chain = replace(chain, target_files=files)
    return with_parts(chain, texts.get(EXPORTERS) or _text(EXPORTERS), texts.get(POLICY) or _text(POLICY), url)


def findings(chain: Chain) -> list[Finding]:
    """All that the check says."""
    return lint(chain, ways(chain))


def new(*changes: Change, url: str | None = None) -> list[Finding]:
    """What it says because of the changes."""
    before = set(findings(shipped()))
    return [each for each in findings(changed(*changes, url=url)) if each not in before]


def way(chain: Chain, alert: str, lane: str = "rules", fault: float | None = 1.0) -> Way:
    """The one way of that alert, lane and fault."""
    [found] = [each for each in ways(chain) if (each.alert, each.lane, each.fault) == (alert, lane, fault)]
    return found
