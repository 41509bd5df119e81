"""Each trust boundary of docs/security.md, tried from outside on a site that really runs.

What the parts alone hold is tested beside them: tokens, passwords and roles in tests/alertmanager/test_access.py and
test_api.py, the webhook's limits in test_receiver_process.py and test_webhook.py, sessions, forms and headers of the
pages in tests/alertmanager_pages/test_pages_door.py, web configurations in tests/airbag/test_web_*.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from airbag import tls_words
from airbag.certificates.parts import Authority
from airbag.errors import Unreachable
from airbag.http_config import HttpConfig, TlsConfig
from airbag.http_session import new_session, why
from airbag.serving import control
from airbag.serving.channel import SPEAKS_TLS
from tests.fakes.alertmanager_api import alert, message
from tests.fakes.wait import until
from tests.security.site import Site
from tests.security.strangers import KINDS, pair_of, tls_of

HTTP_PARTS = ("serving-exporter", "quality-exporter", "host-exporter", "receiver", "prometheus", "alertmanager")
NO_ORDERS = (
    "serving-exporter",
    "quality-exporter",
    "prometheus",
    "alertmanager",
    "receiver",
    "model-client",
    "grafana",
)
EMPTY = 'model_config_list { config { name: "digits" base_path: "/nowhere" model_platform: "tensorflow" } }'
_ENDED = ("SUCCEEDED", "SUPPRESSED", "FAILED", "CANCELLED", "NEEDS_HUMAN")
ORDER = {"serving": "main", "model_name": "digits", "because": "a test"}


@pytest.mark.story
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_reloads_tf_serving_without_a_certificate_of_its_own_authority(
    site: Site, kind: str, tmp_path: Path
) -> None:
    before = site.serves()
    with pytest.raises(Unreachable) as caught:
        control.reload(site.endpoint(tls_of(site, kind, tmp_path)), EMPTY, timeout=10)
    said = tls_words.NEEDS_CERTIFICATE if kind == "none" else tls_words.REFUSED_CERTIFICATE
    assert said in str(caught.value)
    assert site.serves() == before is not None


@pytest.mark.story
def test_plain_text_to_tf_serving_is_no_way_in_and_says_why(site: Site) -> None:
    with pytest.raises(Unreachable, match=re.escape(SPEAKS_TLS)):
        control.reload(site.endpoint(None), EMPTY, timeout=10)
    assert site.serves() is not None


@pytest.mark.story
def test_a_server_that_answers_under_another_name_is_told_nothing(site: Site) -> None:
    other = site.serving_tls("receiver").model_copy(update={"server_name": "another-server"})
    with pytest.raises(Unreachable, match=tls_words.WRONG_NAME):
        control.reload(site.endpoint(other), EMPTY, timeout=10)
    folder = site.certificates / "operator"
    named = TlsConfig(
        ca_file=folder / "http-ca.crt", cert_file=folder / "client.crt", key_file=folder / "client.key",
        server_name="another-server",
    )  # fmt: skip
    with new_session(HttpConfig(tls_config=named)) as session, pytest.raises(requests.ConnectionError) as caught:
        session.get(site.url("prometheus") + "/-/ready", timeout=20)
    assert why(caught.value, session) == tls_words.WRONG_NAME


@pytest.mark.story
def test_whoever_has_a_certificate_of_servings_authority_may_reload_which_the_page_says(site: Site) -> None:
    """TF Serving knows no roles: the reason why that authority is one of its own."""
    same = (site.stack.store / "models.config").read_text()
    control.reload(site.endpoint(site.serving_tls("serving-exporter")), same, timeout=20)
    until(lambda: site.serves(), timeout=30, what="the server to go on serving")


@pytest.mark.story
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", HTTP_PARTS)
def test_nobody_sees_a_page_without_a_certificate_of_the_sites_authority(
    site: Site, part: str, kind: str, tmp_path: Path
) -> None:
    shown = site.shown(None) | {"cert": pair_of(site, Authority.HTTP, kind, tmp_path)}
    for path in ("/metrics", "/-/healthy", "/"):
        with pytest.raises(requests.ConnectionError):
            requests.get(site.url(part) + path, **shown)  # noqa: S113 - `shown` has one


@pytest.mark.story
@pytest.mark.parametrize("part", HTTP_PARTS)
def test_plain_http_to_a_tls_port_gets_no_page(site: Site, part: str) -> None:
    try:
        answer = requests.get(site.stack.url(part) + "/metrics", timeout=20)
    except requests.ConnectionError:
        return
    assert answer.status_code == 400  # as Go's server says it
    assert "airbag" not in answer.text


@pytest.mark.story
@pytest.mark.parametrize("part", NO_ORDERS)
def test_the_certificate_of_another_part_reads_and_orders_nothing_at_the_receiver(site: Site, part: str) -> None:
    before, refused = site.actions(), _counted(site, 'reason="certificate"')
    assert _post(site, part, "/v1/rollbacks", json=ORDER).status_code == 401
    assert site.get("receiver", "/v1/actions", part).status_code == 401
    assert site.get("receiver", "/v1/audit", part).status_code == 401
    assert _post(site, part, "/v1/alerts", data=_webhook()).status_code == 401
    assert site.actions() == before
    assert _counted(site, 'reason="certificate"') - refused == 4


@pytest.mark.story
@pytest.mark.parametrize(
    ("token", "status"), [("airbag_webhook_token", 403), ("airbag_operator_token", 202), (None, 401)],
    ids=["alertmanager's", "operator's", "wrong"],
)  # fmt: skip
def test_a_token_gets_as_far_as_its_role_and_no_further(site: Site, token: str | None, status: int) -> None:
    """Alertmanager's neither reads nor approves; an operator's neither quarantines nor hands in alerts."""
    before = [each["id"] for each in site.actions()]
    headers = site.token(token) if token else {"Authorization": "Bearer " + "x" * 43}
    asked = [
        _post(site, "prometheus", "/v1/actions/1/approve", headers=headers, json={}),
        _post(site, "prometheus", "/v1/quarantine/main/digits/1", headers=headers, json={"because": "a test"}),
        _post(site, "prometheus", "/v1/alerts", headers=headers, data=_webhook(model_name="not-ours")),
        site.get("receiver", "/v1/actions", headers=headers),
    ]
    codes = [answer.status_code for answer in asked]
    if status == 403:
        assert codes == [403, 403, 202, 403]
    elif status == 401:
        assert codes == [401] * 4
    else:
        assert codes[1:] == [403, 403, 200]
        assert codes[0] in (404, 409)  # let in, and there is nothing to approve
    assert [each["id"] for each in site.actions()] == before


@pytest.mark.story
@pytest.mark.parametrize(
    "labels",
    [
        {"model_name": "somebody-elses"}, {"serving": "elsewhere"}, {"model_name": "../../etc/passwd"},
        {"serving": "..", "model_name": "."}, {"model_version": "../2"}, {"model_version": "-1"},
        {"alertname": "AirbagIsMyIdea"}, {"airbag_action": "delete"},
    ],
    ids=["model", "serving", "path", "dots", "version", "negative", "alert", "action"],
)  # fmt: skip
def test_a_webhook_that_names_what_is_not_ours_is_written_down_and_starts_nothing(
    site: Site, labels: dict[str, str]
) -> None:
    """Twice, as one who replays it would."""
    before, refused = site.actions(), _alerts_refused(site)
    config = (site.stack.store / "models.config").read_bytes()
    for _ in range(2):
        answer = _post(site, "alertmanager", "/v1/alerts", headers=_webhook_token(site), data=_webhook(**labels))
        assert answer.status_code == 202
    until(lambda: _alerts_refused(site) >= refused + 2, timeout=20, what="both to be looked at")
    assert site.actions() == before
    assert (site.stack.store / "models.config").read_bytes() == config


@pytest.mark.story
def test_a_replayed_webhook_about_a_healthy_version_is_judged_anew_and_moves_nothing(site: Site) -> None:
    """An alert is believed in nothing but its names."""
    config, version = (site.stack.store / "models.config").read_bytes(), site.serves()
    body = _webhook(alertname="AirbagErrorRatioHigh", model_version=str(version))
    for _ in range(5):
        assert _post(site, "alertmanager", "/v1/alerts", headers=_webhook_token(site), data=body).status_code == 202
    until(lambda: all(each["state"] in _ENDED for each in site.actions()), timeout=90, what="the judgement", every=0.2)
    assert site.serves() == version
    assert (site.stack.store / "models.config").read_bytes() == config


@pytest.mark.story
def test_an_oversized_webhook_is_refused_before_it_is_kept(site: Site) -> None:
    body = b'{"version": "4", "alerts": [' + b" " * (5 << 20) + b"]}"
    answer = _post(site, "alertmanager", "/v1/alerts", headers=_webhook_token(site), data=body)
    assert answer.status_code == 413


@pytest.mark.story
@pytest.mark.parametrize("path", [
    "/v1/models/..%2f..%2f/etc%2fpasswd/versions", "/v1/models/main/..%2f..%2fetc/versions",
    "/static/..%2f..%2faccess.py", "/static/../../policy.yml", "/v1/actions/..%2f1/report",
])  # fmt: skip
def test_a_path_that_climbs_finds_nothing(site: Site, path: str) -> None:
    """Sent as it is: `requests` would tidy it up."""
    folder = site.certificates / "operator"
    command = ["curl", "--silent", "--path-as-is", "--output", "-", "--write-out", "\n%{http_code}", "--cacert",
               str(folder / "http-ca.crt"), "--cert", str(folder / "client.crt"), "--key", str(folder / "client.key"),
               site.url("receiver") + path]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    body, _, code = done.stdout.rpartition("\n")
    assert code in ("404", "422", "303")
    assert "root:" not in body
    assert "exporters_file" not in body


@pytest.mark.story
def test_pages_cannot_be_framed_or_ordered_from_other_sites(site: Site) -> None:
    page = site.get("receiver", "/", "operator")
    assert page.status_code == 200
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    config = (site.stack.store / "models.config").read_bytes()
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert _post(site, "operator", "/v1/rollbacks", headers=evil, json=ORDER).status_code == 403
    assert _post(site, "operator", "/pause", headers=evil, data={"because": "x"}).status_code in (400, 403)
    assert (site.stack.store / "models.config").read_bytes() == config


@pytest.mark.story
def test_a_refusal_at_the_webhook_says_how_to_come_in(site: Site) -> None:
    answer = _post(site, "alertmanager", "/v1/alerts", data=_webhook())
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.story
def test_no_secret_is_in_a_log_a_page_an_answer_or_a_list_of_processes(site: Site) -> None:
    secrets = [path.read_text().strip() for path in site.stack.token_file.parent.iterdir() if path.is_file()]
    keys = [path.read_text().splitlines()[1] for path in site.certificates.rglob("*.key")]
    assert len(secrets) >= 3
    assert len(keys) > 10
    shown = {f"log of {path.name}": path.read_text(errors="replace") for path in (site.stack.run / "logs").iterdir()}
    shown |= {f"page of {part}": site.get(part, "/metrics").text for part in HTTP_PARTS}
    shown |= {f"configuration of {part}": json.dumps(site.get(part, path).json()) for part, path in {
        "prometheus": "/api/v1/status/config", "alertmanager": "/api/v2/status"}.items()}  # fmt: skip
    headers = site.token("airbag_operator_token")
    for path in ("/v1/actions", "/v1/serving", "/v1/explain?serving=main&model=digits", "/openapi.json", "/"):
        shown[path] = site.get("receiver", path, "operator", headers=headers).text
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            shown[str(process)] = process.read_text(errors="replace")
        except OSError:
            continue
    found = [where for where, text in shown.items() for secret in (*secrets, *keys) if secret in text]
    assert found == []


def _webhook_token(site: Site) -> dict[str, str]:
    return site.token("airbag_webhook_token")


def _webhook(**labels: str) -> bytes:
    one = alert(77)
    return json.dumps(message(one | {"labels": one["labels"] | labels})).encode()


def _post(site: Site, caller: str, path: str, **more: Any) -> requests.Response:
    shown = site.shown(caller)
    return requests.post(  # noqa: S113 - `shown` has one
        site.url("receiver") + path, allow_redirects=False, **shown, **more
    )


def _sample(site: Site, name: str) -> float:
    page = site.get("receiver", "/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


def _counted(site: Site, labels: str) -> float:
    return _sample(site, f"airbag_rollback_unauthorized_total{{{labels}}}")


def _alerts_refused(site: Site) -> float:
    return _sample(site, 'airbag_rollback_alerts_total{result="refused"}')
