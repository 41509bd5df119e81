"""Loads a SavedModel into a session and runs it, as the real server's C++ loader does."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from airbag_demo.model_server.batching import Batcher, Batching
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.session_runs import SessionRuns
from airbag_demo.model_server.status import Code, StatusError, invalid

log = logging.getLogger("airbag.model_server")

INIT_OP = "__saved_model_init_op"
SERVE = "serve"


class SavedModel:
    """One loaded version: its signatures and a session that several threads may run at the same time."""

    def __init__(self, path: str, session: Any, meta_graph: Any, runs: SessionRuns) -> None:
        self.path = path
        self.signatures: Mapping[str, Any] = dict(meta_graph.signature_def)
        self._session = session
        self._runs = runs
        self._output = functools.cache(self._find)
        self._batcher: Batcher | None = None
        self._building = threading.Lock()
        self._built: set[tuple[frozenset[str], frozenset[str]]] = set()

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str], timeout_ms: int = 0) -> list[Any]:
        """Feed arrays by tensor name and return the fetched ones, in a batch with others if the model has batching.

        StatusError with TensorFlow's own code and message. 0 means no time limit.
        """
        if self._batcher is not None:
            return self._batcher.run(feeds, fetches, timeout_ms)
        return self._run(feeds, fetches, timeout_ms)

    def batch(self, batching: Batching) -> None:
        """From now on runs go through the model's batcher, if it wants one. StatusError if its parameters are wrong."""
        self._batcher = batching.batcher(self._run, self.path)

    def _run(self, feeds: Mapping[str, Any], fetches: Sequence[str], timeout_ms: int) -> list[Any]:
        """One run of the graph.

        `Session.run` is passed by: it would judge shapes in Python, which is the graph's part.
        """
        fed = {self._output(name): array for name, array in feeds.items()}
        wanted = [self._output(name) for name in fetches]
        self._count_build((frozenset(feeds), frozenset(fetches)))
        options = pywrap_tf_session.TF_NewBufferFromString(_run_options(timeout_ms))
        try:
            with self._runs.counted(feeds.values()):
                results: list[Any] = self._session._call_tf_sessionrun(options, fed, wanted, [], None)
        except tf.errors.OpError as error:
            raise as_status(error) from error
        except (TypeError, ValueError) as error:  # an array that TensorFlow cannot take
            raise invalid(str(error)) from error
        finally:
            pywrap_tf_session.TF_DeleteBuffer(options)
        self._runs.answered(results)
        return results

    def close(self) -> None:
        if self._batcher is not None:
            self._batcher.close()
        self._session.close()

    def _find(self, name: str) -> Any:
        try:
            return self._session.graph.get_tensor_by_name(name)._as_tf_output()
        except (KeyError, ValueError) as error:
            raise invalid(
                f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
            ) from error

    def _count_build(self, kind: tuple[frozenset[str], frozenset[str]]) -> None:
        """A graph is built for each set of tensors that are fed and fetched, once."""
        with self._building:
            if kind not in self._built:
                self._built.add(kind)
                self._runs.built()


@dataclass(frozen=True)
class SavedModelLoader:
    """Makes `SavedModel`s. `warm_up` is called with each one before it counts as loaded, and may refuse it."""

    metrics: ServerMetrics
    runs: SessionRuns
    inter_op_threads: int
    intra_op_threads: int
    warm_up: Callable[[SavedModel], None]
    batching: Batching | None = None
    tags: frozenset[str] = frozenset({SERVE})
    gpu_memory_fraction: float = 0.0

    def reserve(self, path: str) -> None:
        """The real server sums up the sizes of all files first; what is no directory fails there."""
        if not Path(path).exists():
            raise StatusError(Code.NOT_FOUND, f"{path} not found")
        if not Path(path).is_dir():
            raise StatusError(Code.FAILED_PRECONDITION, f"{path}; Not a directory")

    def load(self, path: str) -> SavedModel:
        """Read, restore, initialise, warm up. A directory that is gone by the end fails the load."""
        self._look_for_graph(path)
        started = time.perf_counter()
        try:
            model = self._load(path)
        except StatusError:
            self._count(path, started, "fail")
            raise
        self._count(path, started, "success")
        try:
            if self.batching is not None:
                model.batch(self.batching)
            self.warm_up(model)
            self.reserve(path)
        except StatusError:
            model.close()
            raise
        return model

    def _look_for_graph(self, path: str) -> None:
        if not Path(path, "saved_model.pb").exists():
            raise StatusError(
                Code.NOT_FOUND,
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. "
                "Check that the directory exists and that you have the right permissions for accessing it.",
            )

    def _load(self, path: str) -> SavedModel:
        log.info("Reading SavedModel from: %s", path)
        started = time.perf_counter()
        meta_graph, write_version = _read(path, self.tags)
        graph = tf.Graph()
        try:
            with graph.as_default():
                tf.import_graph_def(meta_graph.graph_def, name="")
            session = tf.compat.v1.Session(graph=graph, config=self._session_config())
            _restore(session, meta_graph, path, self.runs)
            restored = time.perf_counter()
            _initialise(session, meta_graph, path, self.runs)
        except tf.errors.OpError as error:
            raise as_status(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise invalid(f"{path}: {error}") from error
        self.metrics.load_stages.observe(_micros(started, restored), path, "restore_graph")
        self.metrics.load_stages.observe(_micros(restored, time.perf_counter()), path, "init_graph")
        self.metrics.loaded(write_version)
        session._extend_graph()
        return SavedModel(path, session, meta_graph, self.runs)

    def _session_config(self) -> Any:
        return tf.compat.v1.ConfigProto(
            inter_op_parallelism_threads=self.inter_op_threads,
            intra_op_parallelism_threads=self.intra_op_threads,
            gpu_options=tf.compat.v1.GPUOptions(per_process_gpu_memory_fraction=self.gpu_memory_fraction),
        )

    def _count(self, path: str, started: float, result: str) -> None:
        self.metrics.load_attempts.add(path, result)
        self.metrics.load_latency.add(path, by=_micros(started, time.perf_counter()))


def as_status(error: Any) -> StatusError:
    """TensorFlow's error with its code and its message, without the trace of where the graph was built."""
    return StatusError(Code(error.error_code), error.message)


def _read(path: str, tags: frozenset[str]) -> tuple[Any, str]:
    """The graph, and the generation of SavedModels it is of: "1" or "2"."""
    file = Path(path, "saved_model.pb")
    whole = saved_model_pb2.SavedModel()
    try:
        whole.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise StatusError(Code.DATA_LOSS, f"Can't parse {file} as binary proto") from error
    except OSError as error:
        raise StatusError(Code.NOT_FOUND, f"{file}; {error.strerror}") from error
    for meta_graph in whole.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == tags:
            is_second = len(whole.meta_graphs) == 1 and meta_graph.HasField("object_graph_def")
            return meta_graph, "2" if is_second else "1"
    raise StatusError(
        Code.NOT_FOUND,
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(sorted(tags))} }}. "
        "To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`",
    )


def _restore(session: Any, meta_graph: Any, path: str, runs: SessionRuns) -> None:
    """Without an index file nothing is restored and the load goes on: requests fail later, as in the real server."""
    variables = Path(path, "variables", "variables")
    if not variables.with_name("variables.index").exists():
        log.info("The specified SavedModel has no variables; no checkpoints were restored: %s.index", variables)
        return
    saver = meta_graph.saver_def
    feeds = {saver.filename_tensor_name: str(variables), **_assets(meta_graph, path)}
    _run_op(session, saver.restore_op_name, feeds, runs)


def _initialise(session: Any, meta_graph: Any, path: str, runs: SessionRuns) -> None:
    name = _init_op(meta_graph)
    if name:
        _run_op(session, name.partition(":")[0], _assets(meta_graph, path), runs)


def _run_op(session: Any, name: str, feeds: Mapping[str, str], runs: SessionRuns) -> None:
    runs.built()
    with runs.counted([np.array(text.encode(), dtype=object) for text in feeds.values()]):
        session.run(session.graph.get_operation_by_name(name), feeds)


def _init_op(meta_graph: Any) -> str:
    if INIT_OP in meta_graph.signature_def:
        return str(meta_graph.signature_def[INIT_OP].outputs[INIT_OP].name)
    for key in ("saved_model_main_op", "legacy_init_op"):
        if key in meta_graph.collection_def:
            return str(meta_graph.collection_def[key].node_list.value[0])
    return ""


def _assets(meta_graph: Any, path: str) -> dict[str, str]:
    folder = os.path.join(path, "assets")  # noqa: PTH118 - fed to the graph as text
    return {one.tensor_info.name: f"{folder}/{one.filename}" for one in meta_graph.asset_file_def}


@functools.lru_cache(maxsize=1024)
def _run_options(timeout_ms: int) -> bytes:
    serialized: bytes = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms).SerializeToString()
    return serialized


def _micros(start: float, end: float) -> int:
    return int((end - start) * 1e6)
