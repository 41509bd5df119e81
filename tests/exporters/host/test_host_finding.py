"""How the server's process is found: by its name, the port it listens on, its container or control group."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from airbag.errors import ConfigError
from airbag_exporters.config import Host, WatchedProcess, load_exporters
from airbag_exporters.host.containers import is_in
from airbag_exporters.host.finding import CannotTell, find, running
from tests.exporters.host.test_host_process import configure
from tests.fakes.binaries import ROOT

ID = "4fe1" * 16
OTHER_ID = "0bad" * 16
LISTEN = """
import socket, sys
family, address = (socket.AF_INET6, "::1") if sys.argv[1] == "6" else (socket.AF_INET, "127.0.0.1")
listener = socket.socket(family)
listener.bind((address, int(sys.argv[2])))
listener.listen()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def listening(*before: str, version: str = "4", port: int = 0) -> Iterator[tuple[int, int]]:
    """Port and pid of a process that listens, started through the words `before`."""
    words = [*before, sys.executable, "-c", LISTEN, version, str(port)]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin
    assert child.stdout
    try:
        yield int(child.stdout.readline()), child.pid
    finally:
        child.stdin.close()
        child.wait(30)
        child.stdout.close()


def found(runtime: Path | None = None, **how: object) -> list[int]:
    entry = WatchedProcess.model_validate({"serving": "main", "target": "a", **how})
    return [process.pid for process in find(entry, running(), runtime)]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as each:
            each.bind(("::1", 0))
    except OSError:
        return False
    return True


def can_unshare() -> bool:
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize("version", ["4", pytest.param("6", marks=IPV6)])
def test_a_port_is_the_process_that_listens_on_it_and_not_who_talks_to_it(version: str) -> None:
    address = "::1" if version == "6" else "127.0.0.1"
    with listening(version=version) as (port, pid), socket.create_connection((address, port)) as client:
        assert found(port=port) == [pid]
        assert found(port=client.getsockname()[1]) == []
    assert found(port=port) == []


@pytest.mark.skipif(not can_unshare(), reason="making a network namespace takes root")
def test_a_port_inside_another_network_namespace_is_found_there_and_told_apart_by_what_else_is_given() -> None:
    loopback = ("unshare", "--net", "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$0" "$@"')
    with listening() as (port, outside), listening(*loopback, port=port) as (same, inside):
        assert same == port
        assert Path(f"/proc/{inside}/ns/net").readlink() != Path(f"/proc/{outside}/ns/net").readlink()
        assert found(port=port) == [outside, inside]
        assert found(port=port, command=rf" 4 {port}$") == [inside]


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_a_listener_that_the_kernel_hides_is_not_called_down_but_unknown_and_the_remedy_is_told() -> None:
    script = (
        "import os, sys; from tests.exporters.host.test_host_finding import CannotTell, found\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(found(port=int(sys.argv[2])))\n"
        "try:\n    found(port=int(sys.argv[1]))\n"
        "except CannotTell as error:\n    print(error)\n"
    )
    with listening() as (port, _), socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        words = [sys.executable, "-c", script, str(port), str(bound.getsockname()[1])]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    none, _, told = done.stdout.partition("\n")
    assert none == "[]", done.stderr
    assert told.startswith(f"something listens on port {port}, and the kernel hides from this user")
    assert "run the exporter as the server's user, or as root" in told


def test_a_name_is_the_whole_name_of_the_program_also_where_the_kernel_cuts_it(tmp_path: Path) -> None:
    program = tmp_path / "airbag_test_model_server"  # longer than the kernel's 15 letters
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "600"])
    try:
        assert psutil.Process(child.pid).exe() != str(program)
        assert found(name="airbag_test_model_server") == [child.pid]
        assert found(name=r"airbag_test_(model|other)_server") == [child.pid]
        assert found(name="airbag_test_model") == []
        assert found(name="airbag_test_model_server", argument="601") == []
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "listing",
    [
        f"12:memory:/docker/{ID}\n0::/docker/{ID}\n",
        f"0::/system.slice/docker-{ID}.scope\n",
        f"0::/../docker-{ID}.scope\n",
        f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f_2.slice/cri-containerd-{ID}.scope\n",
        f"4:memory:/kubepods/burstable/pod1f-2/{ID}\n",
        f"0::/kubepods.slice/kubepods-pod1f_2.slice/crio-{ID}.scope\n",
        f"0::/machine.slice/libpod-{ID}.scope/container\n",
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n",
    ],
    ids=["docker-1", "docker-2", "docker-seen-from-a-container", "containerd-2", "containerd-1", "cri-o", "podman",
         "podman-rootless"],
)  # fmt: skip
def test_the_control_group_says_which_container_a_process_is_in(listing: str) -> None:
    assert is_in(ID, listing)
    assert is_in(ID[:12], listing)
    assert not is_in(ID[4:16] + "0", listing)
    assert not is_in(OTHER_ID, listing)


@pytest.mark.parametrize(
    "listing",
    [f"0::/machine.slice/libpod-conmon-{ID}.scope\n", f"0::/x/crio-conmon-{ID}.scope\n", "0::/\n", "", f"0::/a{ID}\n"],
    ids=["podman's monitor", "cri-o's monitor", "none", "no control groups", "a longer number"],
)
def test_what_runs_beside_a_container_is_not_in_it(listing: str) -> None:
    assert not is_in(ID, listing)


class Machine:
    """A /proc of links to this machine's, but for the control groups, which are what the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for each in Path("/proc").iterdir():
            if not each.name.isdigit():
                (folder / each.name).symlink_to(each)

    def put(self, pid: int, listing: str) -> None:
        """Show this process, in this control group."""
        (self.folder / str(pid)).mkdir()
        for name in ("stat", "status", "cmdline", "net", "fd", "comm"):
            (self.folder / str(pid) / name).symlink_to(f"/proc/{pid}/{name}")
        (self.folder / str(pid) / "cgroup").write_text(listing)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (folder := tmp_path / "proc").mkdir()
    made = Machine(folder)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(folder))  # what HOST_PROC does
    return made


def test_a_container_is_found_by_its_id_its_group_or_its_port(machine: Machine) -> None:
    with listening() as (port, server), listening() as (_, other):
        machine.put(server, f"0::/airbag-serving.slice/docker-{ID}.scope\n")
        machine.put(other, f"0::/system.slice/docker-{OTHER_ID}.scope\n")
        assert found(container=ID[:12]) == [server]
        assert found(cgroup=r"^/airbag-serving\.slice/") == [server]
        assert found(cgroup=r"^/system\.slice/", container=ID) == []
        assert found(container=OTHER_ID, port=port) == []
        assert found(container=ID, port=port, name=r"python.*") == [server]


class Runtime(BaseHTTPRequestHandler):
    """Docker's API, as much as is asked of it."""

    containers: dict[str, tuple[str, bool]]
    broken: int | None

    def do_GET(self) -> None:
        name = self.path.removeprefix("/containers/").removesuffix("/json")
        known = self.containers.get(name)
        status = self.broken or (200 if known else 404)
        body = json.dumps({"Id": known[0], "State": {"Running": known[1]}} if known else {"message": "none"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a local socket"

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def runtime(path: Path, handler: type[Runtime]) -> Iterator[None]:
    with socketserver.ThreadingUnixStreamServer(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_container_s_name_is_asked_of_the_runtime_each_time_for_it_is_made_anew(
    machine: Machine, tmp_path: Path
) -> None:
    class Docker(Runtime):
        containers = {"tf-serving": (ID, True)}  # noqa: RUF012 - the handler's class is the state
        broken = None

    path = tmp_path / "docker.sock"
    with runtime(path, Docker), listening() as (_, first), listening() as (_, second):
        machine.put(first, f"0::/docker/{ID}\n")
        machine.put(second, f"0::/docker/{OTHER_ID}\n")
        assert found(path, container="tf-serving") == [first]
        Docker.containers["tf-serving"] = (OTHER_ID, True)
        assert found(path, container="tf-serving") == [second]
        Docker.containers["tf-serving"] = (OTHER_ID, False)
        assert found(path, container="tf-serving") == []
        assert found(path, container="another") == []
        Docker.broken = 500
        with pytest.raises(CannotTell, match=r"docker\.sock answers 500"):
            found(path, container="tf-serving")
    with pytest.raises(CannotTell, match=r"docker\.sock does not answer"):
        found(path, container="tf-serving")


def test_a_name_of_a_container_needs_the_runtime_s_socket_and_an_id_does_not() -> None:
    by_id = WatchedProcess(serving="main", target="a", container=ID[:12])
    assert Host(processes=(by_id,)).container_socket is None
    by_name = by_id.model_copy(update={"container": "tf-serving"})
    with pytest.raises(ValueError, match="only the runtime knows names: give its socket as `container_socket`"):
        Host(processes=(by_name,))
    assert Host(processes=(by_name,), container_socket=Path("/run/docker.sock")).container_socket


def test_every_wrong_key_is_told_with_its_place(tmp_path: Path) -> None:
    processes = '[{serving: main, target: a, port: 70000, container: "-x", name: "(x", cgroup: "(y"}]'
    with pytest.raises(ConfigError) as caught:
        load_exporters(configure(tmp_path, f"{{processes: {processes}}}"))
    for key in ("port", "container", "name", "cgroup"):
        assert f"host.processes[0].{key}" in str(caught.value)
