"""What exporters/README.md shows is what works."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from airbag_exporters.config import load_exporters
from airbag_exporters.serving.look import PARTS
from tests.fakes.binaries import ROOT

TEXT = (ROOT / "exporters" / "README.md").read_text()
WATCHED, ENCRYPTED, MODULES, PROMETHEUS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text(WATCHED + MODULES)
    config = load_exporters(path)
    assert [target.name for target in config.servings[0].targets] == ["a", "b"]
    assert config.modules["default"].expect.error_ratio_max == 0.02


def test_the_section_for_tls_is_one_of_a_group(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text(WATCHED.replace("state_folder", ENCRYPTED.partition("  - name: main\n")[2] + "state_folder"))
    tls = load_exporters(path).servings[0].grpc_tls
    assert tls is not None
    assert (tls.server_name, len(tls.files)) == ("tf-serving", 3)


def test_prometheus_accepts_the_scraping_of_probed_servers(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(PROMETHEUS)
    done = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(PROMETHEUS)["scrape_configs"][0]["params"]["module"] == ["default"]


def test_every_part_of_a_poll_is_explained() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(PARTS)
