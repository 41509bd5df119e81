"""The part `gpus`: every GPU of the machine, by NVML. No driver and no GPU is normal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from airbag.exposition import Family, Samples
from airbag_exporters.host import families, nvml
from airbag_exporters.host.gpu_users import Owners, Users
from airbag_exporters.host.nvml import Nvml, supported
from airbag_exporters.host.part import Look
from airbag_exporters.host.xids import Xids

log = logging.getLogger("airbag.exporter.host")


class Gpus:
    """`load` gives the library or None; it is asked again at each look until it does, for drivers come late."""

    def __init__(self, load: Callable[[], Nvml | None], owners: Owners) -> None:
        self._load = load
        self._users = Users(owners)
        self._nvml: Nvml | None = None
        self._known: set[str] = set()
        self._xids = Xids()
        self._silent = ""

    def look(self) -> Look:
        """Every GPU. One that does not answer any more is a problem, one that never did is not there."""
        samples, problems = Samples(families.OF_GPUS), dict[str, str]()
        library = self._nvml or self._start()
        count = self._count(library) if library else None
        samples.add(families.NVML_UP, (), int(count is not None))
        if library is None or count is None:
            return Look(samples)
        answering = set[str]()
        for index in range(count):
            try:
                answering.add(self._show(samples, library, index))
            except library.NVMLError as error:
                problems[f"GPU {index}"] = str(error)
        self._known |= answering
        for uuid in sorted(self._known):
            samples.add(families.GPU_UP, (uuid,), int(uuid in answering))
        self._xids.look(library)
        for uuid, (number, last) in self._xids.seen.items():
            samples.add(families.GPU_XIDS, (uuid,), number)
            if last is not None:
                samples.add(families.GPU_LAST_XID, (uuid,), last)
        return Look(samples, problems)

    def _start(self) -> Nvml | None:
        library = self._load()
        if library is None:
            self._tell("no NVIDIA driver is installed here")
            return None
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            self._tell(str(error))
            return None
        self._nvml, self._silent = library, ""
        log.info("NVML answers")
        return library

    def _count(self, library: Nvml) -> int | None:
        """How many GPUs there are; None when the library has to be started anew, after a driver update for example."""
        try:
            return library.nvmlDeviceGetCount()
        except library.NVMLError as error:
            self._tell(str(error))
        self._nvml, self._xids = None, self._xids.anew()
        try:
            library.nvmlShutdown()
        except library.NVMLError as error:
            log.debug("NVML could not be shut down", extra={"reason": str(error)})
        return None

    def _tell(self, reason: str) -> None:
        if reason != self._silent:
            self._silent = reason
            log.info("no GPU is watched", extra={"reason": reason})

    def _show(self, samples: Samples, library: Nvml, index: int) -> str:
        """All that this GPU tells, and its UUID. NVMLError when it does not answer."""
        device = library.nvmlDeviceGetHandleByIndex(index)
        uuid = library.nvmlDeviceGetUUID(device)
        gpu = (uuid,)
        samples.add(families.GPU_INFO, (uuid, str(index), library.nvmlDeviceGetName(device)), 1)
        self._xids.watch(library, uuid, device)

        def show(family: Family, read: Callable[[], float], *more: str) -> None:
            value = supported(library, read)
            if value is not None:
                samples.add(family, (*gpu, *more), value)

        show(families.GPU_BUSY, lambda: library.nvmlDeviceGetUtilizationRates(device).gpu / 100)
        show(families.GPU_MEMORY, lambda: library.nvmlDeviceGetMemoryInfo(device).total)
        show(families.GPU_MEMORY_USED, lambda: library.nvmlDeviceGetMemoryInfo(device).used)
        show(families.GPU_TEMPERATURE, lambda: library.nvmlDeviceGetTemperature(device, nvml.TEMPERATURE_OF_GPU))
        show(families.GPU_POWER, lambda: library.nvmlDeviceGetPowerUsage(device) / 1000)
        show(families.GPU_POWER_LIMIT, lambda: library.nvmlDeviceGetEnforcedPowerLimit(device) / 1000)
        for name, kind in nvml.ECC_KINDS.items():
            errors = partial(library.nvmlDeviceGetTotalEccErrors, device, kind, nvml.SINCE_DRIVER_LOADED)
            show(families.GPU_ECC, errors, name)
        reasons = supported(library, lambda: library.nvmlDeviceGetCurrentClocksThrottleReasons(device))
        if reasons is not None:
            for name, bit in nvml.THROTTLE_REASONS.items():
                samples.add(families.GPU_THROTTLED, (uuid, name), int(bool(reasons & bit)))
        for family, shares in self._users.shares(library, uuid, device):
            for owner, share in shares.items():
                samples.add(family, (uuid, *owner), share)
        return uuid
