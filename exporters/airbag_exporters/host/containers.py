"""Which container a process is in. The kernel knows containers by their control group; names only the runtime knows."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path
from urllib.parse import quote

_PATIENCE = 1.0
_FULL_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class RuntimeSilent(Exception):
    """The container runtime does not say which container has this name."""


def groups(listing: str) -> list[str]:
    """The control groups of a process, from the text of /proc/PID/cgroup (version 1 or 2)."""
    return [line.split(":", 2)[2] for line in listing.splitlines() if line.count(":") >= 2]


def is_in(container: str, listing: str) -> bool:
    """Whether a process with this listing is in the container with this id, or beginning of one.

    Docker, containerd, CRI-O and Podman all write the whole id into the group's path: /docker/ID, docker-ID.scope,
    cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, kubepods/.../ID. The runtime's own process beside a
    container (crio-conmon-ID.scope) is not in it.
    """
    for path in groups(listing):
        for part in path.split("/"):
            if "conmon" not in part and any(found.startswith(container) for found in _FULL_ID.findall(part)):
                return True
    return False


def id_of(name: str, runtime: Path) -> str | None:
    """The id of the running container with this name, asked of Docker's API, which Podman speaks too, on its socket.

    None when no such container runs. Raises RuntimeSilent.
    """
    connection = _UnixConnection(runtime)
    try:
        connection.request("GET", f"/containers/{quote(name, safe='')}/json", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status != http.client.OK:
            raise RuntimeSilent(f"the container runtime at {runtime} answers {answer.status} {answer.reason}")
        told = json.loads(body)
        found, runs = told["Id"], told["State"]["Running"]
    except (OSError, http.client.HTTPException) as error:
        raise RuntimeSilent(f"the container runtime at {runtime} does not answer: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeSilent(f"what answers at {runtime} is no container runtime") from error
    finally:
        connection.close()
    return str(found) if runs else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
