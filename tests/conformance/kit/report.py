"""What is printed at the end: every row with its section, and what each section came to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

Key = tuple[str, str, str]


def summarise(to: Any, *, every_row: bool) -> None:
    """`to` is pytest's terminal reporter, which has the reports; it ships no public type."""
    found: dict[Key, str] = {}
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reports in to.stats.items():
        for report in reports:
            row = dict(getattr(report, "user_properties", ())).get("row")
            if row is None or outcome not in ("passed", "failed", "skipped", "error"):
                continue
            key = (row[0], row[1], row[2])
            worse = outcome in ("failed", "error") or key not in found
            found[key] = outcome if worse else found[key]
            if outcome == "skipped":
                reasons[row[0]][str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    if not found:
        return
    if every_row:
        _rows(to, found)
    _sections(to, found, reasons)


def _order(key: Key) -> list[int]:
    return [int(part) for part in key[0].split(".")]


def _rows(to: Any, found: Mapping[Key, str]) -> None:
    to.section("conformance rows: section, result, evidence in the reference, statement")
    for key in sorted(found, key=_order):
        to.line(f"{key[0]:5} {found[key]:8} {key[2]}  {key[1]}")


def _sections(to: Any, found: Mapping[Key, str], reasons: Mapping[str, Counter[str]]) -> None:
    to.section("conformance by section")
    to.line(f"{'section':8}{'passed':>8}{'failed':>8}{'skipped':>8}  why skipped")
    total: Counter[str] = Counter()
    for section in dict.fromkeys(key[0] for key in sorted(found, key=_order)):
        count = Counter(found[key].replace("error", "failed") for key in found if key[0] == section)
        total += count
        why = "; ".join(f"{number}x {reason}" for reason, number in reasons.get(section, Counter()).items())
        to.line(f"{section:8}{count['passed']:>8}{count['failed']:>8}{count['skipped']:>8}  {why}".rstrip())
    to.line(f"{'all':8}{total['passed']:>8}{total['failed']:>8}{total['skipped']:>8}")
