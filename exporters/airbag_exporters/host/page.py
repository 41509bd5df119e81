"""The scrape page: every part is read when it is asked for, all at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from airbag.clock import Clock
from airbag.exposition import Samples
from airbag_exporters.config import Host
from airbag_exporters.host import families
from airbag_exporters.host.disks import look_at_disk
from airbag_exporters.host.gpus import Gpus
from airbag_exporters.host.machine import look_at_machine
from airbag_exporters.host.nvml import Nvml
from airbag_exporters.host.part import Look, Part
from airbag_exporters.host.processes import Processes

PATIENCE = 2.0
"""Seconds that a scrape waits for its slowest part; Prometheus gives up after five."""


class HostPage:
    """All that is known of this machine. `load` gives NVIDIA's library, `cgroups` is what /sys/fs/cgroup holds."""

    def __init__(
        self, config: Host, cgroups: Path, load: Callable[[], Nvml | None], clock: Clock, patience: float = PATIENCE
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._processes = Processes(config, cgroups)
        gpus = Gpus(load, self._processes.owners)
        self._always = [
            Part("processes", "processes", self._processes.look, clock),
            Part("machine", "memory", look_at_machine, clock),
            Part("gpus", "NVML", gpus.look, clock),
        ]
        self._disks: dict[Path, Part] = {}
        self.adopt(config)

    def adopt(self, config: Host) -> None:
        """Watch what this says from the next scrape on."""
        self._processes.adopt(config)
        self._disks = {
            path: self._disks.get(path) or Part("disks", str(path), partial(look_at_disk, path), self._clock)
            for path in config.disks
        }
        self._config = config

    def page(self) -> Iterator[bytes]:
        """All families. A part that fails leaves its heads, and a 0 in `airbag_host_scrape_part_success`."""
        config, parts = self._config, [*self._always, *self._disks.values()]
        runs = [(part, part.begin()) for part in parts]
        until = self._clock.monotonic() + self._patience
        looks = [(part, part.end(run, max(0.0, until - self._clock.monotonic()))) for part, run in runs]
        texts = [_limits(config).text(), _about(looks).text(), *(look.samples.text() for _, look in looks if look)]
        for family in families.ALL:
            yield "".join([family.head, *(text.get(family, "") for text in texts)]).encode(errors="replace")


def _about(looks: Iterable[tuple[Part, Look | None]]) -> Samples:
    """How reading went: a part that has several sources is as good as the worst of them."""
    samples = Samples((families.PART, families.DURATION))
    success, durations = dict[str, bool](), dict[str, float]()
    for part, look in looks:
        success[part.name] = success.get(part.name, True) and look is not None and not look.problems
        if part.duration is not None:
            durations[part.name] = max(durations.get(part.name, 0.0), part.duration)
    for name, each in success.items():
        samples.add(families.PART, (name,), int(each))
    for name, seconds in durations.items():
        samples.add(families.DURATION, (name,), seconds)
    return samples


def _limits(config: Host) -> Samples:
    samples = Samples(families.LIMITS)
    for each in config.processes:
        samples.add(families.DESCRIPTORS_RATIO_MAX, (each.serving, each.target), config.descriptors_ratio_max)
    samples.add(families.MEMORY_RATIO_MAX, (), config.memory_ratio_max)
    for severity, ratio in config.disk_free_ratio_min:
        samples.add(families.DISK_FREE_RATIO_MIN, (severity,), ratio)
    if config.gpu_memory_ratio_max is not None:
        samples.add(families.GPU_MEMORY_RATIO_MAX, (), config.gpu_memory_ratio_max)
    return samples
