"""The process: a page that is read when it is scraped."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import psutil
from starlette.applications import Starlette

from airbag.clock import SystemClock
from airbag.http import Surface, Web, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.host.nvml import load_nvml
from airbag_exporters.host.page import HostPage

log = logging.getLogger("airbag.exporter.host")

ABOUT = "Shows what the servers' processes take of this machine: processor, memory, descriptors, disks, GPUs."


def run(config_file: Path, config: ExportersConfig, web: Web) -> None:
    """Serve until SIGTERM or SIGINT. StartError when the address is taken.

    HOST_PROC and HOST_SYS are where the machine's /proc and /sys are mounted, when not there.
    """
    psutil.PROCFS_PATH = os.environ.get("HOST_PROC", "/proc")
    cgroups = Path(os.environ.get("HOST_SYS", "/sys"), "fs/cgroup")
    page = HostPage(config.host, cgroups, load_nvml, SystemClock())
    if not config.host.processes:
        log.warning("no process is watched; list the servers of this machine in host.processes")

    def reload() -> None:
        page.adopt(load_exporters(config_file).host)

    surface = Surface("airbag host exporter", reload=reload, about=ABOUT, pages=[page.page])
    serve(Starlette(routes=surface.routes()), surface, web)
