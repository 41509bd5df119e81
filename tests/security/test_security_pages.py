"""What docs/security.md and the example's page tell people to run, run; and the picture's claims about starting."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airbag.errors import ConfigError
from airbag_exporters.config import Part, load_exporters
from airbag_rollback.config import load_settings
from tests.fakes.binaries import ROOT
from tests.security.site import EXAMPLE

PAGES = {"security.md": ROOT / "docs" / "security.md", "tls/README.md": EXAMPLE / "README.md"}
NEEDS_A_SITE = ("pip install", "airbag history")


@pytest.mark.parametrize("name", PAGES)
def test_every_command_runs_in_the_order_of_the_page(name: str, tmp_path: Path) -> None:
    """Besides installing, and asking a receiver: the running site does that."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGES[name].read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(NEEDS_A_SITE)]
    assert len(lines) >= 2
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", "\n".join(lines)], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "PRIVATE KEY" not in done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_every_test_that_a_page_names_is_there(name: str) -> None:
    page = PAGES[name]
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    tests = re.findall(r"`(tests/[^`]+)`", page.read_text())
    gone = [each for each in links if not (page.parent / each).exists()]
    gone += [each for each in tests if not list(ROOT.glob(each))]
    assert gone == []


@pytest.mark.parametrize(
    ("part", "places"),
    [
        ("serving", ["servings[0].grpc_tls.cert_file", "alerts.http_config.tls_config.cert_file"]),
        ("quality", []),
        ("host", []),
    ],
)
def test_each_exporter_asks_at_its_start_for_what_it_uses_and_for_nothing_else(
    part: Part, places: list[str], tmp_path: Path
) -> None:
    """Without any certificate on this machine."""
    file = shutil.copy(EXAMPLE / "exporters.yml", tmp_path)
    if not places:
        assert load_exporters(Path(file), part)
        return
    with pytest.raises(ConfigError) as told:
        load_exporters(Path(file), part)
    assert {each.path for each in told.value.problems} >= set(places)


def test_the_receiver_lists_every_certificate_that_is_missing_at_once(tmp_path: Path) -> None:
    document = yaml.safe_load((EXAMPLE / "policy.yml").read_text())
    document["exporters_file"] = str(EXAMPLE / "exporters.yml")
    (tmp_path / "policy.yml").write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError) as told:
        load_settings(tmp_path / "policy.yml")
    paths = {each.path for each in told.value.problems}
    for way in ("prometheus_http_config.tls_config", "alertmanager_http_config.tls_config",
                "exporters_file: servings[0].grpc_tls"):  # fmt: skip
        assert {f"{way}.{key}" for key in ("ca_file", "cert_file", "key_file")} <= paths
    assert "webhook_token: /run/secrets/airbag_webhook_token" in paths
