"""What every exporter does before they serve."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporters.processes import command

KINDS = pytest.mark.parametrize("kind", ["serving", "quality", "host"])
SHIPPED = Path(__file__).parents[2] / "exporters" / "exporters.yml"


def run(kind: str, config: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(kind, config, *flags), capture_output=True, text=True, timeout=60)


@KINDS
def test_the_shipped_file_is_valid(kind: str) -> None:
    done = run(kind, SHIPPED, "--config.check")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{SHIPPED}: OK")


@KINDS
@pytest.mark.parametrize("flags", [[], ["--config.check"]])
def test_a_bad_file_is_refused_with_every_problem(kind: str, flags: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "exporters.yml"
    bad.write_text(
        "servings: [{name: main, targets: [{name: a, grpc: x}], models: [{nam: m}]}]\nquality: {label_ttl: 5}\n"
    )
    done = run(kind, bad, *flags)
    assert done.returncode == 1
    for place in ("servings[0].targets[0].grpc", "servings[0].models[0].nam", "quality.label_ttl"):
        assert place in done.stderr


@KINDS
def test_a_token_that_is_not_there_is_refused_by_the_exporter_that_needs_it_and_by_no_other(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text(SHIPPED.read_text().replace("\nquality:\n", "\nquality:\n  token: {file: token}\n"))
    done = run(kind, path, "--config.check")
    assert done.returncode == (1 if kind == "quality" else 0)
    assert (str(tmp_path / "token") in done.stderr) is (kind == "quality")


@KINDS
def test_a_busy_port_gives_one_clear_message(kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(kind, SHIPPED, f"--web.listen-address={address}")
    assert done.returncode == 1
    assert f"cannot listen on {address}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "forbidden"),
    [
        ("serving", "tensorflow sklearn fastapi"),
        ("quality", "tensorflow sklearn fastapi grpc pandas pyarrow sacrebleu redis"),
        ("host", "tensorflow sklearn fastapi grpc numpy redis pynvml"),
    ],
)
def test_no_exporter_imports_what_it_cannot_afford(kind: str, forbidden: str) -> None:
    script = (
        f"import sys, airbag.cli, airbag_exporters.commands, airbag_exporters.{kind}.process\n"
        f"print(*sorted(set({forbidden!r}.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
