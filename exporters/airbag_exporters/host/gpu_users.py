"""Who uses a GPU: memory and time by target, as far as the driver tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from airbag.exposition import Family
from airbag_exporters.host import families, nvml
from airbag_exporters.host.nvml import Device, Nvml, ProcessSample, supported

Owner = tuple[str, str]
Owners = Callable[[], Mapping[int, Owner]]
"""Serving and target of the processes that are watched, by pid."""

OTHER = ("other", "other")


class Users:
    """What processes that nobody watches take is `other`.

    The driver keeps samples of the last seconds: each look asks for those since the look before.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._seen: dict[str, int] = {}

    def shares(self, library: Nvml, uuid: str, device: Device) -> Iterator[tuple[Family, Mapping[Owner, float]]]:
        """Each family with its value by owner. What the driver does not tell is not there."""
        processes = supported(library, lambda: library.nvmlDeviceGetComputeRunningProcesses(device))
        if processes is None:
            return
        owners = self._owners()
        memory = ((each.pid, each.usedGpuMemory) for each in processes)
        yield families.GPU_PROCESS_MEMORY, _added(owners, ((pid, used) for pid, used in memory if used is not None))
        latest = supported(library, lambda: self._samples(library, uuid, device))
        if latest is not None:
            idle = ((each.pid, 0.0) for each in processes)  # the driver names only those that did something
            busy = ((each.pid, each.smUtil / 100) for each in latest)
            yield families.GPU_PROCESS_BUSY, _added(owners, (*idle, *busy))

    def _samples(self, library: Nvml, uuid: str, device: Device) -> Iterable[ProcessSample]:
        """The latest sample of each process that the GPU worked for since the last look."""
        since = self._seen.get(uuid, 0)
        try:
            found = library.nvmlDeviceGetProcessUtilization(device, since)
        except library.NVMLError as error:
            if getattr(error, "value", None) in nvml.IDLE:
                return ()
            raise
        latest = {each.pid: each for each in sorted(found, key=lambda each: each.timeStamp) if each.timeStamp > since}
        self._seen[uuid] = max((each.timeStamp for each in latest.values()), default=since)
        return latest.values()


def _added(owners: Mapping[int, Owner], values: Iterable[tuple[int, float]]) -> Mapping[Owner, float]:
    found = dict[Owner, float]()
    for pid, value in values:
        owner = owners.get(pid, OTHER)
        found[owner] = found.get(owner, 0) + value
    return found
