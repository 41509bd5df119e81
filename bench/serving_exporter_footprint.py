"""How long the serving exporter takes to start and how much memory it then holds.

Beside it a process that does the exporter's three calls (GetModelStatus, GetModelMetadata, the metrics page) once with
the official client package. Start is from the start of the command to the first scrape that shows the server.
Prints one JSON object as its last line.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import requests

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._report import Measured, report  # noqa: E402 - beside us, like the tests' servers
from tests.exporters.native_page import PageServer, page_server, write  # noqa: E402
from tests.exporters.processes import command  # noqa: E402
from tests.fakes.ports import free_port  # noqa: E402
from tests.fakes.tfs_wire import FakeServing, Status, serving  # noqa: E402

RUNS = 7
OFFICIAL = """
import sys, urllib.request, grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
channel = grpc.insecure_channel(sys.argv[1])
status = get_model_status_pb2.GetModelStatusRequest()
status.model_spec.name = "m"
model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, timeout=5)
metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
metadata.model_spec.name = "m"
prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(metadata, timeout=5)
urllib.request.urlopen(f"http://{sys.argv[2]}/monitoring/prometheus/metrics", timeout=5).read()
print("done", flush=True)
sys.stdin.read()
"""


def exporter(config: Path) -> tuple[float, float]:
    """Seconds to the first scrape that shows the server, and MiB some polls later."""
    address = f"127.0.0.1:{free_port()}"
    begun = time.perf_counter()
    with subprocess.Popen(
        command("serving", config, f"--web.listen-address={address}"), stderr=subprocess.DEVNULL
    ) as child:
        try:
            while True:
                with suppress(requests.ConnectionError):
                    if "airbag_tfs_up{" in requests.get(f"http://{address}/metrics", timeout=5).text:
                        break
                time.sleep(0.005)
            seconds = time.perf_counter() - begun
            time.sleep(3)
            return seconds, psutil.Process(child.pid).memory_info().rss / 2**20
        finally:
            child.terminate()


def official(server: FakeServing, page: PageServer) -> tuple[float, float]:
    """Seconds until the official client has made the three calls once, and MiB after them."""
    begun = time.perf_counter()
    arguments = [sys.executable, "-c", OFFICIAL, server.address, page.address]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(arguments, **pipes) as child:  # type: ignore[call-overload]
        child.stdout.readline()
        seconds = time.perf_counter() - begun
        mib = psutil.Process(child.pid).memory_info().rss / 2**20
        child.stdin.close()
        return seconds, mib


def main() -> None:
    """Measure both RUNS times, taking turns, and print the medians."""
    with serving() as server, page_server() as page, tempfile.TemporaryDirectory() as folder:
        server.models["m"] = {1: Status.AVAILABLE}
        page.page = write({})
        config = Path(folder, "exporters.yml")
        config.write_text(
            "servings:\n  - name: main\n    models: [{name: m}]\n"
            f'    targets: [{{name: a, grpc: "{server.address}", rest: "{page.address}"}}]\n'
        )
        runs = [(*exporter(config), *official(server, page)) for _ in range(RUNS)]
    start, rss, official_start, official_rss = (statistics.median(column) for column in zip(*runs, strict=True))
    peer = "tensorflow-serving-api"
    report(
        "serving_exporter_footprint",
        {
            "start_seconds": Measured(start, "s", 1.0, peer=peer, peer_value=official_start),
            "rss_mib": Measured(rss, "MiB", 60.0, peer=peer, peer_value=official_rss),
        },
    )


if __name__ == "__main__":
    main()
