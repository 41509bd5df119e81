"""How far numbers are off."""

from __future__ import annotations

from airbag_exporters.rules.promql import VERSION, increase, of_kind, root
from airbag_exporters.rules.rule import Record


def regression(w: str) -> list[Record]:
    """Needs `labelled` of the same window before it."""
    rows = f"(model_version:airbag_quality_labelled:increase{w} > 0)"
    squared = f"model_version:airbag_quality_squared_error:increase{w}"
    mae = f"model_version:airbag_quality_mae:mean{w}"
    total = f"({_signed('airbag_quality_target_total', w)})"
    spread = f"{increase(VERSION, 'airbag_quality_target_squared_total', w)} - {total} ^ 2 / {rows}"
    return [
        Record(squared, f"{increase(VERSION, 'airbag_quality_squared_error_total', w)} {of_kind('regression')}"),
        Record(mae, f"{increase(VERSION, 'airbag_quality_absolute_error_total', w)} / {rows}"),
        Record(f"model_version:airbag_quality_mae:stderr{w}", root(f"({squared} / {rows} - {mae} ^ 2) / {rows}")),
        Record(f"model_version:airbag_quality_rmse:root{w}", root(f"{squared} / {rows}")),
        Record(
            f"model_version:airbag_quality_bias:mean{w}",
            f"({_signed('airbag_quality_error_total', w)}) / {rows}",
        ),
        Record(f"model_version:airbag_quality_r2:ratio{w}", f"1 - {squared} / ({spread} > 0)"),
    ]


def _signed(counter: str, w: str) -> str:
    """A counter cannot fall, so what is below 0 is counted apart."""
    above, below = (increase(VERSION, f'{counter}{{sign="{sign}"}}', w) for sign in ("positive", "negative"))
    return f"{above} - {below}"
