"""Corpus BLEU and TER, as sacrebleu computes them from the same counts."""

from __future__ import annotations

import math

from airbag_exporters.rules.promql import VERSION, increase
from airbag_exporters.rules.rule import Record


def translation(w: str) -> list[Record]:
    """BLEU of 0 to 100, and TER as a ratio.

    The n-th order without a match counts as half a match, then a quarter, and so on (sacrebleu's default smoothing,
    "exp"); without any match BLEU is 0. Outputs too short for four-grams have no BLEU.
    """
    matches = f"model_version_order:airbag_quality_bleu_ngram_match:increase{w}"
    ngrams = f"model_version_order:airbag_quality_bleu_ngram:increase{w}"
    output = f"model_version:airbag_quality_bleu_output_tokens:increase{w}"
    reference = increase(VERSION, "airbag_quality_bleu_reference_tokens_total", w)
    empty = f"sum by ({VERSION}) ({matches} == bool 0)"
    precisions = (
        f"(sum by ({VERSION}) (ln({matches} > 0 or {matches} + 1) - ln({ngrams} > 0))"
        f" - {math.log(2)} * {empty} * ({empty} + 1) / 2) / 4"
    )
    complete = f"({empty} < bool 4) and count by ({VERSION}) ({ngrams} > 0) == 4"
    brevity = f"exp(clamp_max(1 - {reference} / ({output} > 0), 0))"
    words = increase(VERSION, "airbag_quality_ter_reference_words_total", w)
    return [
        Record(matches, increase(f"{VERSION}, order", "airbag_quality_bleu_ngram_match_total", w)),
        Record(ngrams, increase(f"{VERSION}, order", "airbag_quality_bleu_ngram_total", w)),
        Record(output, increase(VERSION, "airbag_quality_bleu_output_tokens_total", w)),
        Record(f"model_version:airbag_quality_bleu:score{w}", f"100 * exp({precisions}) * {brevity} * ({complete})"),
        Record(
            f"model_version:airbag_quality_ter:ratio{w}",
            f"{increase(VERSION, 'airbag_quality_ter_edits_total', w)} / ({words} > 0)",
        ),
    ]
