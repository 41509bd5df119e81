"""From values to HTML."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from airbag import __version__
from airbag.clock import Clock
from airbag_rollback.pages import words
from airbag_rollback.pages.assets import Assets
from airbag_rollback.pages.graph import Graph


class Renderer:
    """The templates. A name that a template uses and nobody gave is an error, and everything is escaped."""

    def __init__(self, assets: Assets, graph: Graph, clock: Clock) -> None:
        self._clock = clock
        self._templates = Environment(
            loader=PackageLoader("airbag_rollback.pages"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= words.FILTERS
        self._templates.globals |= {"asset": assets.path, "graph": graph.link, "airbag_version": __version__}

    def html(self, template: str, **values: object) -> str:
        """The rendered template; `now` is always there."""
        return self._templates.get_template(template).render(now=self._clock.now(), **values)
