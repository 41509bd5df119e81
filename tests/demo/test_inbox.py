"""The demo's people's channel, as a real process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from airbag_demo.ports import free_ports
from tests.fakes.wait import until

ALERT = {
    "status": "firing",
    "labels": {"alertname": "AirbagAccuracyLow", "model_version": "3", "severity": "critical"},
    "annotations": {"description": "Version 3 is wrong."},
}


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address and what it printed."""
    output = tmp_path / "output"
    with free_ports() as ports, output.open("wb") as file:
        address = f"127.0.0.1:{ports['people']}"
        command = [sys.executable, "-m", "airbag", "demo", "inbox", f"--web.listen-address={address}"]
        child = subprocess.Popen(command, stdout=file)
        try:
            until(lambda: requests.get(f"http://{address}/-/ready", timeout=1).ok, what="the inbox answers")
            yield f"http://{address}", output
        finally:
            child.kill()
            child.wait()


def test_a_notification_is_kept_and_printed_as_a_person_would_read_it(inbox: tuple[str, Path]) -> None:
    url, output = inbox
    assert requests.post(url, json={"version": "4", "alerts": [ALERT]}, timeout=2).json() == {"taken": 1}
    assert requests.get(url + "/messages", timeout=2).json() == [ALERT]
    until(
        lambda: "[firing] AirbagAccuracyLow (critical): Version 3 is wrong." in output.read_text(), what="the sentence"
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"alerts": 3}', b'{"alerts": [{}]}', b'{"alerts": ["x"]}'])
def test_what_is_no_notification_is_refused_and_not_kept(inbox: tuple[str, Path], body: bytes) -> None:
    assert requests.post(inbox[0], data=body, timeout=2).status_code == 400
    assert requests.get(inbox[0] + "/messages", timeout=2).json() == []
