"""What can be found out about a server without being told its flags, and the flag that would make it true."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import grpc

from tests.conformance.kit.wire import METRICS_PATH, refusal
from tests.conformance.kit.world import World, labels
from tests.fakes import saved_models
from tests.fakes.wait import until

WANTED: Mapping[str, str] = {
    "rest": "needs the REST port: start the server with --rest_api_port and name it with REST=host:port",
    "page": "needs the metrics page: --monitoring_config_file=FILE with `prometheus_config { enable: true }`",
    "labels": "needs --allow_version_labels_for_unavailable_models=true",
    "no labels": "needs a server without --allow_version_labels_for_unavailable_models",
    "health": "needs --enable_grpc_healthcheck_service=true",
    "batching": "needs --enable_batching=true and --batching_parameters_file= with the values in docs/conformance.md",
    "config poll": "needs --model_config_file_poll_wait_seconds=1, and CONFIG= naming the file of --model_config_file",
    "threads": "needs --num_load_threads=2 --num_unload_threads=2",
    "inline": "needs --num_load_threads=0, the default",
    "quick failures": "needs --max_num_load_retries=1 --load_retry_interval_micros=200000",
}
"""In the order in which they are asked: the cheap ones first."""
OPPOSITES: Mapping[str, str] = {"no labels": "labels", "inline": "threads"}


class Facts:
    """Asks each question once. `stated` are the facts that the suite knows because it started the server."""

    def __init__(self, world: World, stated: frozenset[str] | None = None) -> None:
        self._world = world
        self._known: dict[str, bool] = {}
        if stated is not None:
            self._known = {name: name in stated for name in WANTED} | {"rest": True}

    def holds(self, name: str) -> bool:
        if name not in self._known:
            opposite = OPPOSITES.get(name)
            self._known[name] = not self.holds(opposite) if opposite else PROBES[name](self._world)
        return self._known[name]

    def lacking(self, needs: tuple[str, ...]) -> str | None:
        """Why a row with these needs cannot run here; None if it can."""
        over_rest = {"rest"} if {"page", "batching"} & {*needs} else set()
        for name in sorted({*needs, *over_rest}, key=list(WANTED).index):
            if not self.holds(name):
                return WANTED[name]
        return None


def _has_page(world: World) -> bool:
    return world.wire.http("GET", METRICS_PATH).status == 200


def _allows_labels(world: World) -> bool:
    """A label that does not exist yet, for a version that does not exist: taken only with the flag."""
    name = world.name("hollow")
    try:
        world.apply({name: labels({"probe": 99})})
    except grpc.RpcError:
        return False
    finally:
        world.apply()
    return True


def _loads_side_by_side(world: World) -> bool:
    """Two slow loads: with load threads both are LOADING, without the second has to wait for the first."""
    names = [world.fresh("threads") for _ in range(2)]
    for name in names:
        saved_models.add_model(world.base(name), 1)
    world.apply(dict.fromkeys(names, ""))
    for name in names:
        world.wait_states(name, "1 AVAILABLE")
    for name in names:
        saved_models.slow_load(world.base(name), 2, 3.0)
    seen: list[set[str]] = []

    def over() -> bool:
        now = [world.wire.versions(name).get(2, "") for name in names]
        seen.append({"both"} if now == ["LOADING", "LOADING"] else set())
        return now == ["AVAILABLE", "AVAILABLE"]

    until(over, timeout=2 * world.patience, what="two slow loads")
    return any(seen)


def _fails_quickly(world: World) -> bool:
    """A failing load ends within a quarter of the patience. If not, it is repaired and the server waited for."""
    name = world.fresh("failing")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    broken = saved_models.truncated(world.base(name), 2)
    try:
        until(lambda: world.wire.versions(name).get(2) == "END", timeout=max(10.0, world.patience / 4), what="the end")
    except AssertionError:
        broken.rename(broken.with_name("was-broken"))
        saved_models.add_model(world.base(name), 2)
        until(lambda: world.wire.versions(name).get(2) in ("AVAILABLE", "END"), timeout=400, what="the next try")
        return False
    return True


def _polls_config(world: World) -> bool:
    if world.config_file is None:
        return False
    name = world.fresh("polled")
    saved_models.add_model(world.base(name), 1)
    with world.polled() as write, contextlib.suppress(AssertionError):
        write(world.text({name: ""}))
        until(lambda: world.wire.states(name) == "1 AVAILABLE", timeout=max(10.0, world.patience / 4), what="the poll")
        return True
    return False


def _batches(world: World) -> bool:
    before = world.wire.page().value("serving:batching_session:wrapped_run_count") or 0
    world.wire.predict(world.name("m"))
    return (world.wire.page().value("serving:batching_session:wrapped_run_count") or 0) > before


def _is_healthy(world: World) -> bool:
    call = world.wire.channel.unary_unary("/grpc.health.v1.Health/Check")
    with contextlib.suppress(grpc.RpcError):
        return bool(call(b"", timeout=10) is not None)
    return "UNIMPLEMENTED" not in refusal(lambda: call(b"", timeout=10))


PROBES: Mapping[str, Callable[[World], bool]] = {
    "rest": lambda world: world.wire.rest is not None,
    "page": _has_page,
    "labels": _allows_labels,
    "health": _is_healthy,
    "batching": _batches,
    "config poll": _polls_config,
    "threads": _loads_side_by_side,
    "quick failures": _fails_quickly,
}
