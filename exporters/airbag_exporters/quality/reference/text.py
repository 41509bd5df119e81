"""What `airbag reference` shows on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from airbag_exporters.quality.reference.compare import Difference
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference


def reference_table(reference: Reference) -> Table:
    """A line a feature."""
    table = Table(title=f"ref {reference.ref}", caption=escape(reference.source), title_justify="left")
    for name in ("feature", "kind", "bins", "rows", "missing", "range, or most frequent"):
        table.add_column(name, justify="right" if name in ("bins", "rows", "missing") else "left")
    for name, profile in {**reference.features, **({"score": reference.score} if reference.score else {})}.items():
        bins = len(profile.le) if isinstance(profile, Numeric) else len(profile.counts) + 1
        share = profile.missing / max(profile.rows + profile.missing, 1)
        table.add_row(
            escape(name), profile.kind, str(bins), f"{profile.rows:,}", f"{share:.2%}", escape(_range(profile))
        )
    return table


def _range(profile: Numeric | Categorical) -> str:
    if isinstance(profile, Numeric):
        return f"{profile.minimum:.6g} to {profile.maximum:.6g}"
    most = sorted(profile.counts, key=lambda category: -profile.counts[category])[:3]
    return ", ".join(f"{category} {profile.counts[category] / max(profile.rows, 1):.1%}" for category in most)


def difference_table(differences: Iterable[Difference]) -> Table:
    """A line a feature; a number well above its noise stands out."""
    table = Table()
    for name in ("feature", "PSI, nats", "noise", "KS", "noise", "missing", "note"):
        table.add_column(name, justify="left" if name in ("feature", "note") else "right")
    for each in differences:
        table.add_row(
            escape(each.feature),
            _number(each.psi, each.psi is not None and each.psi > 3 * (each.psi_floor or 0)),
            _number(each.psi_floor),
            _number(each.ks, each.ks is not None and each.ks > (each.ks_floor or 0)),
            _number(each.ks_floor),
            "{:.2%} → {:.2%}".format(*each.missing) if each.missing else "",
            escape(each.note),
        )
    return table


def _number(value: float | None, stands_out: bool = False) -> str:
    shown = "" if value is None else f"{value:.4f}"
    return f"[bold]{shown}[/bold]" if stands_out else shown
