"""§2.4: HandleReloadConfigRequest, step by step, and what each failure leaves behind."""

from __future__ import annotations

import re
import time

import pytest
from google.protobuf import any_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.watch import Call, stays
from tests.conformance.kit.wire import parse_config, refusal
from tests.conformance.kit.world import World, entry, labels, specific
from tests.fakes import saved_models

QUICK = ("quick failures",)


@row("2.4")
def test_success(world: World) -> None:
    """a reload that succeeds answers with error code 0"""
    answer = world.apply()
    assert (answer.status.error_code, answer.status.error_message) == (0, "")


@row("2.4")
def test_step_1_without_config(world: World) -> None:
    """step 1: a request without a config is INVALID_ARGUMENT, and nothing changes"""
    assert refusal(lambda: world.wire.reload(None)).startswith("INVALID_ARGUMENT: ")
    assert world.wire.states(world.name("m")) == "2 AVAILABLE, 1 AVAILABLE"


@row("2.4")
def test_step_1_custom_config(world: World) -> None:
    """step 1: a custom_model_config is INVALID_ARGUMENT, and nothing changes"""
    config = model_server_config_pb2.ModelServerConfig(custom_model_config=any_pb2.Any())
    assert refusal(lambda: world.wire.reload(config)).startswith("INVALID_ARGUMENT: ")
    assert world.wire.states(world.name("m")) == "2 AVAILABLE, 1 AVAILABLE"


@pytest.fixture(scope="session")
def made() -> dict[int, str]:
    return {}


@pytest.fixture
def both(world: World, made: dict[int, str]) -> str:
    """A model of which 1 and 2 serve and the label `l` is on 1. The reloads below take 1 away and move `l` to 2."""
    name = made.get(id(world))
    if name is None:
        name = made[id(world)] = world.fresh("both")
        for version in (1, 2):
            saved_models.add_model(world.base(name), version)
        world.apply({name: specific(1, 2)})
    world.apply({name: specific(1, 2)})
    world.wait_states(name, "2 AVAILABLE, 1 AVAILABLE")
    world.apply({name: specific(1, 2) + labels({"l": 1})})
    return name


LOGGING = "logging_config { sampling_config { sampling_rate: 1 } } model_platform:"
FAULTS = {
    "step 3: a name that is listed twice is INVALID_ARGUMENT": (
        {"extra": ['config { name: "$m" base_path: "/x" model_platform: "tensorflow" }']}, "INVALID_ARGUMENT: .*", "",
    ),
    "step 3: a relative base_path is INVALID_ARGUMENT": (
        {"extra": ['config { name: "new" base_path: "x/y" model_platform: "tensorflow" }']},
        "INVALID_ARGUMENT: .*", "",
    ),
    "step 4: another platform for an existing model is INVALID_ARGUMENT": (
        {"change": ("canary", 'model_platform: "tensorflow"', 'model_platform: "other"')}, "INVALID_ARGUMENT: .*", "",
    ),
    "step 4: no platform for an existing model is INVALID_ARGUMENT": (
        {"change": ("canary", 'model_platform: "tensorflow"', "")}, "INVALID_ARGUMENT: .*", "",
    ),
    "step 6: a label of another model moved to a version that is not there is FAILED_PRECONDITION": (
        {"change": ("m-", "value: 1", "value: 77")},
        "FAILED_PRECONDITION: .*Request to assign label to version 77 of model $m, "
        "which is not currently available for inference.*", "",
    ),
    "step 7: an unknown platform of a new model is INVALID_ARGUMENT, labels are swapped by then": (
        {"extra": ['config { name: "new-$m" base_path: "/x" model_platform: "other" }']},
        "INVALID_ARGUMENT: .*", "labels",
    ),
    "step 10: a logging_config is INVALID_ARGUMENT No request-logger-creator provided., everything is applied": (
        {"change": ("canary", "model_platform:", LOGGING)},
        r"INVALID_ARGUMENT: No request-logger-creator provided\.", "labels versions",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "said", "changed"), table("2.4", FAULTS))
def test_steps(world: World, both: str, fault: dict[str, object], said: str, changed: str) -> None:
    """`changed` is what the refused reload has changed all the same."""
    text = world.text({both: specific(2) + labels({"l": 2})}, extra=[world.fill(e) for e in fault.get("extra", [])])
    if "change" in fault:
        hint, old, new = fault["change"]
        text = "\n".join(
            line.replace(old, new) if line.startswith(f'config {{ name: "{hint}') else line for line in text.split("\n")
        )
    found = refusal(lambda: world.wire.reload(parse_config(text)))
    assert re.fullmatch(world.fill(said), found, re.DOTALL), found
    assert world.wire.serving(both, label="l") == (2 if "labels" in changed else 1)
    if "versions" in changed:
        world.wait_states(both, "2 AVAILABLE, 1 END")
    else:
        world.wait_polls()
        assert world.wire.states(both) == "2 AVAILABLE, 1 AVAILABLE"


@row("2.4")
def test_step_5(world: World) -> None:
    """step 5: the stored config is the new one even if a later step fails: the platform of step 7 is kept in mind"""
    name = world.fresh("stored")
    saved_models.add_model(world.base(name), 1)
    path = world.seen(world.base(name))
    other = entry(name, path, "", 'model_platform: "other"')
    assert refusal(lambda: world.apply(extra=[other])).startswith("INVALID_ARGUMENT: ")
    assert refusal(lambda: world.apply({name: ""})).startswith("INVALID_ARGUMENT: ")
    world.apply()
    world.load(name)


@row("2.4")
def test_still_new_after_step_6(world: World) -> None:
    """after a failure in step 6 the name still counts as new: the next reload waits for it"""
    name = world.fresh("waited")
    saved_models.slow_load(world.base(name), 1, 1.0)
    bad = world.text({name: ""}).replace("key: 'stable' value: 1", "key: 'stable' value: 77")
    assert refusal(lambda: world.wire.reload(parse_config(bad))).startswith("FAILED_PRECONDITION: ")
    world.apply({name: ""})
    assert world.wire.states(name) == "1 AVAILABLE"


@row("2.4")
def test_step_8(world: World) -> None:
    """step 8: a model that is missing from the list is unloaded"""
    name = world.fresh("dropped")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    world.apply()
    world.wait_states(name, "1 END")
    assert refusal(lambda: world.wire.predict(name)) == f"NOT_FOUND: Servable not found for request: Latest({name})"


@row("2.4")
def test_step_9_waits(world: World) -> None:
    """step 9: the call returns when each new model has a version AVAILABLE"""
    name = world.fresh("new")
    saved_models.slow_load(world.base(name), 1, 1.5)
    world.apply({name: ""})
    assert world.wire.states(name) == "1 AVAILABLE"


@row("2.4", needs=QUICK)
def test_step_9_fails(world: World, both: str) -> None:
    """step 9: a new model that fails is named, UNKNOWN 1 model(s) did not become available, and the rest is applied"""
    name = world.fresh("dead")
    saved_models.without_graph(world.base(name), 1)
    said = refusal(lambda: world.apply({name: "", both: specific(2) + labels({"l": 2})}))
    start = f"UNKNOWN: 1 model(s) did not become available: {{{{{{name: {name} version: 1}} due to error: NOT_FOUND: "
    assert said.startswith(start)
    assert said.endswith("}, }")
    assert world.wire.end_of(name, 1)[0] == 5
    assert world.wire.serving(both, label="l") == 2
    world.wait_states(both, "2 AVAILABLE, 1 END")


@row("2.4", needs=(*QUICK, "page"))
def test_a_repeated_failure_is_ok(world: World) -> None:
    """repeating a reload whose new model failed returns OK, and the failed version is not tried again"""
    name = world.fresh("dead")
    path = world.seen(saved_models.truncated(world.base(name), 1))
    assert refusal(lambda: world.apply({name: ""})).startswith("UNKNOWN: 1 model(s) did not become available: ")
    tries = world.wire.page().value("cc:saved_model:load_attempt_count", model_path=path, status="fail")
    assert world.apply({name: ""}).status.error_code == 0
    world.wait_polls()
    assert world.wire.states(name) == "1 END"
    assert world.wire.page().value("cc:saved_model:load_attempt_count", model_path=path, status="fail") == tries


@row("2.4")
def test_existing_models_are_not_waited_for(world: World) -> None:
    """a reload returns before an existing model has changed its version (0 Fact 1)"""
    name = world.fresh("later")
    saved_models.add_model(world.base(name), 1)
    saved_models.slow_load(world.base(name), 2, 2.0)
    world.load(name, specific(1))
    world.apply({name: specific(2)})
    assert world.wire.versions(name)[1] == "AVAILABLE"
    assert world.wire.versions(name).get(2) != "AVAILABLE"
    world.wait_states(name, "2 AVAILABLE, 1 END")


@row("2.4")
def test_base_path_may_change(world: World) -> None:
    """base_path may change; numbers already loaded are not loaded again, only different ones cause a change"""
    name, elsewhere = world.fresh("moved"), world.fresh("elsewhere")
    saved_models.add_model(world.base(name), 1)
    saved_models.add_model(world.base(elsewhere), 1, scale=9.0)
    world.load(name)
    moved = {name: world.seen(world.base(elsewhere))}
    world.apply({name: ""}, paths=moved)
    world.wait_polls()
    assert list(world.wire.predict(name).outputs["y"].float_val) == [2.0]
    saved_models.add_model(world.base(elsewhere), 2, scale=9.0)
    world.wait_states(name, "2 AVAILABLE, 1 END")
    assert list(world.wire.predict(name).outputs["y"].float_val) == [9.0]


@row("2.4", needs=("page",))
def test_back_after_a_pause(world: World) -> None:
    """a model that is removed and added back after a pause is unloaded and loaded again, and the call is OK"""
    name = world.fresh("back")
    path = world.seen(saved_models.add_model(world.base(name), 1))
    world.load(name)
    world.apply()
    time.sleep(0.3)  # the pause that the row is about
    world.apply({name: ""})
    world.wait_states(name, "1 AVAILABLE")
    assert world.wire.page().value("cc:saved_model:load_attempt_count", model_path=path, status="success") == 2


@row("2.4", needs=("page",))
def test_metric_names(world: World) -> None:
    """metric_names are raw slash names; the answer tells how much each grew"""
    world.wire.predict(world.name("m"))
    name = "/tensorflow/core/graph_runs"
    answer = world.wire.reload(world.config(), metric_names=[name])
    assert [one.name for one in answer.metric] == [name]


@row("2.4", late=5)
def test_a_missing_base_path_hangs_the_call(world: World) -> None:
    """a new model without base_path hangs the call and every later one; creating it frees them, in order"""
    name, later = world.fresh("unborn"), world.fresh("later")
    saved_models.add_model(world.base(later), 1)
    assert refusal(lambda: world.apply({name: ""}, timeout=3)).startswith("DEADLINE_EXCEEDED")
    assert refusal(lambda: world.apply({name: "", later: ""}, timeout=2)).startswith("DEADLINE_EXCEEDED")
    assert refusal(lambda: world.wire.states(later)).startswith("NOT_FOUND")
    world.wire.predict(world.name("m"))
    saved_models.add_model(world.base(name), 1)
    world.wait_states(name, "1 AVAILABLE")
    world.wait_states(later, "1 AVAILABLE")


@row("2.4", late=5)
def test_a_missing_base_path_stops_every_scan(world: World) -> None:
    """one missing base_path stops the file-system scan of all models until it is there"""
    name, other = world.fresh("unborn"), world.fresh("other")
    saved_models.add_model(world.base(other), 1)
    world.load(other)
    call = Call(lambda: world.apply({other: "", name: ""}, timeout=10 * world.patience))
    with pytest.raises(AssertionError, match="did not end"):
        call.result(1.0)
    saved_models.add_model(world.base(other), 2)
    stays(lambda: world.wire.states(other) == "1 AVAILABLE", 2.5, "1 AVAILABLE")
    saved_models.add_model(world.base(name), 1)
    call.result(world.patience)
    world.wait_states(other, "2 AVAILABLE, 1 END")


@row("2.4", late=5)
def test_an_empty_directory_stops_nobody(world: World) -> None:
    """a base_path that is there but empty hangs the call, and does not stop the other models"""
    name, other = world.fresh("empty"), world.fresh("other")
    saved_models.add_model(world.base(other), 1)
    world.load(other)
    world.store.empty(name)
    call = Call(lambda: world.apply({other: "", name: ""}, timeout=10 * world.patience))
    saved_models.add_model(world.base(other), 2)
    world.wait_states(other, "2 AVAILABLE, 1 END")
    assert not call.is_over
    saved_models.add_model(world.base(name), 1)
    call.result(world.patience)
    assert world.wire.states(name) == "1 AVAILABLE"


@row("2.4", late=6)
def test_an_empty_list(world: World) -> None:
    """model_config_list {} unloads everything and returns OK"""
    try:
        assert world.wire.reload(parse_config("model_config_list {}")).status.error_code == 0
        for name in (world.name("m"), world.name("pair"), world.canary):
            world.wait(lambda name=name: set(world.wire.versions(name).values()) == {"END"}, f"{name} unloaded")
    finally:
        world.serve_shared()


@row("2.4", group="inline", needs=("inline",), late=9)
def test_a_lost_removal(world: World) -> None:
    """while the manager thread loads, a removal is lost: the model serves on, and adding it back hangs for ever"""
    name, busy = world.fresh("lost"), world.fresh("busy")
    saved_models.add_model(world.base(name), 1)
    saved_models.add_model(world.base(busy), 1)
    world.apply({name: "", busy: ""})
    saved_models.slow_load(world.base(busy), 2, 6.0)
    world.wait(lambda: world.wire.versions(busy).get(2) == "LOADING", "the manager busy")
    world.apply({busy: ""})
    assert refusal(lambda: world.apply({name: "", busy: ""}, timeout=10)).startswith("DEADLINE_EXCEEDED")
    world.wait_states(busy, "2 AVAILABLE, 1 END")
    assert world.wire.states(name) == "1 AVAILABLE"
    assert refusal(lambda: world.apply({name: "", busy: ""}, timeout=3)).startswith("DEADLINE_EXCEEDED")
