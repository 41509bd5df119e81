"""One fault from release to recovery: the stack runs alone, the story only watches and takes the times."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airbag.config import load, parse_duration
from airbag.errors import AirbagError, StartError
from airbag.serving.groups import load_servings
from airbag.serving.model_config import ModelConfigFile
from airbag.serving.reader import Reader
from airbag_demo.place import Place
from airbag_demo.releases import MODEL, publish
from airbag_demo.report import Action, Ending, Report, Story, report
from airbag_demo.traffic import Reports, Rows, Traffic
from airbag_rollback.policy import Policy

FAULTS = ("accuracy", "errors", "latency", "load")
GOOD, BAD = 2, 3
RATE = 50.0
LABEL_DELAY = 1.0
_TRIES = 3
TERMINAL = {"SUCCEEDED", "SUPPRESSED", "FAILED", "CANCELLED", "NEEDS_HUMAN"}
STATES = {
    "RECEIVED": "the alert has reached the receiver",
    "EVALUATING": "the receiver asks Prometheus and the server whether it is true",
    "EXECUTING": f"the receiver goes back to version {GOOD}",
    "VERIFY_MECHANISM": "the receiver checks that the server follows",
    "VERIFY_OUTCOME": f"version {GOOD} serves again; the receiver checks that it helped",
    "SUCCEEDED": "the receiver says: rolled back, and it helped",
}

_CONFIG = """\
model_config_list {{
  config {{
    name: "{model}"
    base_path: "{base}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  }}
}}
"""


@dataclass(frozen=True)
class Watch:
    """Told what is going on while it goes on. `tick` is called about twice a second with the stage reached."""

    stage: Callable[[str], None]
    tick: Callable[[], None]


def fill_store(stack: Place, releases: Path) -> None:
    """Versions 1 and 2 in the model store, and the `models.config` that serves both. Does nothing the second time.

    StartError when the store serves other models: it is somebody's.
    """
    config = stack.store / "models.config"
    served = ModelConfigFile(config).read().models if config.exists() else ()
    if served == (MODEL,):
        return
    if served:
        raise StartError(f"{config} serves {', '.join(served)}; give the demo a model store of its own")
    for version in (1, GOOD):
        publish(releases / "good" / str(version), stack.store / MODEL, version)
    half = config.with_suffix(".incoming")  # a server may be reading
    half.write_text(_CONFIG.format(model=MODEL, base=stack.store / MODEL))
    half.rename(config)


def traffic(stack: Place, releases: Path) -> Traffic:
    """The held-out rows against the stack, judged by the latency bound of its configuration."""
    [group] = load_servings(stack.file("exporters/exporters.yml")).servings
    reports = Reports(stack.url("quality-exporter"), LABEL_DELAY)
    bound = group.models[0].expect.latency_bound
    return Traffic(stack.endpoint, Rows.read(releases / "held_out.npz"), reports, rate=RATE, latency_bound=bound)


def window(stack: Place) -> float:
    """Seconds of answers on which the stack's rules decide."""
    return parse_duration(load_servings(stack.file("exporters/exporters.yml")).rules.verdict)


def tell(
    fault: str, stack: Place, check: Callable[[], None], releases: Path, client: Traffic, watch: Watch
) -> Report:  # fmt: skip
    """Release a bad version 3 and watch the stack deal with it. Never touches the server itself.

    `check` raises StartError when a process of the stack has ended.
    """
    rows = len(Rows.read(releases / "held_out.npz").digits)
    one_round = rows / RATE

    def wait(seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            check()
            if done():
                return True
            watch.tick()
            time.sleep(0.25)
        return done()

    watch.stage(f"version {GOOD} serves; one round of {rows} rows shows how good it is")
    wait(max(one_round, window(stack)) + 1)
    wait(60, lambda: proven(stack))
    publish(releases / "faults" / fault, stack.store / MODEL, BAD)
    watch.stage(f"version {BAD} is released (its fault: {fault})")
    released_at = time.time()
    release(stack, BAD)
    follow = _Follow(stack, watch.stage)
    wait(60 + 2 * window(stack), follow.to_the_end)
    action = follow.action or Action("NONE", "", "the receiver was never called", *[None] * 6)
    watch.stage("one more round of rows shows how good the server is now")
    wait(one_round + 2)
    wait(10, lambda: people_told(stack))
    story = Story(fault, GOOD, BAD, released_at, client.seen.all(), action, _ending(stack))
    return report(story)


class _Follow:
    """Tells each state of the rollback once, as the receiver reaches it."""

    def __init__(self, stack: Place, tell: Callable[[str], None]) -> None:
        self.action: Action | None = None
        self._stack = stack
        self._tell = tell

    def to_the_end(self) -> bool:
        """Look once; whether the action has ended."""
        found = latest_action(self._stack)
        if found and (self.action is None or found.state != self.action.state):
            self._tell(STATES.get(found.state, f"the receiver is at {found.state}: {found.text}"))
        self.action = found or self.action
        return self.action is not None and self.action.state in TERMINAL


def release(stack: Place, version: int) -> None:
    """Run `airbag release` as an operator would: again, when a busy server did not say in time what it serves.

    StartError with its words when it refuses.
    """
    policy = f"--config.file={stack.file('alertmanager/policy.yml')}"
    command = [sys.executable, "-m", "airbag", "release", policy, "--no-wait", MODEL, str(version)]
    for _ in range(_TRIES):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0 or "DEADLINE_EXCEEDED" not in done.stderr:
            break
    if done.returncode != 0:
        raise StartError(f"airbag release failed: {done.stderr.strip() or done.stdout.strip()}")


def actions(stack: Place) -> list[dict[str, Any]]:  # Any: JSON
    """What the receiver has done and is doing, the newest first; empty while it does not answer."""
    return list(_ask(stack, "actions").get("actions", []))


def proven(stack: Place) -> bool:
    """Whether the receiver has seen the good version answer well for long enough to go back to it."""
    [group] = load_servings(stack.file("exporters/exporters.yml")).servings
    versions = _ask(stack, f"models/{group.name}/{MODEL}/versions")
    return has_proof(versions, stack.file("alertmanager/policy.yml"))


def has_proof(answer: Mapping[str, Any], policy: Path) -> bool:  # Any: JSON
    """The same by what the receiver's API answered for the model's versions, and the policy in force."""
    found = [each for each in answer.get("versions", []) if each["version"] == GOOD and each["verdict"] == "good"]
    return any(each["soak_seconds"] >= load(policy, Policy).soak_min for each in found)


def _ask(stack: Place, path: str) -> dict[str, Any]:  # Any: JSON
    """What the receiver's API answers under `/v1/`; empty while it does not answer."""
    token = stack.operator_token_file.read_text().strip()
    try:
        answer = requests.get(
            f"{stack.url('receiver')}/v1/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=2
        )
    except requests.RequestException:
        return {}
    return dict(answer.json()) if answer.ok else {}


def latest_action(stack: Place) -> Action | None:
    """The newest action against the bad version that is not just a suppressed repetition, else the newest of all."""
    found = [each for each in actions(stack) if each["bad_version"] == BAD]
    found.sort(key=lambda each: (each["state"] != "SUPPRESSED", each["received_at"] or 0))
    if not found:
        return None
    fields = (
        "state",
        "reason",
        "text",
        "alert_at",
        "received_at",
        "decided_at",
        "armed_at",
        "acted_at",
        "available_at",
    )
    return Action(*(found[-1][field] for field in fields))


def people_told(stack: Place) -> bool:
    """Whether the people's channel got the outcome of the rollback."""
    try:
        messages = requests.get(stack.url("people") + "/messages", timeout=2).json()
    except requests.RequestException:
        return False
    wanted = {"alertname": "AirbagRollbackSucceeded", "model_version": str(BAD)}
    return any(wanted.items() <= message["labels"].items() for message in messages)


def _ending(stack: Place) -> Ending:
    try:
        with Reader(stack.endpoint) as reader:
            serving = reader.default_version(MODEL)
    except AirbagError:
        serving = None
    policy = ModelConfigFile(stack.store / "models.config").read().policy(MODEL)
    return Ending(serving, policy.versions, people_told(stack))
