"""What happens while something happens: states as they change, traffic that runs, counters that grow."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

from tests.conformance.kit.wire import Wire


class Loop:
    """Does one thing again and again in a thread of its own until the block ends."""

    def __init__(self, turn: Callable[[], object], pause: float) -> None:
        self._turn, self._pause = turn, pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.turns = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._pause):
            self._turn()
            self.turns += 1


class Watch(Loop):
    """The history of one model's states, each entry different from the one before it."""

    def __init__(self, wire: Wire, name: str) -> None:
        super().__init__(self._look, 0.002)
        self._wire, self._name = wire, name
        self.history: list[dict[int, str]] = []

    def __exit__(self, *why: type[BaseException] | BaseException | TracebackType | None) -> None:
        super().__exit__(*why)
        self._look()  # what came about just before the end

    def _look(self) -> None:
        found = self._wire.versions(self._name)
        if not self.history or found != self.history[-1]:
            self.history.append(found)

    def of(self, version: int) -> list[str]:
        """The states that one version went through."""
        states: list[str] = []
        for each in self.history:
            state = each.get(version)
            if state and (not states or states[-1] != state):
                states.append(state)
        return states

    def always_available(self) -> bool:
        """Whether some version was AVAILABLE at every look after the first that was."""
        served = ["AVAILABLE" in each.values() for each in self.history]
        return True in served and all(served[served.index(True) :])


class Traffic(Loop):
    """One client that names no version, over gRPC or REST, and never stops asking.

    `versions` are those that answered, each different from the one before (over REST: the answers, for x = 1).
    """

    def __init__(self, wire: Wire, name: str, *, rest: bool = False, label: str = "") -> None:
        super().__init__(self._ask_rest if rest else self._ask, 0.001)
        self._wire, self._name, self._label = wire, name, label
        self.versions: list[float] = []
        self.failures: list[str] = []

    def _ask(self) -> None:
        try:
            answer = self._wire.predict(self._name, label=self._label, timeout=30)
        except grpc.RpcError as error:
            self.failures.append(f"{error.code().name}: {error.details()}")
        else:
            self._note(answer.model_spec.version.value)

    def _ask_rest(self) -> None:
        try:
            reply = self._wire.http("POST", f"/v1/models/{self._name}:predict", '{"instances": [1.0]}')
        except OSError as error:
            self.failures.append(repr(error))
            return
        if reply.status == 200:
            self._note(json.loads(reply.body)["predictions"][0])
        else:
            self.failures.append(f"{reply.status} {reply.text}")

    def _note(self, version: float) -> None:
        if not self.versions or self.versions[-1] != version:
            self.versions.append(version)


class Call:
    """One call in the background; `result` waits for its end."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._call()
        except Exception as error:  # noqa: BLE001 - raised again where the result is asked for
            self._outcome = error

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def result(self, timeout: float = 60.0) -> Any:
        """What the call returned; raises what it raised, or AssertionError when it does not end in time."""
        self._thread.join(timeout)
        assert self.is_over, f"the call did not end within {timeout:g} s"
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def stays(look: Callable[[], object], seconds: float, what: str) -> None:
    """AssertionError unless `look` is true all the time; for what must not happen while polls and ticks go by."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert look(), f"{what} did not stay true"
        time.sleep(0.02)
