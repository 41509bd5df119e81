"""What is wrong with a configuration of model quality that only shows when all of it is looked at."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence

from airbag.errors import ConfigError, Problem
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.counting import ModelSeries, series


def check_quality(config: ExportersConfig) -> tuple[ModelSeries, ...]:
    """The series of every model. ConfigError when there may be too many, or when a library is missing."""
    found = series(config)
    problems = [*_too_many(found, config.quality.series_max), *_without_sacrebleu(config)]
    if problems:
        raise ConfigError("exporters.yml", problems)
    return found


def _too_many(found: Sequence[ModelSeries], limit: int) -> Iterator[Problem]:
    most = sum(each.most for each in found)
    if most > limit:
        largest = max(found, key=lambda each: each.most)
        remedy = (
            f"{largest.model} on {largest.serving} has most, {largest.per_version:,} for each of "
            f"{largest.versions_max} versions; lower its quality.versions_max, or look at fewer features"
        )
        yield Problem("quality.series_max", f"is {limit:,}, and there may be {most:,} series", remedy)


def _without_sacrebleu(config: ExportersConfig) -> Iterator[Problem]:
    """It is large, and only translations need it."""
    if importlib.util.find_spec("sacrebleu"):
        return
    for at, group in enumerate(config.servings):
        for number, model in enumerate(group.models):
            if model.quality.kind == "translation":
                path = f"servings[{at}].models[{number}].quality.kind"
                yield Problem(path, "needs sacrebleu, which is missing", 'pip install "tfs-airbag[translation]"')


def told(found: Sequence[ModelSeries], limit: int) -> Iterator[str]:
    """Lines for people."""
    yield "series of the quality exporter, at most:"
    for each in found:
        yield (
            f"  {each.serving}/{each.model}: {each.most:,} ({each.per_version:,} a version, "
            f"{each.versions_max} versions at a time)"
        )
    yield f"  in all {sum(each.most for each in found):,}; quality.series_max is {limit:,}"
