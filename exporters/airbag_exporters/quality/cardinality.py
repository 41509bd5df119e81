"""How many series the configuration allows, said before Prometheus feels it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airbag.errors import ConfigError, Problem
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.counting import ModelSeries, series


def check_series(config: ExportersConfig) -> tuple[ModelSeries, ...]:
    """The series of every model; ConfigError when there may be more than `quality.series_max` in all."""
    found = series(config)
    most, limit = sum(each.most for each in found), config.quality.series_max
    if most > limit:
        largest = max(found, key=lambda each: each.most)
        remedy = (
            f"{largest.model} on {largest.serving} has most, {largest.per_version:,} for each of "
            f"{largest.versions_max} versions; lower its quality.versions_max, or look at fewer features"
        )
        raise ConfigError(
            "exporters.yml", [Problem("quality.series_max", f"is {limit:,}, and there may be {most:,} series", remedy)]
        )
    return found


def told(found: Sequence[ModelSeries], limit: int) -> Iterator[str]:
    """Lines for people."""
    yield "series of the quality exporter, at most:"
    for each in found:
        yield (
            f"  {each.serving}/{each.model}: {each.most:,} ({each.per_version:,} a version, "
            f"{each.versions_max} versions at a time)"
        )
    yield f"  in all {sum(each.most for each in found):,}; quality.series_max is {limit:,}"
