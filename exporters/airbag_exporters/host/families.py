"""Every family of the host exporter: its name, its help, its labels."""

from __future__ import annotations

from airbag.exposition import Family

_PROCESS = ("serving", "target")
_DISK = ("path",)
_GPU = ("gpu",)
_NONE: tuple[str, ...] = ()


def _gauge(name: str, text: str, labels: tuple[str, ...] = _NONE) -> Family:
    return Family(f"airbag_host_{name}", "gauge", text, labels)


def _counter(name: str, text: str, labels: tuple[str, ...]) -> Family:
    return Family(f"airbag_host_{name}_total", "counter", text, labels)


PART = _gauge("scrape_part_success", "Whether this part of the scrape could be read as a whole.", ("part",))
DURATION = _gauge("scrape_part_duration_seconds", "How long this part took when it last ended.", ("part",))

UP = _gauge("process_up", "Whether the process was found.", _PROCESS)
RESTARTS = _counter("process_restarts", "Times that another process was found in the place of the last one.", _PROCESS)
CPU = _counter(
    "process_cpu_seconds", "CPU time of the process and of those that were in its place before.", (*_PROCESS, "mode")
)
STARTED = _gauge("process_start_time_seconds", "When the process started.", _PROCESS)
RESIDENT = _gauge("process_resident_memory_bytes", "Memory that the process holds.", _PROCESS)
THREADS = _gauge("process_threads", "Threads of the process.", _PROCESS)
DESCRIPTORS = _gauge("process_open_descriptors", "Files and connections that the process has open.", _PROCESS)
DESCRIPTORS_MAX = _gauge("process_max_descriptors", "How many it may have open (the soft limit).", _PROCESS)
LIMIT = _gauge(
    "process_memory_limit_bytes",
    "What its control group may hold; the machine's memory where that is less.",
    _PROCESS,
)
RESIDENT_MAX = _gauge("process_resident_memory_max_bytes", "Resident memory above which people are told.", _PROCESS)
DESCRIPTORS_RATIO_MAX = _gauge(
    "process_descriptors_ratio_max", "Share of the descriptors above which people are told.", _PROCESS
)

MEMORY = _gauge("memory_size_bytes", "Memory of the machine.")
AVAILABLE = _gauge("memory_available_bytes", "What processes could still get without swapping.")
MEMORY_RATIO_MAX = _gauge("memory_ratio_max", "Share of the machine's memory in use above which people are told.")

DISK_SIZE = _gauge("disk_size_bytes", "Size of the file system under this path.", _DISK)
DISK_FREE = _gauge("disk_free_bytes", "What an ordinary user may still write there.", _DISK)
INODES = _gauge("disk_inodes", "Files that the file system can hold.", _DISK)
INODES_FREE = _gauge("disk_inodes_free", "Files that an ordinary user may still make there.", _DISK)
DISK_FREE_RATIO_MIN = _gauge(
    "disk_free_ratio_min", "Free share, of bytes or inodes, below which people are told.", ("severity",)
)

NVML_UP = _gauge("gpu_nvml_up", "Whether NVIDIA's management library answers; 0 is normal without a GPU.")
GPU_UP = _gauge("gpu_up", "Whether the GPU answers.", _GPU)
GPU_INFO = _gauge("gpu_info", "Which GPU this is; `gpu` is its UUID.", (*_GPU, "index", "name"))
GPU_BUSY = _gauge("gpu_utilization_ratio", "Share of the last moment in which the GPU worked.", _GPU)
GPU_MEMORY = _gauge("gpu_memory_size_bytes", "Memory of the GPU.", _GPU)
GPU_MEMORY_USED = _gauge("gpu_memory_used_bytes", "Memory of the GPU that is taken.", _GPU)
GPU_PROCESS_MEMORY = _gauge(
    "gpu_process_memory_bytes", "Memory of the GPU by the process that took it.", (*_GPU, *_PROCESS)
)
GPU_PROCESS_BUSY = _gauge(
    "gpu_process_utilization_ratio", "Share of the GPU's time by the process that had it.", (*_GPU, *_PROCESS)
)
GPU_TEMPERATURE = _gauge("gpu_temperature_celsius", "Temperature of the GPU.", _GPU)
GPU_POWER = _gauge("gpu_power_watts", "Power that the GPU draws.", _GPU)
GPU_POWER_LIMIT = _gauge("gpu_power_limit_watts", "Power that it may draw.", _GPU)
GPU_THROTTLED = _gauge("gpu_throttled", "1 while the clocks are held down for this reason.", (*_GPU, "reason"))
GPU_ECC = _counter("gpu_ecc_errors", "Memory errors since the driver was loaded.", (*_GPU, "kind"))
GPU_XIDS = _counter("gpu_xid_errors", "Errors that the driver reported (XID) since the exporter looks.", _GPU)
GPU_LAST_XID = _gauge("gpu_last_xid", "Number of the latest of them (NVIDIA: XID Errors).", _GPU)
GPU_MEMORY_RATIO_MAX = _gauge("gpu_memory_ratio_max", "Share of a GPU's memory in use above which people are told.")

OF_PROCESSES = (UP, RESTARTS, CPU, STARTED, RESIDENT, THREADS, DESCRIPTORS, DESCRIPTORS_MAX, LIMIT, RESIDENT_MAX)
OF_MACHINE = (MEMORY, AVAILABLE)
OF_DISKS = (DISK_SIZE, DISK_FREE, INODES, INODES_FREE)
OF_GPUS = (
    NVML_UP, GPU_UP, GPU_INFO, GPU_BUSY, GPU_MEMORY, GPU_MEMORY_USED, GPU_PROCESS_MEMORY, GPU_PROCESS_BUSY,
    GPU_TEMPERATURE, GPU_POWER, GPU_POWER_LIMIT, GPU_THROTTLED, GPU_ECC, GPU_XIDS, GPU_LAST_XID,
)  # fmt: skip
LIMITS = (DESCRIPTORS_RATIO_MAX, MEMORY_RATIO_MAX, DISK_FREE_RATIO_MIN, GPU_MEMORY_RATIO_MAX)
ALL = (PART, DURATION, *OF_PROCESSES, *OF_MACHINE, *OF_DISKS, *OF_GPUS, *LIMITS)
