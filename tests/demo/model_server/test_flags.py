"""The command line is read as the real server reads it."""

from __future__ import annotations

from airbag_demo.model_server.flags import parse, usage


def test_the_defaults_are_the_real_servers() -> None:
    flags = parse([]).flags
    assert (flags.port, flags.rest_api_port, flags.model_name, flags.file_system_poll_wait_seconds) == (
        8500,
        0,
        "default",
        1,
    )
    assert (flags.max_num_load_retries, flags.load_retry_interval_micros) == (5, 60_000_000)
    assert (flags.num_load_threads, flags.num_unload_threads, flags.model_config_file_poll_wait_seconds) == (0, 0, 0)
    assert (flags.enable_model_warmup, flags.allow_version_labels_for_unavailable_models) == (True, False)
    assert flags.bind_address == "127.0.0.1"


def test_values_are_read_by_the_kind_of_the_flag() -> None:
    line = parse(["--port=9000", "--model_name=a=b", "--enable_model_warmup=false",
                  "--allow_version_labels_for_unavailable_models", "--port=9001"])  # fmt: skip
    assert (line.flags.port, line.flags.model_name, line.flags.enable_model_warmup) == (9001, "a=b", False)
    assert line.flags.allow_version_labels_for_unavailable_models
    assert line.complaints == ()


def test_an_unknown_flag_is_only_complained_about() -> None:
    line = parse(["--monitoring_config_fiel=x", "stray", "--port=9000"])
    assert line.complaints == ("unknown argument: --monitoring_config_fiel=x", "unknown argument: stray")
    assert line.flags.port == 9000
    assert not line.error


def test_a_value_of_the_wrong_kind_stops_the_server() -> None:
    assert parse(["--port=many"]).error == "Couldn't interpret value many for flag port."


def test_the_usage_says_that_the_real_server_listens_everywhere() -> None:
    line = next(line for line in usage("x").splitlines() if "bind_address" in line)
    assert "the real server listens on all interfaces" in line
