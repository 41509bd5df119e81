"""BLEU and TER, against sacrebleu."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from tests.prometheus.records.promtool import Case, Counts, Labels, Sample, replayed, series
from tests.prometheus.records.rows import version

PAIRS = [
    ("The cat sat on the mat.", "The cat was sitting on the mat."),
    ("He went to the market to buy fresh bread today.", "Today he went to the market to buy fresh bread."),
    ("It rains, so we stay at home today.", "It is raining, so we are staying at home today."),
    ("The committee will publish its report on Friday.", "The committee will publish its report on Friday."),
    ("Prices rose by 3.5% in the last quarter.", "In the last quarter, prices rose by 3.5 %."),
    ("Please close the window before you leave the room.", "Please shut the window before leaving the room."),
    ("The river has flooded the fields near the village.", "The river flooded the fields close to the village."),
    ("Nobody knows.", "Nobody knows the answer to that question yet."),
]  # fmt: skip
"""What a model said, and what it should have said."""

POOR = [("the cat of the big house", "a cat lives in that house"), ("on Monday we all eat", "we eat fish every Monday")]
"""Without one four-gram in common."""

WRONG = [("one two three four five", "eins zwei drei vier fünf sechs")]
"""Without a word in common."""

SHORT = [("one two", "one two")]
"""Without a four-gram at all."""


def case() -> Case:
    """A usual corpus, and those for which the formula has an exception."""
    shown: dict[str, list[float]] = {}
    expected: list[Sample] = []
    corpora = {"usual": PAIRS * 5, "poor": POOR * 5, "wrong": WRONG * 5, "short": SHORT * 5}
    for model, pairs in corpora.items():
        of = version(model)

        def count(rows: np.ndarray, of: Labels = of, pairs: list[tuple[str, str]] = pairs) -> Counts:
            return _count(of, [pairs[row] for row in rows])

        shown |= replayed(count, len(pairs))
        said, wanted = [pair[0] for pair in pairs], [[pair[1] for pair in pairs]]
        if model != "short":
            bleu = BLEU().corpus_score(said, wanted).score
            expected.append(Sample("model_version:airbag_quality_bleu:score5m", of, bleu))
        ter = TER().corpus_score(said, wanted).score / 100
        tokens = sum(len(_tokens(text)) for text in said)
        expected.append(Sample("model_version:airbag_quality_ter:ratio5m", of, ter))
        expected.append(Sample("model_version:airbag_quality_bleu_output_tokens:increase5m", of, tokens))
    return Case(shown, expected)


def _tokens(text: str) -> list[str]:
    return Tokenizer13a()(text).split()


def _count(of: Labels, pairs: list[tuple[str, str]]) -> Counts:
    counts: Counts = {}
    for order in range(1, 5):
        counts[series("airbag_quality_bleu_ngram_match_total", **of, order=str(order))] = 0.0
        counts[series("airbag_quality_bleu_ngram_total", **of, order=str(order))] = 0.0
    edits = words = outputs = references = 0.0
    for said, wanted in pairs:
        output, reference = _tokens(said), _tokens(wanted)
        outputs, references = outputs + len(output), references + len(reference)
        for order in range(1, 5):
            mine, theirs = _ngrams(output, order), _ngrams(reference, order)
            counts[series("airbag_quality_bleu_ngram_match_total", **of, order=str(order))] += (mine & theirs).total()
            counts[series("airbag_quality_bleu_ngram_total", **of, order=str(order))] += mine.total()
        ter = TER().sentence_score(said, [wanted])
        edits, words = edits + ter.num_edits, words + ter.ref_length
    return counts | {
        series("airbag_quality_bleu_output_tokens_total", **of): outputs,
        series("airbag_quality_bleu_reference_tokens_total", **of): references,
        series("airbag_quality_ter_edits_total", **of): edits,
        series("airbag_quality_ter_reference_words_total", **of): words,
    }


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))
