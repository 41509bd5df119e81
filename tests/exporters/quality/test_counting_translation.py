"""Corpus BLEU and TER follow from sums over sentences, whatever the batches, to sacrebleu's last digit."""

from __future__ import annotations

import math
import random

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp
from sacrebleu.tokenizers.tokenizer_ter import TercomTokenizer

from airbag_exporters.quality.counting.translation import CHARACTERS_MAX, TER_WORDS_MAX
from tests.exporters.quality.counted import Seen, counted, outcomes_of, predictions_of, spec_of

WORDS = (
    "the",
    "a",
    "cat",
    "dog,",
    "sat",
    "mat.",
    "3.5",
    "days",
    "&amp;",
    "ran-away",
    "“über”",
    "naïve,",
    "isn't",
    "猫",
)


def sentences(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Translations that are their references with some words changed, dropped or moved."""
    draw = random.Random(seed)  # noqa: S311 - sentences, not secrets
    pairs = []
    for _ in range(count):
        reference = draw.choices(WORDS, k=draw.randint(1, 14))
        output = [draw.choice(WORDS) if draw.random() < 0.2 else word for word in reference if draw.random() < 0.95]
        if draw.random() < 0.3:
            output = output[len(output) // 2 :] + output[: len(output) // 2]
        pairs.append((" ".join(output), " ".join(reference)))
    return pairs


def bleu(seen: Seen) -> float:
    """Papineni et al. 2002, equation 1, without smoothing."""
    matches, ngrams = seen.by("order", "bleu_ngram_match"), seen.by("order", "bleu_ngram")
    precision = sum(math.log(matches[order] / ngrams[order]) for order in "1234") / 4
    brevity = min(0.0, 1 - seen.value("bleu_reference_tokens") / seen.value("bleu_output_tokens"))
    return 100 * math.exp(precision + brevity)


def batches(pairs: list[tuple[str, str]], size: int) -> list:
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return [outcomes_of(len(part), texts=part) for part in parts]


@pytest.mark.parametrize("size", [1, 7, 200])
def test_bleu_and_ter_are_those_of_the_whole_corpus(size: int) -> None:
    pairs = sentences(200)
    outputs, references = [list(texts) for texts in zip(*pairs, strict=True)]
    seen = counted(spec_of("translation", ter_sample=1), *batches(pairs, size))
    assert bleu(seen) == pytest.approx(BLEU().corpus_score(outputs, [references]).score, rel=1e-12)
    ratio = 100 * seen.value("ter_edits") / seen.value("ter_reference_words")
    assert ratio == pytest.approx(TER().corpus_score(outputs, [references]).score, rel=1e-12)
    assert seen.value("ter_sentences") == seen.value("labelled", correct="") == 200


def test_the_same_sentences_are_sampled_for_every_version_and_in_every_batch() -> None:
    pairs = sentences(2_000)
    others = [("something else", reference) for _, reference in pairs]
    spec = spec_of("translation", ter_sample=0.1)
    whole, parts = counted(spec, *batches(pairs, 2_000)), counted(spec, *batches(pairs, 300))
    other = counted(spec, *batches(others, 2_000))
    assert whole.text == parts.text
    assert whole.value("ter_reference_words") == other.value("ter_reference_words")
    assert 100 < whole.value("ter_sentences") < 300


@pytest.mark.parametrize(("share", "sampled"), [(0.0, 0), (1.0, 50)])
def test_none_and_all_may_be_sampled(share: float, sampled: int) -> None:
    seen = counted(spec_of("translation", ter_sample=share), *batches(sentences(50), 50))
    assert seen.value("ter_sentences") == sampled


def test_a_sentence_that_is_too_long_for_ter_still_counts_for_bleu() -> None:
    words = " ".join(["word"] * TER_WORDS_MAX)
    pairs = [(words, words), (f"{words} more", words), (words, f"{words} more")]
    seen = counted(spec_of("translation", ter_sample=1), *batches(pairs, 3))
    assert seen.value("ter_sentences") == 1
    assert seen.value("bleu_output_tokens") == 3 * TER_WORDS_MAX + 1


def test_a_text_is_cut_where_it_would_cost_too_much_memory() -> None:
    text = "x " * CHARACTERS_MAX
    seen = counted(spec_of("translation", ter_sample=1), outcomes_of(1, texts=[(text, text)]))
    assert seen.value("bleu_output_tokens") == seen.value("bleu_reference_tokens") == CHARACTERS_MAX / 2


@pytest.mark.parametrize("pair", [("", ""), ("", "a cat"), ("a cat", ""), ("\n\t", "…"), ("\ud800", "\ud800 b")])
def test_texts_of_any_shape_are_counted(pair: tuple[str, str]) -> None:
    seen = counted(spec_of("translation", ter_sample=1), outcomes_of(1, texts=[pair]))
    assert seen.value("labelled", correct="") == seen.value("ter_sentences") == 1


def test_texts_are_not_kept_after_they_were_counted() -> None:
    counted(spec_of("translation", ter_sample=1), outcomes_of(1, texts=[("a secret", "no secret")]))
    for tokenizer in (Tokenizer13a, TokenizerRegexp, TercomTokenizer):
        assert tokenizer.__call__.cache_info().currsize == 0


def test_a_batch_without_texts_changes_nothing() -> None:
    spec = spec_of("translation")
    seen = counted(spec, predictions_of(2, texts=["a", "b"]), outcomes_of(0, texts=[]))
    assert seen.value("predictions", predicted="") == 2
    assert seen.value("bleu_output_tokens") == 0
