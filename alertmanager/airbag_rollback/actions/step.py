"""One step of a plan by models.config: what the file says of the model after it, and what the servers must show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airbag_rollback.actions.landing import Found, Order, Planned, Reality
from airbag_rollback.look import ModelView, TargetView


@dataclass(frozen=True)
class Step:
    """`versions` is the policy and `labels` the whole label map of the model in models.config after the step."""

    versions: tuple[int, ...]
    labels: Mapping[str, int]

    def reached(self, server: TargetView, target: int) -> bool:
        """Whether the server is there: the target loaded, nothing outside the policy up or coming, labels as meant.

        The highest number answers by default, so that is asked for where the target is the highest.
        """
        by_default = max(self.versions) != target or server.default == target
        by_label = all(server.labels.get(label) == version for label, version in self.labels.items())
        there = target in server.available and server.busy <= set(self.versions)
        return not server.error and there and by_default and by_label


def planned(file: object, view: ModelView, steps: list[Step], text: str) -> Planned:
    """The plan with its steps as JSON."""
    kept = [{"versions": list(step.versions), "labels": dict(step.labels)} for step in steps]
    document = {"file": str(file), "labels_before": dict(view.labelled), "steps": kept}
    return Planned(document, text, len(steps))


def step_of(order: Order) -> Step:
    """The step that the order is about."""
    return _read(order.plan["steps"][order.step])


def before(order: Order) -> tuple[frozenset[int] | None, Mapping[str, int]]:
    """The versions and labels that models.config names before the step."""
    if order.step == 0:
        return order.wanted_before, dict(order.plan["labels_before"])
    last = _read(order.plan["steps"][order.step - 1])
    return frozenset(last.versions), last.labels


def beside(order: Order) -> tuple[int, ...]:
    """The policy that loads the target while all that was wanted stays."""
    there = order.wanted_before if order.wanted_before is not None else order.expected
    return tuple(sorted({*there, *([order.target] if order.target is not None else [])}))


def reality(view: ModelView, order: Order) -> Reality:
    """What the file and the servers show of the step, server by server where they differ."""
    assert order.target is not None  # noqa: S101 - landings that change models.config restore
    target, step = order.target, step_of(order)
    if view.unreachable:
        return Reality(Found.UNSEEN, view.unreachable)
    named = view.wanted, dict(view.labelled)
    if named != (frozenset(step.versions), dict(step.labels)):
        if named == before(order):
            return Reality(Found.BEFORE, "models.config is as before")
        return Reality(Found.OTHER, f"models.config was changed by somebody else and names {names(*named)}")
    late = [server for server in view.answering if not step.reached(server, target)]
    if not late and not view.silent:
        return Reality(Found.DONE, _done(step, target))
    text = unsettled(view, step, target)
    if not late:
        return Reality(Found.UNSEEN, text)
    return Reality(Found.MOVING if all(server.comes(target) for server in late) else Found.PARTLY, text)


def unsettled(view: ModelView, step: Step, target: int) -> str:
    """Who followed, who did not, with the server's own words where a load failed, and who is silent."""
    lines = []
    for each in view.targets:
        if each.error:
            lines.append(f"{each.name} is silent: {each.error}")
        elif step.reached(each, target):
            lines.append(f"{each.name} followed")
        else:
            lines.append(_late(each, step, target))
    return "; ".join(lines)


def _late(server: TargetView, step: Step, target: int) -> str:
    failure = server.failure(target)
    text = f"{server}" + (f"; {target} failed: {failure}" if failure else "")
    for label, version in sorted(step.labels.items()):
        answers = server.labels.get(label)
        if answers != version:
            text += f", label {label} answers {'nothing' if answers is None else answers}"
    return text


def names(versions: frozenset[int] | None, labels: Mapping[str, int]) -> str:
    """Versions and labels for people."""
    text = listed(versions)
    return text + "".join(f", label {label} for {version}" for label, version in sorted(labels.items()))


def listed(versions: frozenset[int] | None) -> str:
    """Version numbers for people."""
    return "no versions" if not versions else ", ".join(str(version) for version in sorted(versions))


def _done(step: Step, target: int) -> str:
    if step.versions == (target,):
        return f"{target} serves alone" + _for_labels(step, target)
    return f"{target} is loaded beside {listed(frozenset(step.versions) - {target})}" + _for_labels(step, target)


def _for_labels(step: Step, target: int) -> str:
    mine = sorted(label for label, version in step.labels.items() if version == target)
    return f" and answers for {', '.join(mine)}" if mine else ""


def _read(document: Mapping[str, Any]) -> Step:  # Any: JSON
    return Step(tuple(document["versions"]), dict(document["labels"]))
