"""An executable of the operator's as a landing: `PATH plan | apply | verify`. What it must do is in docs/scripts.md."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from airbag_rollback import failpoints
from airbag_rollback.actions import script_process
from airbag_rollback.actions.landing import Effect, Found, Order, Planned, Reality, Result
from airbag_rollback.actions.script_answer import Answer, WrongAnswer, last_line, read_answer
from airbag_rollback.actions.script_checks import unusable
from airbag_rollback.policy import ScriptLanding

log = logging.getLogger("airbag.receiver")

Verb = Literal["plan", "apply", "verify"]

KEPT = 64 * 1024
"""Bytes kept of each of stdout and stderr: the last ones."""

TRY_AGAIN = 75
"""The exit status for "not now, nothing was touched" (EX_TEMPFAIL of sysexits.h)."""

_SLACK = 30.0
"""Seconds beyond timeout and grace until the process in between counts as hung itself."""


@dataclass(frozen=True)
class _Ran:
    """How a run ended. `code` is None when the script did not start or nobody knows; then `text` says why."""

    code: int | None
    text: str
    stdout: str = ""
    stderr: str = ""
    stdout_bytes: int = 0
    busy: bool = False
    started: bool = True
    timed_out: bool = False

    def answer(self) -> Answer:
        """What it printed; WrongAnswer for JSON that is not as documented."""
        return read_answer(self.stdout, cut=self.stdout_bytes > KEPT)

    @property
    def complaint(self) -> str:
        """How it ended, and its own last words."""
        if not self.started:
            return self.text
        return f"{self.text}: {last_line(self.stderr) or last_line(self.stdout) or 'it said nothing'}"


class Script:
    """A landing of `landings:` in policy.yml.

    Only one run at a time, also across restarts of the receiver: a second one sees that the first still goes on.
    `folder` is where the script may keep things between runs.
    """

    def __init__(self, name: str, settings: ScriptLanding, folder: Path) -> None:
        self._name = name
        self._settings = settings
        self._folder = folder
        self.restores = settings.restores

    def plan(self, order: Order) -> Planned | Effect:
        try:
            digest = self._digest()
        except OSError as error:
            return Effect(Result.IMPOSSIBLE, "script_unusable", f"{self._settings.script}: {error.strerror}")
        ran = self._run("plan", order)
        if ran.busy:
            return Effect(Result.RETRY, "script_busy", ran.text)
        if ran.code == TRY_AGAIN:
            return Effect(Result.RETRY, "script_not_now", self._said(ran))
        if not ran.started:
            return Effect(Result.IMPOSSIBLE, "script_unusable", ran.text)
        if ran.code != 0:
            return Effect(Result.IMPOSSIBLE, "script_refused", ran.complaint)
        try:
            answer = ran.answer()
        except WrongAnswer as error:
            return Effect(Result.IMPOSSIBLE, "script_answer", str(error))
        document = {"script": str(self._settings.script), "sha256": digest, "plan": answer.plan}
        return Planned(document, answer.text or f"{self._name} plans nothing in particular", answer.steps)

    def apply(self, order: Order) -> Effect:
        try:
            if self._digest() != order.plan.get("sha256"):
                text = f"{self._settings.script} was replaced since it planned"
                return Effect(Result.RETRY, "script_replaced", text)
        except OSError as error:
            return Effect(Result.IMPOSSIBLE, "script_unusable", f"{self._settings.script}: {error.strerror}")
        failpoints.reached("before the script ", self._name)
        ran = self._run("apply", order)
        failpoints.reached("after the script ", self._name)
        if ran.busy:
            return Effect(Result.RETRY, "script_busy", ran.text)
        if not ran.started:
            return Effect(Result.IMPOSSIBLE, "script_unusable", ran.text)
        if ran.code == TRY_AGAIN:
            return self._not_now(order, ran)
        if ran.code != 0:
            return Effect(Result.UNCLEAR, "script_timeout" if ran.timed_out else "script_failed", ran.complaint)
        try:
            answer = ran.answer()
        except WrongAnswer as error:
            return Effect(Result.UNCLEAR, "script_answer", str(error))
        if answer.state not in (None, Found.DONE, Found.MOVING):
            return Effect(Result.UNCLEAR, "script_answer", f"exit status 0, yet {answer.state}: {answer.text}")
        return Effect(Result.DONE, "script_done", answer.text or f"{self._name} is done")

    def _not_now(self, order: Order, ran: _Ran) -> Effect:
        """ "Nothing was touched" is believed only while neither the script nor reality says otherwise."""
        try:
            state = ran.answer().state
        except WrongAnswer as error:
            return Effect(Result.UNCLEAR, "script_answer", str(error))
        if state in (None, Found.BEFORE):
            real = self.look(order)
            if real.found in (Found.BEFORE, Found.UNSEEN):
                return Effect(Result.RETRY, "script_not_now", self._said(ran))
            state = real.found
        text = f"exit status {TRY_AGAIN} says that nothing was touched, yet it is {state}: {self._said(ran)}"
        return Effect(Result.UNCLEAR, "script_answer", text)

    def look(self, order: Order) -> Reality:
        ran = self._run("verify", order)
        if ran.busy:
            return Reality(Found.MOVING, ran.text)
        if ran.code not in (0, TRY_AGAIN):
            return Reality(Found.UNSEEN, ran.complaint)
        try:
            answer = ran.answer()
        except WrongAnswer as error:
            return Reality(Found.UNSEEN, str(error))
        otherwise = Found.DONE if ran.code == 0 else Found.MOVING
        if ran.code == TRY_AGAIN and answer.state is Found.DONE:
            return Reality(Found.UNSEEN, f"exit status {TRY_AGAIN}, yet done: {answer.text}")
        return Reality(answer.state or otherwise, answer.text or f"{self._name} says {otherwise}")

    def _said(self, ran: _Ran) -> str:
        return last_line(ran.stderr) or last_line(ran.stdout) or f"{self._name} asks to try again"

    def _digest(self) -> str:
        with self._settings.script.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _run(self, verb: Verb, order: Order) -> _Ran:
        wrong = unusable(self._settings.script)
        if wrong:
            return _Ran(None, "; ".join(f"{self._settings.script} {each.what}" for each in wrong), started=False)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            return _Ran(None, f"{self._folder} cannot be made: {error.strerror}", started=False)
        job = {
            "command": [str(self._settings.script), verb], "environment": self._environment(order),
            "folder": str(self._folder), "lock": str(self._folder / ".running"), "keep": KEPT,
            "stdin": json.dumps(_facts(self._name, order)),
            "timeout": self._settings.timeout, "grace": self._settings.grace,
        }  # fmt: skip
        ran = self._supervised(job)
        log.info(
            "script ended",
            extra={"landing": self._name, "verb": verb, "action_id": order.action_id, "outcome": ran.text},
        )
        return ran

    # Any: JSON
    def _supervised(self, job: dict[str, Any]) -> _Ran:
        limit = self._settings.timeout + self._settings.grace + _SLACK
        process = subprocess.Popen(
            [sys.executable, "-I", script_process.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            told, trouble = process.communicate(json.dumps(job).encode(), timeout=limit)
        except subprocess.TimeoutExpired:  # left alone: nobody is killed half way, and its lock says that it is there
            return _Ran(None, f"{self._name} runs on after {limit:g} s", timed_out=True)
        if process.returncode or not told:
            return _Ran(None, f"nobody knows how {self._name} ended: {last_line(trouble.decode(errors='replace'))}")
        return self._told(json.loads(told))

    def _told(self, answer: dict[str, Any]) -> _Ran:  # Any: JSON
        if answer.get("busy"):
            return _Ran(None, f"{self._name} is still at work since before", busy=True)
        if "not_started" in answer:
            return _Ran(None, f"{self._settings.script} cannot be started: {answer['not_started']}", started=False)
        code, seconds = answer["code"], answer["seconds"]
        text = f"exit status {code} after {seconds:.1f} s" if code is not None and code >= 0 else f"signal {-code}"
        if answer["timed_out"]:
            code, text = None, f"not done within {self._settings.timeout:g} s, and ended"
        return _Ran(
            code, text, answer["stdout"], answer["stderr"], answer["stdout_bytes"], timed_out=answer["timed_out"]
        )

    def _environment(self, order: Order) -> dict[str, str]:
        """All that the script finds in its environment."""
        facts = {f"AIRBAG_{name.upper()}": _plain(value) for name, value in _facts(self._name, order).items()
                 if name not in ("plan", "expected")}  # fmt: skip
        own = {
            "HOME": str(self._folder), "AIRBAG_STATE_DIR": str(self._folder),
            "AIRBAG_TIMEOUT": f"{self._settings.timeout:g}",
        }  # fmt: skip
        return _basics() | own | facts | dict(self._settings.environment)


def _basics() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _facts(name: str, order: Order) -> dict[str, Any]:  # Any: JSON
    """The order as scripts get it: as JSON on stdin, and without the last two in the environment."""
    return {
        "action_id": order.action_id, "key": order.key, "fence": order.fence, "landing": name,
        "serving": order.serving, "model": order.model_name, "bad_version": order.bad_version,
        "target_version": order.target, "alertname": order.alertname, "step": order.step,
        "expected": sorted(order.expected), "plan": order.plan.get("plan", {}),
    }  # fmt: skip
