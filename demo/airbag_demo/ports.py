"""Which port each process of the stack listens on: the standard ones, or free ones that no other stack takes."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from airbag.errors import StartError
from airbag.http import Address

STANDARD: Mapping[str, int] = {
    "tf-serving-grpc": 8500,
    "tf-serving-rest": 8501,
    "serving-exporter": 9810,
    "quality-exporter": 9811,
    "host-exporter": 9812,
    "receiver": 9815,
    "people": 9820,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
}

# Below the range from which the kernel takes ports for outgoing connections, so that none of those can get in between.
_FREE = range(20000, 32000)


def is_free(port: int) -> bool:
    """Whether a process could listen on that loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def check_free(ports: Mapping[str, int]) -> None:
    """StartError that names every busy port at once."""
    busy = [f"{port} ({name})" for name, port in ports.items() if not is_free(port)]
    if busy:
        raise StartError(
            f"busy on 127.0.0.1: {', '.join(busy)}. End what listens there (`ss -ltnp` shows it), "
            "or let Airbag choose free ports with --ports free"
        )


@contextmanager
def free_ports() -> Iterator[dict[str, int]]:
    """A free port for every name, held against other stacks of this machine until the context ends."""
    with ExitStack() as held:
        yield {name: claim(held) for name in STANDARD}


def claim(held: ExitStack) -> int:
    """One free port, kept from everybody else who asks here until `held` is closed. StartError when none is found."""
    folder = Path(tempfile.gettempdir()) / "airbag-ports"
    folder.mkdir(exist_ok=True)
    for port in random.sample(_FREE, 200):
        lock = (folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        if is_free(port):
            held.enter_context(lock)
            return port
        lock.close()
    raise StartError(f"no free port among 200 tried in {_FREE.start}-{_FREE.stop}")


def addresses(ports: Mapping[str, int]) -> dict[str, str]:
    """Each service address of the shipped configuration files and the local one that takes its place."""
    local = {name: str(Address("127.0.0.1", port)) for name, port in ports.items()}
    tokens = {f"{name}:{STANDARD[name]}": address for name, address in local.items() if not name.startswith("tf-")}
    return tokens | {"tf-serving:8500": local["tf-serving-grpc"], "tf-serving:8501": local["tf-serving-rest"]}
