"""What `airbag repo` shows: one JSON document per model, and tables made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from airbag.repository import Signatures, VersionFacts, differences, span
from airbag_rollback.look import TargetView
from airbag_rollback.prune import Removal, leftovers
from airbag_rollback.store import Survey

Document = dict[str, Any]  # Any: JSON


def document(
    survey: Survey, serving: tuple[int, Signatures] | None, sums: Mapping[int, str], only: int | None = None
) -> Document:
    """All that is known of a model's versions, newest first, or of the one in `only`."""
    versions = [v for v in sorted(survey.repository.versions, reverse=True) if only in (None, v)]
    return {
        "serving": survey.group.name,
        "model_name": survey.model,
        "base_path": str(survey.base),
        "versions": [_version(survey, v, serving, sums.get(v, "")) for v in versions],
        "leftovers": [path.name for path in leftovers(survey)],
        "notes": list(survey.notes),
    }


def _version(survey: Survey, version: int, serving: tuple[int, Signatures] | None, sha256: str) -> Document:
    facts, fate = survey.repository.versions[version], survey.fate(version)
    return {
        "version": version,
        "path": str(survey.repository.listing.path(version)),
        "servers": {target.name: _state(target, version) for target in survey.view.targets},
        "complete": facts.complete,
        "problem": facts.reason,
        "size_bytes": facts.size,
        "files": facts.files,
        "created_at": facts.created_at,
        "changed_at": facts.touched_at,
        "sha256": sha256 or None,
        "signature": facts.signatures.digest if facts.signatures else None,
        "signature_changes": _changes(facts, serving),
        "signatures": _signatures(facts),
        "card": facts.card.model_dump(mode="json", exclude_none=True) if facts.card else None,
        "card_problems": list(facts.card_problems),
        "would_be_pruned": bool(fate and fate.goes),
        "reasons": list(fate.reasons) if fate else [],
    }


def _state(target: TargetView, version: int) -> str:
    if target.error:
        return "unreachable"
    if target.default == version:
        return "answers"
    found = (status for status in target.versions if status.version == version)
    return next((f"{each.state.name} {each.error_code}".removesuffix(" OK") for each in found), "not loaded")


def _changes(facts: VersionFacts, serving: tuple[int, Signatures] | None) -> Document | None:
    """Against what serves; None when either side is not known."""
    if serving is None or facts.signatures is None:
        return None
    found = differences(serving[1], facts.signatures)
    return {
        "against": serving[0],
        "compatible": not any(each.breaks for each in found),
        "differences": [each.text for each in found],
    }


def _signatures(facts: VersionFacts) -> list[str]:
    def tensors(found: Mapping[str, object]) -> str:
        return ", ".join(f"{name} {tensor}" for name, tensor in sorted(found.items()))

    each = sorted(facts.signatures.by_name.items()) if facts.signatures else []
    return [f"{name}({tensors(found.inputs)}) -> {tensors(found.outputs)}" for name, found in each]


def plan(survey: Survey, removals: Sequence[Removal], *, dry_run: bool) -> Document:
    """What a prune would do or did."""
    return {
        "serving": survey.group.name,
        "model_name": survey.model,
        "base_path": str(survey.base),
        "keep_last": survey.keep.keep_last,
        "keep_for_seconds": survey.keep.keep_for,
        "dry_run": dry_run,
        "refused": survey.refusal,
        "versions": [
            {
                "version": fate.version,
                "size_bytes": survey.repository.versions[fate.version].size,
                "goes": fate.goes,
                "reasons": list(fate.reasons),
            }
            for fate in survey.fates
        ],
        "leftovers": [path.name for path in leftovers(survey)],
        "removals": [
            {"name": each.name, "removed": each.removed, "size_bytes": each.size, "text": each.text}
            for each in removals
        ],
        "notes": list(survey.notes),
    }


def as_json(found: object) -> str:
    """For other programs."""
    return json.dumps(found, indent=2)


def listing(survey: Survey, found: Document, now: float) -> Table:
    """The table of `airbag repo list`."""
    table = Table("version", "servers", "complete", "size", "age", "trained", "sha256", "signature", "prune",
                  title=f"{survey.group.name}/{survey.model} in {survey.base}", title_justify="left")  # fmt: skip
    for each in found["versions"]:
        servers = ", ".join(f"{name} {state}" for name, state in each["servers"].items())
        age = span(max(0.0, now - (each["created_at"] or each["changed_at"])))
        card = each["card"] or {}
        fate = ("goes: " if each["would_be_pruned"] else "stays: ") + "; ".join(each["reasons"])
        row = [
            str(each["version"]), servers, each["problem"] or "yes", size(each["size_bytes"]), age,
            card.get("trained_at", "-")[:10], (each["sha256"] or "-")[:12], _against(each["signature_changes"]), fate,
        ]  # fmt: skip
        table.add_row(*map(escape, row))
    return table


def _against(changes: Document | None) -> str:
    if changes is None:
        return "-"
    if not changes["differences"]:
        return "same"
    return "compatible" if changes["compatible"] else "breaks clients"


def pruning(survey: Survey, removals: Sequence[Removal], *, dry_run: bool) -> Table:
    """The table of `airbag repo prune`; its last line says what was or would be freed."""
    keep = f"keep the newest {survey.keep.keep_last}"
    keep += f" and what is younger than {span(survey.keep.keep_for)}" if survey.keep.keep_for else ""
    gone = {each.name: each for each in removals}
    table = Table("version", "size", "", "why", title=f"{survey.group.name}/{survey.model} in {survey.base}: {keep}",
                  title_justify="left")  # fmt: skip
    for fate in survey.fates:
        removal = gone.pop(str(fate.version), None)
        word = "goes" if fate.goes else "stays"
        if removal:
            word = "removed" if removal.removed else "not removed"
        text = removal.text if removal else str(fate)
        table.add_row(str(fate.version), size(survey.repository.versions[fate.version].size), word, escape(text))
    if dry_run:
        for path in leftovers(survey):
            table.add_row(escape(path.name), "", "goes", "left by an interrupted prune")
    for removal in gone.values():
        table.add_row(escape(removal.name), "", "removed" if removal.removed else "not removed", escape(removal.text))
    table.caption, table.caption_justify = _sum(survey, removals, dry_run=dry_run), "left"
    return table


def _sum(survey: Survey, removals: Sequence[Removal], *, dry_run: bool) -> str:
    if survey.refusal:
        return f"nothing may be removed: {escape(survey.refusal)}"
    if dry_run:
        total = sum(survey.repository.versions[version].size for version in survey.goes)
        return f"{len(survey.goes)} would go and free {size(total)}; --yes removes them"
    return f"{sum(each.removed for each in removals)} removed, {size(sum(each.size for each in removals))} freed"


def details(found: Document) -> str:
    """The lines of `airbag repo show`."""
    [each] = found["versions"]
    card = each["card"] or {}
    changes = each["signature_changes"]
    rows: list[tuple[str, object]] = [
        ("model", f"{found['serving']}/{found['model_name']}"),
        ("version", each["version"]),
        ("path", each["path"]),
        *((f"on {name}", state) for name, state in each["servers"].items()),
        ("complete", each["problem"] or "yes"),
        ("size", f"{size(each['size_bytes'])} in {each['files']} files"),
        ("model file written", _time(each["created_at"])),
        ("last change", _time(each["changed_at"])),
        ("sha256", each["sha256"] or "cannot be read whole"),
        ("signature", each["signature"] or "not known"),
        *(("", line) for line in each["signatures"]),
        *((name.replace("_", " "), value) for name, value in card.items() if name != "metrics"),
        *((f"metric {name}", value) for name, value in card.get("metrics", {}).items()),
        *(("airbag.yaml", problem) for problem in each["card_problems"]),
        ("prune", ("goes: " if each["would_be_pruned"] else "stays: ") + "; ".join(each["reasons"])),
    ]
    if changes:
        word = _against(changes)
        rows.append((f"against {changes['against']}, which serves", word))
        rows += [("", text) for text in changes["differences"]]
    return "\n".join(f"{name:26}{value}".rstrip() for name, value in rows)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
