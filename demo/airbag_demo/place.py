"""Where a story takes place: the processes of `airbag up` on this machine, or the containers of docker-compose.yml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from airbag.serving.values import Endpoint
from airbag_demo.ports import STANDARD
from airbag_demo.shipped import SHIPPED


class Place(Protocol):
    """What a story needs to know of the stack that it watches."""

    @property
    def store(self) -> Path:
        """The model store, which the server reads and a publisher writes."""

    @property
    def endpoint(self) -> Endpoint:
        """The model server."""

    @property
    def operator_token_file(self) -> Path:
        """The bearer token of people who look at the receiver and give it orders."""

    def url(self, name: str) -> str:
        """The base address of one process."""

    def file(self, shipped: str) -> Path:
        """Where a shipped configuration file lies there."""


@dataclass(frozen=True)
class Containers:
    """The containers of docker-compose.yml as one of them sees the others."""

    store: Path = Path("/models")
    operator_token_file: Path = Path("/run/secrets/airbag_operator_token")

    @property
    def endpoint(self) -> Endpoint:
        """The model server."""
        return Endpoint(f"tf-serving:{STANDARD['tf-serving-grpc']}", f"tf-serving:{STANDARD['tf-serving-rest']}")

    def url(self, name: str) -> str:
        """The base address of one service."""
        return f"http://{name}:{STANDARD[name]}"

    def file(self, shipped: str) -> Path:
        """Where docker-compose.yml mounts a shipped file."""
        return Path(SHIPPED[shipped])
