"""A report as who reads it finds it."""

from __future__ import annotations

import re
from html import unescape

_TAG = re.compile(r"<[^>]+>")


def plain(html: str) -> str:
    """The text without tags, its blanks as one."""
    return " ".join(unescape(_TAG.sub(" ", html)).split())


def section(html: str, heading: str) -> str:
    """What stands between this heading and the next one of its kind or above."""
    found = re.search(rf"<h(\d)[^>]*>{re.escape(heading)}</h\1>", html)
    assert found, f"no heading {heading}"
    rest = html[found.end() :]
    end = re.search(rf"<h[2-{found[1]}][ >]|</main>", rest)
    return rest[: end.start()] if end else rest


def rows(html: str) -> list[list[str]]:
    """The cells of every row of the tables' bodies."""
    bodies = "".join(re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL))
    found = re.findall(r"<tr>(.*?)</tr>", bodies, re.DOTALL)
    return [[plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in found]


def charts(html: str) -> list[str]:
    """The drawings."""
    return re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
