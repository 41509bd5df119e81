"""Scripts of operators, written by tests, and orders to run them with."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airbag_rollback.actions.landing import Order, Planned
from airbag_rollback.actions.script import Script
from airbag_rollback.policy import ScriptLanding
from airbag_rollback.records import Action
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Surroundings, bench

SHIPPED = Path(__file__).parents[2] / "alertmanager" / "scripts"


def write_script(path: Path, body: str, interpreter: str = "/bin/sh") -> Path:
    """An executable file with that body; the body may be indented."""
    path.write_text(f"#!{interpreter}\n{textwrap.dedent(body).strip()}\n")
    path.chmod(0o755)
    return path


def order(**changes: Any) -> Order:  # fields of Order
    """Going from 3 back to 2 as action 9, fenced with 4."""
    base = Order(9, "main/digits/5/3/2/0", "main", "digits", 3, 2, "AirbagErrorRatioHigh", 4, frozenset({3}), None)
    return replace(base, **changes)


@dataclass
class Stage:
    """A script as a landing, with a folder for its state, and orders that carry its plan."""

    script: Path
    folder: Path
    environment: dict[str, str]
    timeout: float = 30.0
    grace: float = 0.5
    restores: bool = True

    @property
    def landing(self) -> Script:
        settings = ScriptLanding.model_construct(
            script=self.script, timeout=self.timeout, grace=self.grace, restores=self.restores,
            environment=self.environment,
        )  # fmt: skip
        return Script("stage", settings, self.folder)

    def planned(self, **changes: Any) -> Order:  # fields of Order
        """An order with the plan that the script made for it."""
        meant = order(**changes)
        plan = self.landing.plan(meant)
        assert isinstance(plan, Planned), plan
        return replace(meant, plan=plan.document)


def use(around: Surroundings, name: str, stage: Stage, **policy: str) -> None:
    """Let the policy land by that script."""
    environment = "".join(f"\n      {key}: {json.dumps(value)}" for key, value in stage.environment.items())
    around.write_policy(
        landing=name,
        landings=f"\n  {name}:\n    script: {stage.script}\n    restores: {str(stage.restores).lower()}"
        + (f"\n    environment:{environment}" if environment else ""),
        **policy,
    )


def handle(around: Surroundings) -> Action:
    """What became of a bad release, from the alert to its end."""
    with bench(around) as desk:
        desk.released()
        around.bad_release()
        desk.post(alert())
        return desk.run_until_ended()
