"""The page at /: what this process is, and where its doors are. For people; works without JavaScript."""

from __future__ import annotations

import html
from collections.abc import Iterable

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;color:#1b1f24;background:#fff}"
    "header{background:#b3400f;color:#fff;padding:1rem 1.5rem}"
    "h1{font-size:1.5rem;margin:0}header p{margin:.25rem 0 0}"
    "main{padding:1rem 1.5rem}li{margin:.25rem 0}a{color:#0b57d0}"
    "@media (prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}a{color:#8ab4f8}}"
)


def landing_page(name: str, version: str, about: str, links: Iterable[tuple[str, str]]) -> str:
    """The whole page. `links` are addresses and what they lead to."""
    items = "".join(f'<li><a href="{html.escape(to)}">{html.escape(text)}</a></li>' for to, text in links)
    title = html.escape(name)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><header><h1>{title}</h1><p>Airbag {html.escape(version)}</p></header>"
        f"<main>{f'<p>{html.escape(about)}</p>' if about else ''}<ul>{items}</ul></main></body></html>\n"
    )
