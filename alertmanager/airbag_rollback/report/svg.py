"""From matplotlib's SVG to one that lives inside a page: its colours are the page's, its names its own."""

from __future__ import annotations

import re
from html import escape

_ID = re.compile(r'(\bid="|url\(#|href="#)')
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_META = re.compile(r"<metadata>.*?</metadata>\s*|<style[^>]*>.*?</style>\s*", re.DOTALL)
_OPEN = re.compile(r"<svg [^>]*>", re.DOTALL)
_BOX = re.compile(r'viewBox="([^"]+)"')
_FAMILY = re.compile(r"(font: [^;\"]*?px) [^;\"]*")


def for_page(text: str, key: str, label: str, stand_ins: dict[str, str]) -> str:
    """The `svg` element alone. `stand_ins` are the colours that it was drawn in, each with what takes its place.

    A style sheet inside would hold for the whole page, so it goes; what it said stands on the element.
    """
    text = _META.sub("", _HEAD.sub("", text))
    box = _BOX.search(text)
    assert box is not None, "matplotlib writes a viewBox"  # noqa: S101 - what we rest on
    head = f'<svg class="chart" viewBox="{box[1]}" role="img" aria-label="{escape(label)}">'
    text = _OPEN.sub(lambda _: head, text, count=1).replace("xlink:href", "href")
    text = _FAMILY.sub(r"\1 var(--chart-font)", text)
    for colour, name in stand_ins.items():
        text = text.replace(colour, name)
    return _ID.sub(rf"\g<1>{key}-", text)
