"""What BLEU and TER of a corpus follow from: sums over its sentences, whatever the batches that they came in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from airbag_exporters.quality.columns import Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.slices import Part, series_rows
from airbag_exporters.quality.hashing import hash_texts
from airbag_exporters.quality.models import Spec

CHARACTERS_MAX = 20_000
"""Of a translation and of its reference; both are cut there, to bound the memory that n-grams take."""
TER_WORDS_MAX = 64
"""A longer sentence, or one with a longer reference, is not sampled for TER: up to here it takes 1.5 s at worst (8 ms
for 25 words in their usual order), and it grows with the square."""

_ORDERS = series_rows(("1", "2", "3", "4"))
_PREFIX = 256  # characters of a reference that decide whether it is sampled


class Translation:
    """N-gram matches and tokens as sacrebleu counts them (tokenizer 13a, as cased), and the edits of a sample.

    Whether a sentence is sampled is decided by the hash of its reference alone: it is the same on every replica, on a
    second delivery, and for every version that translates it.
    """

    def __init__(self, spec: Spec) -> None:
        self._sampled = spec.quality.ter_sample

    def parts(self) -> Iterator[Part]:
        """The series."""
        yield Part(families.NGRAM_MATCHES, _ORDERS)
        yield Part(families.NGRAMS, _ORDERS)
        yield Part(families.OUTPUT_TOKENS)
        yield Part(families.REFERENCE_TOKENS)
        yield Part(families.TER_EDITS)
        yield Part(families.TER_WORDS)
        yield Part(families.TER_SENTENCES)

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Nothing: there is nothing to compare with yet."""

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Compare the translations with their references."""
        if not batch.texts:
            return
        pairs = [(output[:CHARACTERS_MAX], reference[:CHARACTERS_MAX]) for output, reference in batch.texts]
        outputs, references = (list(texts) for texts in zip(*pairs, strict=True))
        bleu = _bleu()
        score = bleu.corpus_score(outputs, [references])
        _forget(bleu)
        block.add(families.NGRAM_MATCHES, score.counts)
        block.add(families.NGRAMS, score.totals)
        block.add(families.OUTPUT_TOKENS, score.sys_len)
        block.add(families.REFERENCE_TOKENS, score.ref_len)
        self._count_edits(block, [pairs[row] for row in _sample(references, self._sampled)])

    def _count_edits(self, block: Block, sample: Sequence[tuple[str, str]]) -> None:
        short = [pair for pair in sample if all(len(text.split()) <= TER_WORDS_MAX for text in pair)]
        if short:
            ter = _ter()
            score = ter.corpus_score([output for output, _ in short], [[reference for _, reference in short]])
            _forget(ter)
            block.add(families.TER_EDITS, score.num_edits)
            block.add(families.TER_WORDS, int(score.ref_length))
            block.add(families.TER_SENTENCES, len(short))


def _sample(references: Sequence[str], share: float) -> list[int]:
    """The rows whose reference hashes into that share of all hashes."""
    hashes = hash_texts([text[:_PREFIX] for text in references])
    return np.flatnonzero((hashes >> np.uint64(11)).astype(np.float64) < share * 2.0**53).tolist()


# sacrebleu is an optional dependency, and is imported when the first translation comes.
@lru_cache(maxsize=1)
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(smooth_method="none", force=True)  # `force`: no advice on texts that look tokenized


@lru_cache(maxsize=1)
def _ter() -> Any:
    from sacrebleu.metrics.ter import TER

    return TER()


def _forget(metric: Any) -> None:
    """Drop the texts that sacrebleu's tokenizers remember, 65,536 each, which may be hundreds of megabytes."""
    for tokenizer in (metric.tokenizer, getattr(metric.tokenizer, "_post_tokenizer", None)):
        remembering = getattr(type(tokenizer).__call__, "cache_clear", None)
        if remembering:
            remembering()
