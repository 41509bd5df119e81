"""How the process starts, refuses to start, and ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from airbag_demo.model_server import config
from airbag_demo.model_server.flags import parse
from airbag_demo.model_server.status import StatusError
from tests.demo.model_server.client import Client, models_config
from tests.fakes import model_server, saved_models
from tests.fakes.ports import free_port
from tests.fakes.wait import until

QUICK = ("--max_num_load_retries=0",)


def ended(log: Path, *flags: str) -> tuple[int, str]:
    """Run the server until it ends by itself: its exit code and all it said."""
    with log.open("wb") as sink:
        process = model_server.start(list(flags), sink.fileno())
        try:
            return process.wait(60), log.read_text(errors="replace")
        finally:
            process.kill()
            process.wait()


def test_a_typo_in_a_flag_does_not_stop_it_and_the_banner_says_what_it_is(tmp_path: Path) -> None:
    """The same server shows the end: SIGTERM ends the process at once, by the signal's own action."""
    saved_models.add_model(tmp_path / "m", 1)
    with model_server.running("--enable_batchnig=true", base_path=tmp_path / "m") as server:
        with Client(server) as client:
            assert client.predict().model_spec.version.value == 1
        assert "unknown argument: --enable_batchnig=true" in server.log()
        assert "usage: " in server.log()
        assert "Airbag's local model server" in server.log()
        assert "not TensorFlow Serving" in server.log()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(3) == -signal.SIGTERM


def test_ports_stay_closed_until_there_is_a_version_and_the_start_waits_for_ever(tmp_path: Path) -> None:
    with model_server.running(base_path=tmp_path / "m", wait=False) as server:
        until(lambda: "Could not find base path" in server.log(), timeout=30, what="the first look")
        assert not model_server.answers(server.grpc_port)
        assert not model_server.answers(server.rest_port)
        saved_models.add_model(tmp_path / "m", 1)
        until(server.is_open, timeout=20, what="the ports")


def test_a_model_that_fails_at_the_start_ends_the_process_with_255(tmp_path: Path) -> None:
    saved_models.without_graph(tmp_path / "m", 1)
    base = f"--model_base_path={tmp_path / 'm'}"
    code, said = ended(tmp_path / "log", f"--port={free_port()}", base, *QUICK)
    assert code == 255
    assert "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: default" in said


def test_a_label_in_the_file_ends_the_process_unless_the_flag_allows_it(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    file = tmp_path / "models.config"
    file.write_text(models_config(tmp_path, {"m": "version_labels { key: 'stable' value: 1 }"}))
    port = f"--port={free_port()}"
    code, said = ended(tmp_path / "log", port, f"--model_config_file={file}")
    assert code == 255
    assert "Failed to start server" in said
    assert "Request to assign label to version 1 of model m, which is not currently available for inference" in said


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = ended(tmp_path / "log", f"--port={port}", f"--model_base_path={tmp_path / 'm'}")
    assert code == 255
    assert f"cannot listen for gRPC on 127.0.0.1:{port}: is it in use?" in said


def test_a_broken_monitoring_file_leaves_grpc_serving_and_rest_closed(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    broken = tmp_path / "monitoring.config"
    broken.write_text("prometheus_config { enabel: true }")
    flag = f"--monitoring_config_file={broken}"
    with model_server.running(flag, base_path=tmp_path / "m", wait=False) as server:
        until(lambda: model_server.answers(server.grpc_port), timeout=30, what="the gRPC port")
        until(lambda: "Invalid protobuf file" in server.log(), what="the complaint")
        assert not model_server.answers(server.rest_port)
        with Client(server) as client:
            assert client.predict().model_spec.version.value == 1


def test_without_any_model_it_says_so_and_help_lists_the_flags(tmp_path: Path) -> None:
    code, said = ended(tmp_path / "log")
    assert code == 255
    assert "Both server_options.model_base_path and server_options.model_config_file are empty!" in said
    code, said = ended(tmp_path / "log", "--help")
    assert code == 0
    assert "--model_config_file_poll_wait_seconds=0" in said


def test_reading_the_flags_imports_no_tensorflow() -> None:
    code = "import sys, airbag_demo.model_server.main; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_rest_port_in_use_leaves_grpc_serving(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        flag = f"--rest_api_port={taken.getsockname()[1]}"
        with model_server.running(flag, base_path=tmp_path / "m", wait=False) as server:
            until(lambda: "Failed to start HTTP Server at localhost:" in server.log(), timeout=30, what="the complaint")
            with Client(server) as client:
                assert client.predict().model_spec.version.value == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port=0"], "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."),
        (["--batching_parameters_file=/nowhere"],
         "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."),
        (["--enable_batching", "--batching_parameters_file={folder}/threads"],
         "num_batch_threads must be positive; was 0"),
        (["--enable_batching", "--batching_parameters_file={folder}/wrong"], "Invalid protobuf file: '{folder}/wrong'"),
        (["--model_config_file={folder}/empty"], "{folder}/empty; Invalid argument"),
        (["--model_config_file={folder}/binary"], "Invalid protobuf file: '{folder}/binary'"),
    ],
)  # fmt: skip
def test_flags_and_files_that_make_no_sense_end_the_process_before_anything_loads(
    tmp_path: Path, flags: list[str], said: str
) -> None:
    (tmp_path / "threads").write_text("num_batch_threads { value: 0 }")
    (tmp_path / "wrong").write_text("max_batch_size: 8")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    line = parse([f"--model_base_path={tmp_path}", *(flag.format(folder=tmp_path) for flag in flags)])
    with pytest.raises(StatusError) as caught:
        _ = config.first(line.flags), config.batching(line.flags)
    assert str(caught.value.status) == f"INVALID_ARGUMENT: {said.format(folder=tmp_path)}"


def test_a_file_that_is_not_there_is_not_found() -> None:
    with pytest.raises(StatusError) as caught:
        config.first(parse(["--model_config_file=/nowhere"]).flags)
    assert str(caught.value.status) == "NOT_FOUND: /nowhere; No such file or directory"


def test_an_unlisted_set_of_tags_cannot_be_loaded(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    flags = ("--saved_model_tags=serve,gpu", f"--model_base_path={tmp_path / 'm'}", f"--port={free_port()}", *QUICK)
    code, said = ended(tmp_path / "log", *flags)
    assert code == 255
    assert "Could not find meta graph def matching supplied tags: { gpu serve }." in said
