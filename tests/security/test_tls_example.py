"""docs/examples/tls: a whole site on which every hop that can is mTLS, really run, and a bad release on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airbag import tls_words
from airbag_demo.releases import publish
from tests.fakes.binaries import ROOT, run
from tests.fakes.wait import until
from tests.security.site import EXAMPLE, FILES, Site

TROUBLE = [
    tls_words.NOT_TRUSTED, tls_words.SERVER_EXPIRED, tls_words.WRONG_NAME, tls_words.NEEDS_CERTIFICATE,
    tls_words.REFUSED_CERTIFICATE, tls_words.CUT_WITHOUT, tls_words.CUT_WITH, tls_words.NO_TLS,
]  # fmt: skip


@pytest.mark.story
def test_a_bad_release_is_rolled_back_over_mtls_alone(site: Site, releases: Path) -> None:
    """Given mTLS on every hop, when a version 3 that fails its golden requests is released, then 2 serves again."""
    assert site.serves() == 2
    scraped = "count(up == 1) == count(up) and count(airbag_tfs_up == 1)"
    until(lambda: _prometheus(site, scraped), timeout=60, what="every scrape to succeed")
    until(lambda: _prometheus(site, 'sum(airbag_tfs_probe_success{model_version="2"}) > 0'), timeout=60, what="probes")
    until(lambda: _proven(site), timeout=90, what="version 2 to have served for a while", every=0.5)
    publish(releases / "faults" / "errors", site.stack.store / "digits", 3)
    policy = f"--config.file={site.own('receiver', 'policy.yml')}"
    released = site.airbag("release", policy, "digits", "3")
    assert released.returncode == 0, released.stderr
    ended = until(lambda: _ended(site), timeout=120, what="the rollback", every=0.2)
    assert (ended["state"], ended["target_version"]) == ("SUCCEEDED", 2)
    assert site.serves() == 2
    for part in ("serving-exporter", "receiver"):
        said = [words for words in TROUBLE if words in site.log(part)]
        assert said == []
    assert "took no alert" not in site.log("receiver")


@pytest.mark.story
def test_the_commands_reach_servers_and_receiver_with_certificates_alone(site: Site) -> None:
    """Given an operator's certificate and no token, when the status is asked, then it shows servers and receiver."""
    folder = site.certificates / "operator"
    env = {
        "AIRBAG_RECEIVER_URL": site.url("receiver"), "AIRBAG_RECEIVER_CA_FILE": str(folder / "http-ca.crt"),
        "AIRBAG_RECEIVER_CERT_FILE": str(folder / "client.crt"), "AIRBAG_RECEIVER_KEY_FILE": str(folder / "client.key"),
    }  # fmt: skip
    policy = f"--config.file={site.own('receiver', 'policy.yml')}"
    shown = site.airbag("status", policy, env=env)
    assert shown.returncode == 0, shown.stderr
    assert "tf-serving" in shown.stdout
    assert "actions:" not in shown.stdout.splitlines()[-1]
    without = site.airbag("history", env={name: env[name] for name in list(env)[:2]} | {"AIRBAG_TOKEN": "x" * 20})
    assert without.returncode == 1
    assert "does it want a client certificate" in without.stderr


@pytest.mark.parametrize(("mine", "shipped"), FILES.items())
def test_the_example_is_the_shipped_file_with_certificates(mine: str, shipped: str) -> None:
    """What one would find who compares both: addresses with https, and whom to trust."""
    ours = yaml.safe_load((EXAMPLE / mine).read_text().replace("https://", "http://"))
    theirs = yaml.safe_load((ROOT / shipped).read_text().replace("https://", "http://"))
    assert _plain(ours) == _plain(theirs)
    assert _plain(ours) != ours


def test_promtool_and_amtool_accept_the_example(site: Site) -> None:
    run("promtool", "check", "config", site.own("prometheus", "prometheus.yml"))
    run("promtool", "check", "web-config", site.own("prometheus", "web.yml"))
    run("amtool", "check-config", site.own("alertmanager", "alertmanager.yml"))


def _plain(document: object) -> object:
    """Without what the example adds."""
    added = {"tls_config", "grpc_tls", "scheme", "prometheus_http_config", "alertmanager_http_config", "certificates"}
    if isinstance(document, dict):
        plain = {key: _plain(value) for key, value in document.items() if key not in added}
        return {key: value for key, value in plain.items() if (key, value) != ("http_config", {})}
    return [_plain(each) for each in document] if isinstance(document, list) else document


def _prometheus(site: Site, query: str) -> bool:
    answer = site.get("prometheus", "/api/v1/query", "receiver", params={"query": query})
    return bool(answer.json()["data"]["result"])


def _proven(site: Site) -> bool:
    headers = site.token("airbag_operator_token")
    answer = site.get("receiver", "/v1/models/main/digits/versions", "operator", headers=headers)
    return any(each["version"] == 2 and each["soak_seconds"] > 12 for each in answer.json()["versions"])


def _ended(site: Site) -> dict[str, object] | None:
    found = [each for each in site.actions() if each["bad_version"] == 3]
    return found[0] if found and found[0]["state"] in ("SUCCEEDED", "FAILED", "NEEDS_HUMAN", "SUPPRESSED") else None
