"""A fake of NVIDIA's management library: GPUs that can be busy, unable, broken, and that report errors.

There is no GPU where these tests run; names, units and return codes are those of nvml.h.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace

from airbag_exporters.host.nvml import Device

NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, TIMEOUT, GPU_IS_LOST, UNKNOWN = 3, 4, 6, 10, 15, 999


class FakeError(Exception):
    """NVMLError: its `value` is the return code."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class FakeGpu:
    """One GPU. `refuses` says with which code a call of that name fails."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    busy: int = 37
    total: int = 80_000
    used: int = 20_000
    ecc: dict[int, int] = field(default_factory=lambda: {0: 3, 1: 0})
    throttled: int = 0x4 | 0x1
    processes: list[tuple[int, int | None]] = field(default_factory=list)
    samples: list[tuple[int, int, int]] = field(default_factory=list)  # pid, timestamp, percent
    refuses: dict[str, int] = field(default_factory=dict)
    lost: bool = False


class FakeNvml:
    """The module. `down` is the code with which nothing works at all."""

    NVMLError = FakeError

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)
        self.down: int | None = None
        self.started = 0
        self.events: deque[tuple[FakeGpu, int]] = deque()
        self.listened: list[str] = []

    def load(self) -> FakeNvml:
        return self

    def report(self, gpu: FakeGpu, xid: int) -> None:
        """Have the driver report an error."""
        self.events.append((gpu, xid))

    def _of(self, device: Device, call: str) -> FakeGpu:
        assert isinstance(device, FakeGpu)
        self._up()
        if device.lost:
            raise FakeError(GPU_IS_LOST)
        if call in device.refuses:
            raise FakeError(device.refuses[call])
        return device

    def _up(self) -> None:
        if self.down is not None:
            raise FakeError(self.down)

    def nvmlInit(self) -> None:  # noqa: N802
        self._up()
        self.started += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._up()

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._up()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:  # noqa: N802
        return self._of(self.gpus[index], "handle")

    def nvmlDeviceGetUUID(self, device: Device) -> str:  # noqa: N802
        return self._of(device, "uuid").uuid

    def nvmlDeviceGetName(self, device: Device) -> str:  # noqa: N802
        return self._of(device, "name").name

    def nvmlDeviceGetUtilizationRates(self, device: Device) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=self._of(device, "utilization").busy, memory=5)

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> SimpleNamespace:  # noqa: N802
        gpu = self._of(device, "memory")
        return SimpleNamespace(total=gpu.total, used=gpu.used, free=gpu.total - gpu.used)

    def nvmlDeviceGetTemperature(self, device: Device, sensor: int) -> int:  # noqa: N802
        self._of(device, "temperature")
        return {0: 61}[sensor]

    def nvmlDeviceGetPowerUsage(self, device: Device) -> int:  # noqa: N802
        self._of(device, "power")
        return 250_500

    def nvmlDeviceGetEnforcedPowerLimit(self, device: Device) -> int:  # noqa: N802
        self._of(device, "power limit")
        return 700_000

    def nvmlDeviceGetTotalEccErrors(self, device: Device, kind: int, since: int) -> int:  # noqa: N802
        return self._of(device, "ecc").ecc[kind] + {0: 0, 1: 100}[since]

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, device: Device) -> int:  # noqa: N802
        return self._of(device, "throttle").throttled

    def nvmlDeviceGetComputeRunningProcesses(self, device: Device) -> list[SimpleNamespace]:  # noqa: N802
        gpu = self._of(device, "processes")
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in gpu.processes]

    def nvmlDeviceGetProcessUtilization(self, device: Device, since: int) -> list[SimpleNamespace]:  # noqa: N802
        found = [each for each in self._of(device, "process utilization").samples if each[1] > since]
        if not found:
            raise FakeError(NOT_FOUND)
        return [SimpleNamespace(pid=pid, timeStamp=at, smUtil=busy, memUtil=1) for pid, at, busy in found]

    def nvmlEventSetCreate(self) -> object:  # noqa: N802
        return self.events

    def nvmlDeviceRegisterEvents(self, device: Device, kinds: int, events: object) -> None:  # noqa: N802
        gpu = self._of(device, "events")
        assert (kinds, events) == (8, self.events)
        self.listened.append(gpu.uuid)

    def nvmlEventSetWait_v2(self, events: object, milliseconds: int) -> SimpleNamespace:  # noqa: N802
        assert events is self.events
        assert milliseconds == 0, "a scrape does not wait for errors to happen"
        if not self.events:
            raise FakeError(TIMEOUT)
        gpu, xid = self.events.popleft()
        return SimpleNamespace(device=gpu, eventType=8, eventData=xid)
