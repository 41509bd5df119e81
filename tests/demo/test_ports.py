"""Ports of the stack."""

from __future__ import annotations

import socket

import pytest

from airbag.config import replace_tokens
from airbag.errors import StartError
from airbag_demo.ports import STANDARD, addresses, check_free, free_ports, is_free


def test_two_stacks_never_get_the_same_free_port() -> None:
    with free_ports() as one, free_ports() as other:
        assert one.keys() == other.keys() == STANDARD.keys()
        assert len({*one.values(), *other.values()}) == 2 * len(STANDARD)
        assert all(is_free(port) for port in one.values())


def test_a_port_in_use_is_not_handed_out_and_is_named_with_all_others() -> None:
    with socket.socket() as first, socket.socket() as second:
        for holder in (first, second):
            holder.bind(("127.0.0.1", 0))
            holder.listen()
        taken = {"prometheus": first.getsockname()[1], "receiver": second.getsockname()[1]}
        with pytest.raises(StartError) as caught:
            check_free(taken)
        assert f"{taken['prometheus']} (prometheus), {taken['receiver']} (receiver)" in str(caught.value)
        assert "--ports free" in str(caught.value)


def test_every_service_address_of_the_shipped_files_becomes_a_local_one() -> None:
    text = "tf-serving:8500 tf-serving:8501 http://receiver:9815/v1 prometheus:9090"
    ports = {name: index for index, name in enumerate(STANDARD, start=20001)}
    local = replace_tokens(text, addresses(ports))
    assert local == (
        f"127.0.0.1:{ports['tf-serving-grpc']} 127.0.0.1:{ports['tf-serving-rest']} "
        f"http://127.0.0.1:{ports['receiver']}/v1 127.0.0.1:{ports['prometheus']}"
    )
