"""docs/host.md shows what works, and names every series."""

from __future__ import annotations

import re
from pathlib import Path

from airbag_exporters.config import WatchedProcess, load_exporters
from airbag_exporters.host import families
from tests.fakes.binaries import ROOT

TEXT = (ROOT / "docs" / "host.md").read_text()


def test_the_configuration_is_valid_and_shows_the_defaults_that_there_are(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "exporters.yml"
    path.write_text(shown)
    host = load_exporters(path).host
    path.write_text(shown.partition("host:\n")[0])
    default = load_exporters(path).host
    named = {"processes", "disks", "gpu_memory_ratio_max"}
    assert host.model_dump(exclude=named) == default.model_dump(exclude=named)
    assert all(re.search(rf"^\s*-?\s*{key}:", shown, re.MULTILINE) for key in type(host).model_fields)


def test_every_way_to_find_a_process_is_explained() -> None:
    ways = re.findall(r"^\| `(\w+)` \| (?:that|whose|in) ", TEXT, re.MULTILINE)
    assert set(ways) == set(WatchedProcess.model_fields) - {"serving", "target", "rss_max"}


def test_every_series_is_explained_and_none_that_does_not_exist() -> None:
    told = set(re.findall(r"`(airbag_host_\w+)", TEXT))
    assert told == {family.name for family in families.ALL}
