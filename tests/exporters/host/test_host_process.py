"""`airbag exporter host` as a process."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from airbag.errors import ConfigError
from airbag_exporters.config import load_exporters
from tests.exporters.host.server import server, unlimited
from tests.exporters.processes import assert_lints, running
from tests.fakes.wait import until

SERVINGS = 'servings: [{name: main, targets: [{name: a, grpc: "127.0.0.1:1"}]}]\n'


def configure(folder: Path, host: str) -> Path:
    path = folder / "exporters.yml"
    path.write_text(f"{SERVINGS}host: {host}\n")
    return path


def test_it_answers_as_every_exporter_and_follows_a_reload(tmp_path: Path) -> None:
    mark = f"--mark={uuid.uuid4()}"
    path = configure(tmp_path, f'{{processes: [{{serving: main, target: a, argument: "{mark}"}}], disks: [.]}}')
    with server(mark) as child, running("host", path) as exporter:
        assert exporter.get("/-/ready").text == "airbag host exporter is ready.\n"
        assert "<h1>airbag host exporter</h1>" in exporter.get("/").text
        assert exporter.value("airbag_host_process_up", serving="main", target="a") == 1
        assert exporter.value("airbag_host_disk_size_bytes", path=str(tmp_path)) is not None
        assert exporter.value("airbag_build_info") == 1
        assert_lints(exporter.get("/metrics").text)
        child.die()
        assert exporter.value("airbag_host_process_up") == 0

        configure(tmp_path, "{disks: [], memory_ratio_max: 0.5}")
        assert exporter.post("/-/reload").ok
        assert exporter.value("airbag_host_process_up") is None
        assert exporter.value("airbag_host_memory_ratio_max") == 0.5
        configure(tmp_path, "{memory_ratio: 0.6}")
        refused = exporter.post("/-/reload")
        assert (refused.status_code, "did you mean `memory_ratio_max`?" in refused.text) == (500, True)
        assert exporter.value("airbag_host_memory_ratio_max") == 0.5
        until(lambda: exporter.log().count("no GPU is watched") == 1, what="one word about GPUs")


def test_it_says_that_nothing_is_watched_and_reads_the_processes_of_a_mounted_proc_and_sys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"--mark={uuid.uuid4()}"
    (tmp_path / "host").symlink_to("/proc")
    monkeypatch.setenv("HOST_PROC", str(tmp_path / "host"))
    monkeypatch.setenv("HOST_SYS", str(tmp_path / "sys"))
    with running("host", configure(tmp_path, "{}")) as exporter, server(mark):
        assert "no process is watched" in exporter.log()
        configure(tmp_path, f'{{processes: [{{serving: main, target: a, argument: "{mark}"}}]}}')
        assert exporter.post("/-/reload").ok
        assert exporter.value("airbag_host_process_up") == 1
        assert exporter.value("airbag_host_process_memory_limit_bytes") is None
        unlimited(tmp_path / "sys" / "fs" / "cgroup")
        assert exporter.value("airbag_host_process_memory_limit_bytes") is not None
        (tmp_path / "host").unlink()
        assert exporter.value("airbag_host_process_up") is None
        assert exporter.value("airbag_host_scrape_part_success", part="processes") == 0
        assert exporter.value("airbag_host_gpu_nvml_up") == 0


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("{processes: [{serving: main, target: a}]}", "does not say which process it is"),
        ('{processes: [{serving: main, target: a, command: "(x"}]}', "is no regular expression"),
        ("{processes: [{serving: main, target: b, argument: x}]}", "names main/b, which is none of `servings`"),
        ("{processes: [{serving: main, target: a, argument: x}, {serving: main, target: a, argument: y}]}",
         "has two processes for one target"),
        ("{disks: [/models, /models]}", "names a disk twice"),
        ("{disk_free_ratio_min: {warning: 0.01}}", "calls somebody before it warns"),
        ("{rss_ratio_max: 90}", "less than or equal to 1"),
    ],
    ids=["nothing", "pattern", "target", "twice", "disk", "order", "percent"],
)  # fmt: skip
def test_a_wrong_section_is_refused(host: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        load_exporters(configure(tmp_path, host))
