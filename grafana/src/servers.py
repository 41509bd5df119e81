"""The processes of TF Serving, the machines they run on, and their GPUs: utilisation left, saturation right."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask, Column
from grafana.src.page import Page
from grafana.src.panels import graph, number, rows

_OF = 'serving=~"$serving",target=~"$target"'
_GPU = "max by (instance, gpu)"


def page() -> Page:
    made = Page(
        "airbag-servers", "Airbag / Servers and GPUs", "What TF Serving's processes and their machines use, and what is left.",
        [variables.datasource(), variables.serving(several=True),
         variables.of_labels("target", "Server", f"label_values(airbag_tfs_up{{{variables.GROUP}}}, target)", several=True)],
        marks='serving=~"$serving",model_name=~".+"',
    )  # fmt: skip
    made.add(
        4, house.STRIP,
        number("Servers up", "Servers that answer Airbag. Good: all.", "short",
               Ask(f"sum(max by (serving, target) (airbag_tfs_up{{{_OF}}}))")),
        number("Servers down", "Servers that do not answer. Good: 0.", "short",
               Ask(f"count(max by (serving, target) (airbag_tfs_up{{{_OF}}}) == 0) or vector(0)"), house.ZERO_IS_GOOD),
        number("Restarts", "Processes found anew in the time shown. Good: 0, or as many as you know of.", "short",
               Ask(f"round(sum(increase(airbag_host_process_restarts_total{{{_OF}}}[$__range])))"), house.ZERO_IS_GOOD, decimals=0),
        number("Memory of limit", "The fullest process, as a share of what it may hold; at 100 % people are told. Good: green.",
               "percentunit", Ask(f"max(airbag_host_process_resident_memory_bytes{{{_OF}}} / "
                                  f"(airbag_host_process_resident_memory_max_bytes{{{_OF}}} > 0))"), house.OF_LIMIT, decimals=0),
        number("Model store free", "The fullest file system that holds models. Good: above the warning of exporters.yml.", "percentunit",
               Ask("min(airbag_host_disk_free_bytes / (airbag_host_disk_size_bytes > 0))"), decimals=0),
        number("GPUs", "GPUs that NVIDIA's library tells of. Good: as many as are built in.", "short",
               Ask("count(airbag_host_gpu_up) or vector(0)")),
    )  # fmt: skip
    made.add(
        24, 7,
        rows("Servers", "A row for each TF Serving process. Good: up, and nothing near its limit.",
             [Ask(f"max by (serving, target) (airbag_tfs_up{{{_OF}}})", name="Up"),
              Ask(f"max by (serving, target) (airbag_tfs_models{{{_OF}}})", name="Models"),
              Ask(f"sum by (serving, target) (rate(airbag_tfs_requests_total{{{_OF}}}[$__rate_interval]))", name="Requests"),
              Ask(f"sum by (serving, target) (rate(airbag_host_process_cpu_seconds_total{{{_OF}}}[1m]))", name="CPU cores"),
              Ask(f"max by (serving, target) (airbag_host_process_resident_memory_bytes{{{_OF}}})", name="Memory"),
              Ask(f"max by (serving, target) (airbag_host_process_start_time_seconds{{{_OF}}}) * 1000", name="Started"),
              Ask(f"max by (serving, target) (airbag_tfs_scrape_duration_seconds{{{_OF}}})", name="Poll takes")],
             [Column("Up", mappings=((1, "up", house.GOOD), (0, "down", house.BAD)), width=70), Column("Models", "short"),
              Column("Requests", "reqps", decimals=1), Column("CPU cores", "short", decimals=2), Column("Memory", "bytes"),
              Column("Started", "dateTimeFromNow"), Column("Poll takes", "s")],
             labels=["target", "serving"], sort="Up", ascending=True),
    )  # fmt: skip
    made.row("Process: use left, limits right")
    made.add(
        12, house.GRAPH,
        graph("CPU", "Cores in use. Good: as usual at this traffic.", "short",
              Ask(f"sum by (target, mode) (rate(airbag_host_process_cpu_seconds_total{{{_OF}}}[1m]))", "{{target}} {{mode}}"), stacked=True),
        graph("Memory", "Resident memory. Good: flat between releases, below the dashed line.", "bytes",
              Ask(f"max by (target) (airbag_host_process_resident_memory_bytes{{{_OF}}})", "{{target}}"),
              Ask(f"max by (target) (airbag_host_process_resident_memory_max_bytes{{{_OF}}})", "limit of {{target}}")),
        graph("Threads", "Threads of the process. Good: flat.", "short",
              Ask(f"max by (target) (airbag_host_process_threads{{{_OF}}})", "{{target}}")),
        graph("Descriptors", "Open files and connections, as a share of how many may be. Good: flat, below the dashed line.", "percentunit",
              Ask(f"max by (target) (airbag_host_process_open_descriptors{{{_OF}}} / (airbag_host_process_max_descriptors{{{_OF}}} > 0))",
                  "{{target}}"),
              Ask(f"max by (target) (airbag_host_process_descriptors_ratio_max{{{_OF}}})", "limit of {{target}}")),
    )  # fmt: skip
    made.row("Machine and model store")
    made.add(
        8, house.GRAPH,
        graph("Machine memory", "Share in use. Good: below the dashed line.", "percentunit",
              Ask("max by (instance) (1 - airbag_host_memory_available_bytes / airbag_host_memory_size_bytes)", "{{instance}}"),
              Ask("max(airbag_host_memory_ratio_max)", "limit"), high=1),
        graph("Model store, free", "Share of the disk that is free. Good: above the dashed lines.", "percentunit",
              Ask("min by (instance, path) (airbag_host_disk_free_bytes / (airbag_host_disk_size_bytes > 0))", "{{path}} on {{instance}}"),
              Ask("max by (severity) (airbag_host_disk_free_ratio_min)", "limit, {{severity}}"), high=1),
        graph("Models on disk", "Length of all versions of each model. Good: bounded by retention.", "bytes",
              Ask('max by (serving, model_name) (airbag_repo_size_bytes{serving=~"$serving"})', "{{serving}} {{model_name}}"), stacked=True),
    )  # fmt: skip
    made.row("GPUs: use left, limits right")
    made.add(
        12, house.GRAPH,
        graph("GPU utilisation", "Share of time in which the GPU computed. Good: as usual at this traffic.", "percentunit",
              Ask(f"{_GPU} (airbag_host_gpu_utilization_ratio)", "{{gpu}}"), high=1),
        graph("GPU memory", "Share in use. Good: below the dashed line.", "percentunit",
              Ask(f"{_GPU} (airbag_host_gpu_memory_used_bytes / (airbag_host_gpu_memory_size_bytes > 0))", "{{gpu}}"),
              Ask("max(airbag_host_gpu_memory_ratio_max)", "limit"), high=1),
        graph("GPU power", "Watts drawn. Good: below the dashed line of the board.", "watt",
              Ask(f"{_GPU} (airbag_host_gpu_power_watts)", "{{gpu}}"), Ask(f"{_GPU} (airbag_host_gpu_power_limit_watts)", "limit of {{gpu}}")),
        graph("GPU temperature", "Degrees Celsius. Good: flat, and nothing throttled.", "celsius",
              Ask(f"{_GPU} (airbag_host_gpu_temperature_celsius)", "{{gpu}}")),
        graph("GPU throttled", "1 while the clock is held back, by reason. Good: nothing.", "none",
              Ask("max by (instance, gpu, reason) (airbag_host_gpu_throttled)", "{{gpu}} {{reason}}"), high=1),
        graph("GPU errors", "Xid errors and uncorrected memory errors. Good: none.", "short",
              Ask("sum by (instance, gpu) (increase(airbag_host_gpu_xid_errors_total[$__rate_interval]))", "Xid on {{gpu}}"),
              Ask('sum by (instance, gpu) (increase(airbag_host_gpu_ecc_errors_total{kind="uncorrected"}[$__rate_interval]))',
                  "memory of {{gpu}}"), bars=True),
    )  # fmt: skip
    return made
