"""Which paths of the real processes ask for a password, and which for their own token."""

from __future__ import annotations

import sys
from pathlib import Path

import bcrypt
import requests

from tests.airbag.http_process import Running, listening
from tests.fakes.ports import free_port
from tests.fakes.rollback import ADMIN, HEADERS, surroundings

PASSWORD = ("alice", "secret")
CONFIG = (
    'servings: [{name: main, targets: [{name: a, grpc: "127.0.0.1:1"}], models: [{name: digits}]}]\nquality: {%s}\n'
)
BATCH = '{"id": "1", "model_name": "digits", "model_version": 3, "predicted": 1}'


def command(*process: str, config: str, folder: Path) -> tuple[list[str], int]:
    """A process that wants a password, and its port."""
    hashed = bcrypt.hashpw(PASSWORD[1].encode(), bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(f"basic_auth_users: {{alice: {hashed}}}")
    port = free_port()
    flags = [f"--config.file={config}", "--web.config.file=web.yml", f"--web.listen-address=:{port}"]
    return [sys.executable, "-m", "airbag", *process, *flags], port


def post(process: Running, path: str, body: str, authorization: str | None = None) -> int:
    headers = {"content-type": "application/x-ndjson"} | ({"authorization": authorization} if authorization else {})
    return requests.post(process.url + path, data=body, headers=headers, timeout=10).status_code


def test_the_intake_asks_for_its_token_when_it_has_one_and_for_a_password_when_not(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    (tmp_path / "exporters.yml").write_text(CONFIG % "token: {file: token}")
    line, port = command("exporter", "quality", config="exporters.yml", folder=tmp_path)
    with listening(line, port, tmp_path) as process:
        for path in ("/v1/predictions", "/v1/labels"):
            assert post(process, path, "") == 401
        assert post(process, "/v1/predictions", BATCH, "Bearer t0ken") == 202
        assert (
            requests.get(f"{process.url}/metrics", headers={"authorization": "Bearer t0ken"}, timeout=10).status_code
            == 401
        )
        (tmp_path / "exporters.yml").write_text(CONFIG % "")
        assert requests.post(f"{process.url}/-/reload", auth=PASSWORD, timeout=10).ok
        assert post(process, "/v1/predictions", BATCH) == 401
        answer = requests.post(
            f"{process.url}/v1/predictions", BATCH, headers={"content-type": "application/x-ndjson"}, auth=PASSWORD,
            timeout=10,
        )  # fmt: skip
        assert answer.status_code == 202


def test_no_path_of_the_receiver_is_open_and_those_with_a_token_want_only_that(tmp_path: Path) -> None:
    with surroundings(tmp_path) as around:
        line, port = command("receiver", config=str(around.policy_file), folder=tmp_path)
        with listening(line, port, tmp_path) as process:
            described = requests.get(f"{process.url}/openapi.json", auth=PASSWORD, timeout=10).json()["paths"]
            routes = [(path.replace("{action_id}", "1"), way) for path, ways in described.items() for way in ways]
            assert ("/v1/alerts", "post") in routes
            for path, way in routes:
                refused = requests.request(way, process.url + path, auth=PASSWORD, timeout=10)
                assert (refused.status_code, "bearer token" in refused.text) == (401, True), path
                token = HEADERS if path == "/v1/alerts" else ADMIN
                taken = requests.request(way, process.url + path, data=b"{}", headers=token, timeout=10)
                assert taken.status_code in (200, 400, 404, 409, 415, 422), path  # a report is no JSON
            for path in ("/docs", "/openapi.json", "/metrics", "/-/healthy", "/-/ready"):
                assert requests.get(process.url + path, headers=ADMIN, timeout=10).status_code == 401
                assert requests.get(process.url + path, auth=PASSWORD, timeout=10).status_code == 200
