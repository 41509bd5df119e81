"""How the client begins and ends: imports, close, the interpreter's end, forks."""

from __future__ import annotations

import subprocess
import sys

from airbag_exporters.quality.client import QualityClient, Stats
from tests.exporters.quality.scripted_exporter import HANG, scripted
from tests.fakes.ports import free_port
from tests.fakes.wait import until


def run(program: str, *arguments: str) -> str:
    """The output of a program in a fresh interpreter, which must end well."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_client_loads_the_standard_library_only() -> None:
    program = """
import sys
before = set(sys.modules)
import airbag_exporters.quality.client
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - sys.stdlib_module_names))
"""
    assert run(program) == "['airbag_exporters']\n"


def test_a_program_that_ends_without_close_loses_nothing() -> None:
    program = """
import sys
from airbag_exporters.quality.client import QualityClient
client = QualityClient(sys.argv[1], interval=60)
for number in range(10):
    client.labelled(client.predicted("digits", 3, str(number)), "0")
"""
    with scripted() as exporter:
        run(program, exporter.url)
        assert (len(exporter.rows()), len(exporter.rows("/v1/labels"))) == (10, 10)


def test_a_client_that_sent_nothing_starts_no_thread_and_ends() -> None:
    program = """
import threading
from airbag_exporters.quality.client import QualityClient
with QualityClient("http://127.0.0.1:1") as client:
    print(threading.active_count(), client.stats().queued)
"""
    assert run(program) == "1 0\n"


def test_forked_workers_each_send_their_own_and_nobody_elses() -> None:
    """As gunicorn does with preloading: the client is made, and used, before the fork."""
    program = """
import os, sys
from airbag_exporters.quality.client import QualityClient
client = QualityClient(sys.argv[1], interval=60)
client.predicted("digits", 3, "parent")
workers = []
for number in range(3):
    process = os.fork()
    if not process:
        ids = {client.predicted("digits", 3, f"worker {number}") for _ in range(10)}
        os._exit(0 if client.close(30) and client.stats().accepted == len(ids) == 10 else 1)
    workers.append(process)
assert [os.waitpid(process, 0)[1] for process in workers] == [0, 0, 0]
assert client.stats().queued == 1
assert client.close(30)
"""
    with scripted() as exporter:
        run("import warnings; warnings.simplefilter('ignore', DeprecationWarning)" + program, exporter.url)
        rows = exporter.rows()
    assert len({row["id"] for row in rows}) == len(rows) == 31
    assert [row["predicted"] for row in rows].count("parent") == 1


def test_closing_gives_up_in_time_and_says_what_was_lost() -> None:
    client = QualityClient(f"http://127.0.0.1:{free_port()}", interval=0.01, backoff=(0.01, 0.05), batch_rows=2)
    for _ in range(5):
        client.predicted("digits", 3, "0")
    assert not client.close(0.3)
    until(lambda: not client.stats().queued, what="the end of the thread")
    assert client.stats().dropped == {"closed": 5}
    client.predicted("digits", 3, "0")
    assert client.stats().dropped == {"closed": 6}


def test_closing_does_not_wait_for_an_exporter_that_hangs() -> None:
    with scripted(HANG) as exporter:
        client = QualityClient(exporter.url, interval=0.01, batch_rows=1)
        for _ in range(5):
            client.predicted("digits", 3, "0")
        until(lambda: exporter.requests, what="the request that hangs")
        assert not client.close(0.05)
        assert client.stats() == Stats(queued=5)
        exporter.ended.set()
        until(lambda: client.stats().dropped == {"closed": 5}, what="the end of the thread")
        assert len(exporter.requests) == 1


def test_closing_twice_is_closing_once() -> None:
    with scripted() as exporter, QualityClient(exporter.url) as client:
        client.predicted("digits", 3, "0")
        assert client.close(30)
        assert client.close(30)
        assert client.stats() == Stats(accepted=1)
