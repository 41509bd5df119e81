"""One server under test, the folder it reads, and the models that every row may ask."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from tests.conformance.kit.store import Store, replace
from tests.conformance.kit.watch import Call, Watch
from tests.conformance.kit.wire import Wire, parse_config
from tests.fakes import saved_models
from tests.fakes.wait import until

PAUSED = "this keeps the server from applying its file while a row works {{{\n"
BOTH = "model_version_policy { all {} }"
STABLE = " version_labels { key: 'stable' value: 1 }"
COUNTED = ("request_count", "request_latency_count", "runtime_latency_count", "request_example_count_total")
BASE: Mapping[str, str] = {
    "m": BOTH, "pair": "", "echo": "", "failing": "", "hollow": "", "erring": "", "examples": "", "hang": "",
    "slow": "",
}  # fmt: skip


class World:
    """What a row works with. `config_file` is the file the server polls, None when there is none or it is unknown.

    A row publishes versions under `world.base(name)`, names fresh models with `world.fresh`, and replaces the server's
    configuration with `world.apply`, which always keeps the shared models.
    """

    def __init__(
        self, wire: Wire, store: Store, *, patience: float, config_file: Path | None = None, attempts: int | None = None
    ) -> None:
        self.wire, self.store, self.patience = wire, store, patience
        self.config_file = config_file
        self.attempts = attempts
        """How often a load is tried, where the flags are known."""
        self._prefix = store.root.name[-4:]
        self._numbers = itertools.count(1)
        self._canary = itertools.count(2)
        self.shared = {kind: f"{kind}-{self._prefix}" for kind in BASE}

    def name(self, kind: str) -> str:
        """The full name of a shared model: one of `BASE`."""
        return self.shared[kind]

    def fresh(self, hint: str = "row") -> str:
        """A model name that nobody has used."""
        return f"{hint}-{self._prefix}-{next(self._numbers)}"

    def base(self, name: str) -> Path:
        return self.store.base(name)

    def seen(self, path: Path) -> str:
        return self.store.seen(path)

    def publish_shared(self) -> None:
        """Write the shared models, and the one that shows when a file-system poll has passed."""
        base = {kind: self.base(name) for kind, name in self.shared.items()}
        saved_models.add_model(base["m"], 1)
        saved_models.add_model(base["m"], 2, scale=3.0, offset=1.0)
        saved_models.two_inputs(base["pair"], 1)
        saved_models.echo(base["echo"], 1)
        saved_models.failing(base["failing"], 1)
        saved_models.without_variables(base["hollow"], 1)
        saved_models.erring(base["erring"], 1)
        saved_models.examples(base["examples"], 1)
        saved_models.hanging(base["hang"], 1)
        saved_models.slow(base["slow"], 1, 1.0)
        saved_models.add_model(self.base(self.canary), 1)

    def fill(self, text: str) -> str:
        """The full names of shared models for `$m`, `$pair` and so on."""
        return Template(text).safe_substitute(self.shared)

    @property
    def canary(self) -> str:
        return f"canary-{self._prefix}"

    def text(
        self,
        models: Mapping[str, str] | None = None,
        *,
        labels: bool = True,
        paths: Mapping[str, str] | None = None,
        extra: Sequence[str] = (),
    ) -> str:
        """The whole configuration: the shared models and these, each with more text of its own.

        `paths` are base paths other than the usual; `extra` are entries as they are.
        """
        shared = {self.shared[kind]: more for kind, more in BASE.items()}
        if labels:
            shared[self.shared["m"]] += STABLE
        every = {**shared, self.canary: "", **(models or {})}
        entries = [
            entry(name, (paths or {}).get(name) or self.seen(self.base(name)), more) for name, more in every.items()
        ]
        return "model_config_list {\n" + "\n".join([*entries, *extra]) + "\n}\n"

    def config(self, models: Mapping[str, str] | None = None, **more: Any) -> Any:
        return parse_config(self.text(models, **more))

    def apply(self, models: Mapping[str, str] | None = None, *, timeout: float | None = None, **more: Any) -> Any:
        """Replace the server's configuration by RPC: the shared models and these."""
        return self.wire.reload(self.config(models, **more), timeout=timeout or 2 * self.patience)

    def serve_shared(self) -> None:
        """Load the shared models, then label the first of them. Also heals a server that was told to unload them."""
        self.apply(labels=False)
        for name in (*self.shared.values(), self.canary):
            self.wait(lambda name=name: "AVAILABLE" in self.wire.states(name), f"{name} AVAILABLE")  # type: ignore[misc]
        self.wait_states(self.name("m"), "2 AVAILABLE, 1 AVAILABLE")
        self.apply()

    def pause_polling(self) -> None:
        """Let the polled file be one that cannot be read, so that the server leaves the rows' configurations alone."""
        if self.config_file is not None:
            replace(self.config_file, PAUSED)

    @contextlib.contextmanager
    def polled(self) -> Iterator[Callable[[str | None], None]]:
        """Write what the server polls; at the end polling is paused again."""
        file = self.config_file
        assert file is not None

        try:
            yield lambda text: replace(file, text)
        finally:
            self.pause_polling()

    def wait(self, look: Callable[[], object], what: str) -> Any:
        return until(look, timeout=self.patience, what=what, every=0.01)

    def wait_states(self, name: str, states: str) -> None:
        """Wait until the status of all versions reads so: `2 AVAILABLE, 1 END`."""

        def look() -> bool:
            found = self.wire.states(name)
            if found != states:
                raise LookupError(f"{name} is {found}")
            return True

        self.wait(look, f"{name}: {states}")

    def wait_polls(self, count: int = 2) -> None:
        """Wait until the server has looked at its files so often, and acted: each time another canary is served."""
        for _ in range(count):
            version = next(self._canary)
            saved_models.add_model(self.base(self.canary), version)
            self.wait(lambda v=version: self.wire.serving(self.canary) == v, "a file-system poll")  # type: ignore[misc]

    def watch(self, name: str) -> Watch:
        return Watch(self.wire, name)

    def load(self, name: str, policy: str = "", states: str = "1 AVAILABLE") -> str:
        """Serve one more model and wait for its states; returns the name."""
        self.apply({name: policy})
        self.wait_states(name, states)
        return name

    @contextlib.contextmanager
    def held(self) -> Iterator[Call]:
        """A request of the shared model `hang` that runs until the block ends, and is answered then."""
        name = self.name("hang")
        runs = self.runs()
        call = Call(lambda: self.wire.predict(name, timeout=None))
        try:
            self.wait(lambda: self.runs() > runs, "the held request running")
            yield call
        finally:
            self.wire.predict(name, signature="release")
            call.result(self.patience)

    def runs(self) -> int:
        """Session runs that were begun since the server started; 0 without a metrics page."""
        return self.wire.page().value("core:direct_session_runs") or 0

    def counters(self) -> dict[str, int]:
        """The counters of requests, as `request_count m OK`."""
        page = self.wire.page()
        return {
            " ".join([name, *(value or '""' for _, value in one.labels)]): int(one.value)
            for name in COUNTED
            for one in page.of(f"serving:{name}")
        }

    def counts(self, act: Callable[[], object], expected: Mapping[str, int]) -> None:
        """What `act` adds to the counters of requests is exactly this."""
        before = self.counters()
        act()

        def grown() -> dict[str, int]:
            return {
                key: value - before.get(key, 0) for key, value in self.counters().items() if value != before.get(key)
            }

        with contextlib.suppress(AssertionError):
            until(lambda: grown() == dict(expected), timeout=5, every=0.05)
        assert grown() == dict(expected)


def entry(name: str, base_path: str, more: str = "", platform: str = 'model_platform: "tensorflow"') -> str:
    """One model of a configuration."""
    return f'config {{ name: "{name}" base_path: "{base_path}" {platform} {more} }}'


def specific(*versions: int) -> str:
    inner = " ".join(f"versions: {version}" for version in versions)
    return f"model_version_policy {{ specific {{ {inner} }} }} "


def labels(found: Mapping[str, int]) -> str:
    return " ".join(f"version_labels {{ key: '{key}' value: {value} }}" for key, value in found.items())
