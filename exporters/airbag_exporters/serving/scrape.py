"""The scrape page of the pollers: what lies ready in them, joined family by family. Nothing is fetched here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from airbag.exposition import Samples
from airbag_exporters.serving import families
from airbag_exporters.serving.fleet import GroupState, Key
from airbag_exporters.serving.page import Chunks, expectation_lines
from airbag_exporters.serving.target_state import TargetState


def fleet_page(groups: Iterable[GroupState]) -> Iterator[bytes]:
    """The whole page of the configured servers."""
    targets: dict[Key, TargetState] = {}
    chunks: list[Chunks] = []
    for each in groups:
        targets.update({(each.group.name, name): state for name, state in each.targets.items()})
        chunks.append(expectation_lines(each.group.name, each.group.models_max, each.expectations))
    return _joined([*chunks, *_chunks(targets)])


def probe_page(serving: str, target: str, models_max: int, state: TargetState) -> Iterator[bytes]:
    """The page of one server."""
    expected = {model.name: model.expect for model in state.models}
    return _joined([expectation_lines(serving, models_max, expected), *_chunks({(serving, target): state})])


def _chunks(targets: Mapping[Key, TargetState]) -> list[Chunks]:
    polls = Samples(families.POLLS)
    for names, state in targets.items():
        if state.polled_at is None:
            continue
        polls.add(families.UP, names, int(state.parts.get("status", False)))
        polls.add(families.DURATION, names, state.duration)
        polls.add(families.POLLED, names, state.polled_at)
        polls.add(families.MODELS, names, len(state.models))
        for part, success in state.parts.items():
            polls.add(families.PART, (*names, part), int(success))
    return [_whole(polls), *(state.lines for state in targets.values())]


def _whole(samples: Samples) -> Chunks:
    return {family: [text] for family, text in samples.text().items()}


def _joined(parts: list[Chunks]) -> Iterator[bytes]:
    for family in families.ALL:
        texts = [text for part in parts for text in part.get(family, ())]
        yield "".join([family.head, *texts]).encode(errors="replace")
