"""Writes grafana/dashboards/*.json: `python -m grafana.src.build`, or with `--check` says which are not what they would be."""

from __future__ import annotations

import sys
from pathlib import Path

from grafana.src import fleet, itself, model, pipelines, quality, rollbacks, servers
from grafana.src.page import json_of

PAGES = (fleet, model, quality, rollbacks, servers, pipelines, itself)
FOLDER = Path(__file__).parents[1] / "dashboards"


def files() -> dict[str, str]:
    """The text of each file by its name."""
    pages = [module.page() for module in PAGES]
    return {f"{page.uid}.json": json_of(page) for page in pages}


def main(check: bool) -> int:
    wanted = files()
    there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    changed = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if check:
        for name in changed:
            print(
                f"airbag: grafana/dashboards/{name} is not what grafana/src gives; run make dashboards", file=sys.stderr
            )
        return 1 if changed else 0
    FOLDER.mkdir(exist_ok=True)
    for name in changed:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name])
        else:
            (FOLDER / name).unlink()
    print(f"{len(changed)} of {len(wanted)} dashboards written")
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
