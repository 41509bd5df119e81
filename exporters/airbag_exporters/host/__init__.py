"""The host exporter: the server's process, memory, disks and GPUs, as the kernel and NVML see them."""
