"""Servers with their models.config and model store, for landings that are called directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from airbag.serving.groups import ModelEntry, ServingGroup, Target
from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.actions.landing import Effect, Landing, Order, Planned, Result
from airbag_rollback.look import Lookout
from tests.fakes.serving_state import StatefulServing, stateful_serving

CONFIG = """\
model_config_list {{
  config {{
    name: "other"   # not ours to touch
    base_path: "{store}/other"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 7 }} }}
    {other_labels}
  }}
  config {{
    name: "digits"
    base_path: "{store}/digits"
    model_platform: "tensorflow"
    {policy}
    {labels}
  }}
}}
"""


@dataclass
class Yard:
    """`servers` listen and serve what `file` says; versions 1 to 3 of digits and 7 of other lie in the store."""

    folder: Path
    servers: list[StatefulServing]
    lookout: Lookout
    routing: Literal["default", "labels"] = "default"
    with_file: bool = True
    plans: list[Planned] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "models.config"

    @property
    def base(self) -> Path:
        return self.folder / "store" / "digits"

    @property
    def group(self) -> ServingGroup:
        """The serving as exporters.yml would have it."""
        named = zip(("one", "two", "three"), self.servers, strict=False)
        base = None if self.with_file else self.base
        return ServingGroup(
            name="main", targets=tuple(Target(name=name, grpc=each.address) for name, each in named),
            models=(ModelEntry(name="digits", routing=self.routing, base_path=base),),
            model_config_file=self.file if self.with_file else None,
        )  # fmt: skip

    def lay_out(
        self, *versions: int, labels: Mapping[str, int] | None = None, other_labels: Mapping[str, int] | None = None
    ) -> None:
        """Write the store and the file, and let every server have loaded what it says."""
        for model, number in (("digits", 1), ("digits", 2), ("digits", 3), ("other", 7)):
            self.version(number, model)
        policy = " ".join(f"versions: {version}" for version in versions)
        self.file.write_text(
            CONFIG.format(
                store=self.folder / "store", policy=f"model_version_policy {{ specific {{ {policy} }} }}",
                labels=_labels(labels), other_labels=_labels(other_labels),
            )
        )  # fmt: skip
        for server in self.servers:
            server.load(self.file.read_text())

    def version(self, number: int, model: str = "digits") -> Path:
        """A complete version in the store."""
        folder = self.folder / "store" / model / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_bytes(b"model")
        return folder

    def order(self, bad: int = 3, target: int = 2) -> Order:
        """An order to go back, as things stand."""
        view = self.lookout.look(self.group, "digits")
        return Order(
            1, f"main/digits/1/{bad}/{target}/0", "main", "digits", bad, target, "AirbagErrorRatioHigh", 0,
            view.serves, view.wanted,
        )  # fmt: skip

    def planned(self, landing: Landing, order: Order | None = None) -> Order:
        """The order with its plan, which must be possible."""
        order = order or self.order()
        plan = landing.plan(order)
        assert isinstance(plan, Planned), plan
        self.plans.append(plan)
        return replace(order, plan=plan.document)

    def named(self) -> tuple[tuple[int, ...], dict[str, int]]:
        """Versions and labels of digits in the file."""
        snapshot = ModelConfigFile(self.file).read()
        return snapshot.versions("digits"), dict(snapshot.model("digits").version_labels)

    def up(self, server: int = 0) -> set[int]:
        """The versions of digits that are AVAILABLE."""
        return {version for version, state in self.servers[server].models["digits"].items() if state == 30}


def refused(plan: Any) -> tuple[Result, str, str]:
    """Result, reason and text of a plan that is none."""
    assert isinstance(plan, Effect), plan
    return plan.result, plan.reason, plan.text


def _labels(labels: Mapping[str, int] | None) -> str:
    return " ".join(f'version_labels {{ key: "{key}" value: {value} }}' for key, value in (labels or {}).items())


@contextmanager
def yard(folder: Path, servers: int = 1) -> Iterator[Yard]:
    """Running servers that serve 3 beside 2."""
    with ExitStack() as stack:
        lookout = Lookout()
        stack.callback(lookout.close)
        found = Yard(folder, [stack.enter_context(stateful_serving()) for _ in range(servers)], lookout)
        found.lay_out(2, 3)
        yield found
