"""The part of NVIDIA's management library (package nvidia-ml-py) that is used here, and how it is loaded."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, cast

T = TypeVar("T")

Device = object
"""A handle; only good for giving it back."""


class Utilization(Protocol):
    """Percent of the last sampling period."""

    gpu: int


class Memory(Protocol):
    """Bytes."""

    total: int
    used: int


class ComputeProcess(Protocol):
    """A process that computes on the GPU. The driver does not always know how much memory it has."""

    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVIDIA's name


class ProcessSample(Protocol):
    """How busy one process kept the multiprocessors, in percent; `timeStamp` is in microseconds since 1970."""

    pid: int
    timeStamp: int  # noqa: N815 - NVIDIA's name
    smUtil: int  # noqa: N815 - NVIDIA's name


class Event(Protocol):
    """What the driver reported; `eventData` is the XID."""

    device: Device
    eventData: int  # noqa: N815 - NVIDIA's name


class Nvml(Protocol):
    """The module `pynvml`. Every call may raise NVMLError, whose `value` is NVML's return code."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device: ...  # noqa: N802
    def nvmlDeviceGetUUID(self, device: Device) -> str: ...  # noqa: N802
    def nvmlDeviceGetName(self, device: Device) -> str: ...  # noqa: N802
    def nvmlDeviceGetUtilizationRates(self, device: Device) -> Utilization: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, device: Device) -> Memory: ...  # noqa: N802
    def nvmlDeviceGetTemperature(self, device: Device, sensor: int) -> int: ...  # noqa: N802
    def nvmlDeviceGetPowerUsage(self, device: Device) -> int: ...  # noqa: N802 - milliwatts
    def nvmlDeviceGetEnforcedPowerLimit(self, device: Device) -> int: ...  # noqa: N802 - milliwatts
    def nvmlDeviceGetTotalEccErrors(self, device: Device, kind: int, since: int) -> int: ...  # noqa: N802
    def nvmlDeviceGetCurrentClocksThrottleReasons(self, device: Device) -> int: ...  # noqa: N802 - a bit mask
    def nvmlDeviceGetComputeRunningProcesses(self, device: Device) -> Sequence[ComputeProcess]: ...  # noqa: N802
    def nvmlDeviceGetProcessUtilization(self, device: Device, since: int) -> Sequence[ProcessSample]: ...  # noqa: N802
    def nvmlEventSetCreate(self) -> object: ...  # noqa: N802
    def nvmlDeviceRegisterEvents(self, device: Device, kinds: int, events: object) -> None: ...  # noqa: N802
    def nvmlEventSetWait_v2(self, events: object, milliseconds: int) -> Event: ...  # noqa: N802


# From nvml.h; they are part of its binary interface and do not change.
ABSENT = (3, 4, 13)  # not supported, no permission, no such function in this driver
IDLE = (6, 0)  # not found: no process did anything; pynvml raises the 0 where the driver has an empty list
TEMPERATURE_OF_GPU = 0
ECC_KINDS = {"corrected": 0, "uncorrected": 1}
SINCE_DRIVER_LOADED = 0
XID_EVENT = 8
THROTTLE_REASONS = {
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
}


def load_nvml() -> Nvml | None:
    """The library, or None where no driver is installed. Without one the module would be 2 MiB for nothing."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return cast("Nvml", importlib.import_module("pynvml"))


def supported(library: Nvml, read: Callable[[], T]) -> T | None:
    """What `read` gives, or None where this GPU, this driver or this user has no such thing."""
    try:
        return read()
    except library.NVMLError as error:
        if getattr(error, "value", None) in ABSENT:
            return None
        raise
