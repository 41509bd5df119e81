"""Puts the parts together, in the order in which the real server starts them."""

from __future__ import annotations

import logging
import threading

from airbag.errors import StartError
from airbag_demo.model_server import config as configs
from airbag_demo.model_server import grpc_server, http_server, text_protos
from airbag_demo.model_server.batching import Batching
from airbag_demo.model_server.batching_parameters import BatchingParameters
from airbag_demo.model_server.core import ServerCore, poll_config
from airbag_demo.model_server.flags import CPUS, Flags
from airbag_demo.model_server.grpc_api import GrpcApi
from airbag_demo.model_server.manager import Options, VersionManager
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.rest_api import RestApi
from airbag_demo.model_server.saved_model import SavedModel, SavedModelLoader
from airbag_demo.model_server.session_runs import SessionRuns
from airbag_demo.model_server.setting import Setting
from airbag_demo.model_server.states import EventBus
from airbag_demo.model_server.status import StatusError
from airbag_demo.model_server.storage import StoragePoller
from airbag_demo.model_server.warmup import warm_up

log = logging.getLogger("airbag.model_server")


def serve(flags: Flags, config: configs.Config, batching: BatchingParameters | None) -> None:
    """Load, open the ports, and serve until the process is ended. StatusError or StartError if it cannot start."""
    setting = Setting(
        ServerMetrics(), flags.enable_signature_method_name_check, flags.enable_serialization_as_tensor_content
    )
    core = _core(flags, setting, batching)
    core.start(config, 4 * CPUS, flags.num_load_threads)
    if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
        polling = (flags.model_config_file, flags.model_config_file_poll_wait_seconds, core.reload)
        threading.Thread(target=poll_config, args=polling, name="config", daemon=True).start()
    grpc = grpc_server.serve(GrpcApi(core, setting), flags)
    _open_rest(flags, core, setting)
    threading.Event().wait()
    del grpc


def _core(flags: Flags, setting: Setting, batching: BatchingParameters | None) -> ServerCore:
    bus = EventBus()
    options = Options(
        flags.num_load_threads,
        flags.num_unload_threads,
        flags.max_num_load_retries,
        flags.load_retry_interval_micros / 1e6,
    )
    manager = VersionManager(_loader(flags, setting, batching), bus, options)
    storage = StoragePoller(manager.ask, flags.file_system_poll_wait_seconds)
    core = ServerCore(manager, bus, storage, flags.allow_version_labels_for_unavailable_models)
    manager.start()
    return core


def _loader(flags: Flags, setting: Setting, batching: BatchingParameters | None) -> SavedModelLoader:
    def replay(model: SavedModel) -> None:
        if flags.enable_model_warmup:
            warm_up(model, setting, max(1, flags.num_request_iterations_for_warmup))

    metrics = setting.metrics
    inter_op_threads = flags.tensorflow_inter_op_parallelism or flags.tensorflow_session_parallelism
    return SavedModelLoader(
        metrics,
        SessionRuns(metrics, inter_op_threads or CPUS),
        inter_op_threads,
        flags.tensorflow_intra_op_parallelism or flags.tensorflow_session_parallelism,
        replay,
        Batching(batching, flags.enable_per_model_batching_parameters, metrics) if batching else None,
        frozenset(flags.saved_model_tags.split(",")),
        flags.per_process_gpu_memory_fraction,
    )


def _metrics_path(file: str) -> str | None:
    return text_protos.read(file, configs.parse_monitoring) if file else None


def _open_rest(flags: Flags, core: ServerCore, setting: Setting) -> None:
    """What keeps the REST port closed is only logged; gRPC goes on, as in the real server."""
    if not flags.rest_api_port:
        return
    if flags.rest_api_port == flags.port:
        log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return
    try:
        page = _metrics_path(flags.monitoring_config_file)
    except StatusError as error:
        log.error("Failed to start server. Error: %s", error.status)  # noqa: TRY400 - the real server's one line
        return
    api = RestApi(core, setting, flags.rest_api_timeout_in_ms, page, flags.rest_api_enable_cors_support)
    try:
        http_server.serve(api, flags.bind_address, flags.rest_api_port, flags.rest_api_num_threads)
    except StartError as error:
        log.error("Failed to start HTTP Server at localhost:%d: %s", flags.rest_api_port, error)  # noqa: TRY400
        return
    log.info("Exporting HTTP/REST API at:%s:%d ...", flags.bind_address, flags.rest_api_port)
