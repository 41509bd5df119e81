"""GPUs by NVML: what one tells, what it cannot tell, and when it or the whole library goes away."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import cast

import pynvml
import pytest

from airbag.clock import SystemClock
from airbag_exporters.config import Host
from airbag_exporters.host import nvml
from airbag_exporters.host.nvml import load_nvml
from airbag_exporters.host.page import HostPage
from tests.exporters.host.server import value, values
from tests.fakes.nvml import NO_PERMISSION, NOT_SUPPORTED, TIMEOUT, UNKNOWN, FakeGpu, FakeNvml


def page_of(fake: FakeNvml, **host: object) -> HostPage:
    return HostPage(Host.model_validate(host), Path("/sys/fs/cgroup"), fake.load, SystemClock())


def test_a_gpu_tells_all_that_it_knows_in_base_units() -> None:
    page = page_of(FakeNvml(FakeGpu("GPU-1"), FakeGpu("GPU-2", busy=100)), gpu_memory_ratio_max=0.9)
    assert value(page, "gpu_nvml_up") == 1
    assert value(page, "gpu_info", gpu="GPU-2", index="1", name="NVIDIA H100 80GB HBM3") == 1
    assert value(page, "gpu_utilization_ratio", gpu="GPU-1") == 0.37
    assert value(page, "gpu_utilization_ratio", gpu="GPU-2") == 1
    assert value(page, "gpu_memory_size_bytes", gpu="GPU-1") == 80_000
    assert value(page, "gpu_memory_used_bytes", gpu="GPU-1") == 20_000
    assert value(page, "gpu_temperature_celsius", gpu="GPU-1") == 61
    assert value(page, "gpu_power_watts", gpu="GPU-1") == 250.5
    assert value(page, "gpu_power_limit_watts", gpu="GPU-1") == 700
    assert value(page, "gpu_ecc_errors_total", gpu="GPU-1", kind="corrected") == 3
    assert value(page, "gpu_ecc_errors_total", gpu="GPU-1", kind="uncorrected") == 0
    assert value(page, "gpu_throttled", gpu="GPU-1", reason="sw_power_cap") == 1
    assert value(page, "gpu_throttled", gpu="GPU-1", reason="hw_thermal") == 0
    assert value(page, "gpu_xid_errors_total", gpu="GPU-1") == 0
    assert value(page, "gpu_last_xid", gpu="GPU-1") is None
    assert value(page, "gpu_memory_ratio_max") == 0.9
    assert value(page, "scrape_part_success", part="gpus") == 1


def test_no_driver_is_normal_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    page = HostPage(Host(), Path("/sys/fs/cgroup"), lambda: None, SystemClock())
    for _ in range(3):
        found = values(page.page())
        assert {name for name, _ in found if "_gpu_" in name} == {"airbag_host_gpu_nvml_up"}
        assert found["airbag_host_gpu_nvml_up", frozenset()] == 0
        assert found["airbag_host_scrape_part_success", frozenset({("part", "gpus")})] == 1
    [record] = caplog.records
    assert (record.levelname, record.__dict__["reason"]) == ("INFO", "no NVIDIA driver is installed here")


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a driver")
def test_the_library_is_not_there_without_a_driver() -> None:
    assert load_nvml() is None


def test_a_driver_that_comes_later_or_is_renewed_is_found(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeNvml(gpu := FakeGpu("GPU-1"))
    fake.down = UNKNOWN
    page = page_of(fake)
    assert value(page, "gpu_nvml_up") == 0
    fake.down = None
    assert value(page, "gpu_up", gpu="GPU-1") == 1
    fake.report(gpu, 63)
    assert value(page, "gpu_xid_errors_total", gpu="GPU-1") == 1
    fake.down = UNKNOWN
    assert value(page, "gpu_nvml_up") == 0
    fake.down = None
    assert value(page, "gpu_nvml_up") == 1
    assert fake.started == 2
    assert fake.listened == ["GPU-1", "GPU-1"]  # a library that was started anew knows nothing of before
    assert value(page, "gpu_xid_errors_total", gpu="GPU-1") == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION], ids=["not-supported", "no-permission"])
def test_what_a_gpu_does_not_have_is_absent_and_no_failure(code: int) -> None:
    without = dict.fromkeys(("utilization", "ecc", "throttle", "power limit", "processes", "events"), code)
    page = page_of(FakeNvml(FakeGpu("GPU-1", refuses=without)))
    for name in ("gpu_utilization_ratio", "gpu_power_limit_watts", "gpu_xid_errors_total"):
        assert value(page, name) is None
    assert value(page, "gpu_ecc_errors_total", kind="corrected") is None
    assert value(page, "gpu_throttled", reason="hw_thermal") is None
    assert value(page, "gpu_power_watts") == 250.5
    assert value(page, "gpu_up") == 1
    assert value(page, "scrape_part_success", part="gpus") == 1


def test_a_gpu_that_falls_off_the_bus_is_down_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeNvml(FakeGpu("GPU-1"), FakeGpu("GPU-2"))
    page = page_of(fake)
    assert value(page, "gpu_up", gpu="GPU-1") == 1
    fake.gpus[0].lost = True
    for _ in range(3):
        assert value(page, "gpu_up", gpu="GPU-1") == 0
    assert value(page, "gpu_memory_used_bytes", gpu="GPU-1") is None
    assert value(page, "gpu_memory_used_bytes", gpu="GPU-2") == 20_000
    assert value(page, "scrape_part_success", part="gpus") == 0
    assert [record.__dict__["what"] for record in caplog.records if record.levelno == logging.WARNING] == ["GPU 0"]


def test_errors_that_the_driver_reports_are_counted_with_the_last_one_s_number() -> None:
    fake = FakeNvml(one := FakeGpu("GPU-1"), other := FakeGpu("GPU-2"))
    page = page_of(fake)
    assert value(page, "gpu_xid_errors_total", gpu="GPU-1") == 0
    for gpu, xid in ((one, 31), (other, 48), (one, 79)):
        fake.report(gpu, xid)
    assert value(page, "gpu_xid_errors_total", gpu="GPU-1") == 2
    assert value(page, "gpu_last_xid", gpu="GPU-1") == 79
    assert value(page, "gpu_last_xid", gpu="GPU-2") == 48
    assert value(page, "gpu_xid_errors_total", gpu="GPU-2") == 1
    assert fake.listened == ["GPU-1", "GPU-2"]


def test_memory_of_a_gpu_is_the_target_s_or_other(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    watched = {"serving": "main", "target": "a", "pid_file": tmp_path / "pid"}
    gpu = FakeGpu("GPU-1", processes=[(os.getpid(), 700), (1, 20), (2, 3), (3, None)])
    page = page_of(FakeNvml(gpu), processes=(watched,))
    assert value(page, "process_up") == 1
    assert value(page, "gpu_process_memory_bytes", serving="main", target="a") == 700
    assert value(page, "gpu_process_memory_bytes", serving="other", target="other") == 23


def test_time_of_a_gpu_is_the_target_s_or_other_by_the_latest_sample_of_each(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    watched = {"serving": "main", "target": "a", "pid_file": tmp_path / "pid"}
    gpu = FakeGpu("GPU-1", processes=[(os.getpid(), 700), (1, 20), (2, 3)])
    gpu.samples = [(os.getpid(), 10, 100)]
    page = page_of(FakeNvml(gpu), processes=(watched,))
    assert value(page, "process_up") == 1
    gpu.samples += [(os.getpid(), 30, 40), (os.getpid(), 20, 60), (1, 30, 5), (2, 30, 10)]
    found = values(page.page())
    name, of = "airbag_host_gpu_process_utilization_ratio", {"gpu": "GPU-1"}
    assert found[name, frozenset({**of, "serving": "main", "target": "a"}.items())] == 0.4
    assert found[name, frozenset({**of, "serving": "other", "target": "other"}.items())] == pytest.approx(0.15)
    assert value(page, "gpu_process_utilization_ratio", serving="main") == 0  # nothing since


def test_a_process_that_does_nothing_on_its_gpu_shows_0_and_none_is_no_series() -> None:
    gpu = FakeGpu("GPU-1", processes=[(1, 20)])
    page = page_of(FakeNvml(gpu))
    assert value(page, "gpu_process_utilization_ratio", serving="other") == 0
    assert value(page, "scrape_part_success", part="gpus") == 1
    gpu.processes = []
    assert value(page, "gpu_process_utilization_ratio") is None


def test_a_driver_that_does_not_tell_processes_apart_in_time_still_tells_their_memory() -> None:
    """As with MIG: the instances of a card have no utilization by process."""
    gpu = FakeGpu("GPU-1", processes=[(1, 20)], refuses={"process utilization": NOT_SUPPORTED})
    page = page_of(FakeNvml(gpu))
    assert value(page, "gpu_process_utilization_ratio") is None
    assert value(page, "gpu_process_memory_bytes") == 20
    assert value(page, "scrape_part_success", part="gpus") == 1


def test_the_real_library_has_what_the_fake_pretends() -> None:
    for name in (name for name in vars(FakeNvml) if name.startswith("nvml")):
        assert callable(getattr(pynvml, name)), name
    assert nvml.ABSENT == (
        pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    )  # fmt: skip
    assert pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT).value == TIMEOUT
    assert nvml.IDLE == (pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_SUCCESS)
    sample = pynvml.c_nvmlProcessUtilizationSample_t()
    assert sample.pid == sample.timeStamp == sample.smUtil == 0
    assert nvml.ECC_KINDS == {
        "corrected": pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, "uncorrected": pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
    }  # fmt: skip
    assert (nvml.SINCE_DRIVER_LOADED, nvml.TEMPERATURE_OF_GPU) == (
        pynvml.NVML_VOLATILE_ECC,
        pynvml.NVML_TEMPERATURE_GPU,
    )
    assert pynvml.nvmlEventTypeXidCriticalError == nvml.XID_EVENT
    assert {
        "sw_power_cap": pynvml.nvmlClocksThrottleReasonSwPowerCap,
        "hw_slowdown": pynvml.nvmlClocksThrottleReasonHwSlowdown,
        "sync_boost": pynvml.nvmlClocksThrottleReasonSyncBoost,
        "sw_thermal": pynvml.nvmlClocksThrottleReasonSwThermalSlowdown,
        "hw_thermal": pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        "hw_power_brake": pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    } == nvml.THROTTLE_REASONS
    assert pynvml.c_nvmlUtilization_t().gpu == pynvml.c_nvmlMemory_t().used == pynvml.c_nvmlEventData_t().eventData == 0


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a driver")
def test_the_real_library_without_a_driver_is_normal() -> None:
    page = HostPage(Host(), Path("/sys/fs/cgroup"), lambda: cast("nvml.Nvml", pynvml), SystemClock())
    assert value(page, "gpu_nvml_up") == 0
    assert value(page, "scrape_part_success", part="gpus") == 1
