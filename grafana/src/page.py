"""A dashboard as a whole: the grid, the ids, the annotations, and the text of its file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana.src import variables
from grafana.src.house import BAD, BUSY, GOOD, TAG


class Built(Protocol):
    """Any panel builder of the SDK."""

    def id(self, id_val: int) -> Self: ...
    def title(self, title: str) -> Self: ...
    def grid_pos(self, grid_pos: dashboard.GridPos) -> Self: ...
    def build(self) -> dashboard.Panel: ...


@dataclass
class Page:
    """A dashboard that is filled from left to right, top to bottom. `uid` is its file's name too."""

    uid: str
    title: str
    description: str
    variables: Sequence[Any]  # Any: the SDK's variable builders share no type
    marks: str
    refresh: str = "10s"
    span: str = "now-1h"
    _panels: list[Any] = field(default_factory=list)  # Any: panels and rows
    _x: int = 0
    _y: int = 0
    _deep: int = 0

    def row(self, title: str) -> Page:
        """A heading; what follows belongs to it."""
        self._wrap()
        self._panels.append(
            builders.Row(title).id(self._id(f"row {title}")).grid_pos(dashboard.GridPos(h=1, w=24, x=0, y=self._y))
        )
        self._y += 1
        return self

    def add(self, width: int, height: int, *panels: Built) -> Page:
        """Panels of one size, beside each other as far as there is room."""
        for panel in panels:
            if self._x + width > 24:
                self._wrap()
            kind, title = panel.build().type_val, panel.build().title
            self._panels.append(
                panel.id(self._id(f"{kind} {title}")).grid_pos(
                    dashboard.GridPos(h=height, w=width, x=self._x, y=self._y)
                )
            )
            self._x += width
            self._deep = max(self._deep, height)
        return self

    def build(self) -> dashboard.Dashboard:
        """The SDK's model of it."""
        made = builders.Dashboard(self.title).uid(self.uid).description(self.description).tags([TAG]).readonly()
        made = made.timezone("browser").time(self.span, "now").refresh(self.refresh).variables(list(self.variables))
        made = made.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).link(_siblings())
        for each in _all_marks(self.marks):
            made = made.annotation(each)
        for panel in self._panels:
            made = made.with_row(panel) if isinstance(panel, builders.Row) else made.with_panel(panel)
        return made.build()

    def _wrap(self) -> None:
        self._y += self._deep
        self._x = self._deep = 0

    def _id(self, title: str) -> int:
        """From the words, so that links to a panel outlive the panels around it."""
        return zlib.crc32(title.encode()) % 1_000_000 + 1


def _siblings() -> builders.DashboardLink:
    of = builders.DashboardLink("Airbag").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    return of.as_dropdown(True).include_vars(True).keep_time(True)


def _all_marks(selector: str) -> list[builders.AnnotationQuery]:
    """Releases and what Airbag did, from series: no token is needed, and nothing has to be posted."""
    served = f"airbag_rollback_serving_since_timestamp_seconds{{{selector}}} * 1000"
    ended = f"airbag_rollback_last_action_timestamp_seconds{{%s,{selector}}} * 1000"
    good, bad = 'outcome="succeeded"', 'outcome=~"needs_human|failed"'
    text = "action {{action_id}} {{reason}}"
    return [
        _marks("Releases", BUSY, served, "{{model_name}}: version {{model_version}} serves", "on {{serving}}"),
        _marks("Rollbacks", GOOD, ended % good, "{{model_name}}: rolled back {{from_version}} → {{to_version}}", text),
        _marks("Calls for a person", BAD, ended % bad, "{{model_name}}: {{outcome}}, version {{from_version}}", text),
    ]


def _marks(name: str, color: str, expr: str, title: str, text: str) -> builders.AnnotationQuery:
    made = builders.AnnotationQuery().name(name).datasource(variables.SOURCE).enable(True).icon_color(color).expr(expr)
    return (
        made.title_format(title).text_format(text).tag_keys("serving,model_name").use_value_for_time(True).step("60s")
    )


def json_of(page: Page) -> str:
    """As the file is written: sorted, so that a change shows as one.

    The SDK's `placement` is left out: its only value hides links and annotations in a menu.
    """
    made = json.loads(JSONEncoder().encode(page.build()), object_hook=shown)
    return json.dumps(made, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def shown(found: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Without the SDK's `placement`."""
    return {key: value for key, value in found.items() if (key, value) != ("placement", "inControlsMenu")}
