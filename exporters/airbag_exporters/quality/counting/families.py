"""Every family that is counted: its name, its help, its labels."""

from __future__ import annotations

from typing import Literal

from airbag.exposition import Family

MODEL = ("serving", "model_name")
VERSION = (*MODEL, "model_version")


def _version(name: str, text: str, *labels: str, kind: Literal["counter", "histogram"] = "counter") -> Family:
    ending = "_total" if kind == "counter" else ""
    return Family(f"airbag_quality_{name}{ending}", kind, text, (*VERSION, *labels))


PREDICTIONS = _version("predictions", "Predictions by the class that was predicted.", "predicted")
ENTROPY = _version("prediction_entropy_nats", "Sum of the entropies of the predicted probabilities.")
ENTROPY_ROWS = _version("prediction_entropy_rows", "Predictions whose entropy was summed.")

LABELLED = _version("labelled", "Predictions that got their label, by whether they were right.", "correct")
OUTCOMES = _version("outcomes", "Labelled predictions by predicted and actual class.", "predicted", "actual", "correct")
CLASS = _version(
    "class", "Labelled predictions of a class: predicted as it, actually it, or both (`tp`).", "class", "kind"
)

SCORE_LE = _version(
    "score_le",
    "Labelled predictions with a score up to the upper edge of the bin, by actual class.",
    "ref", "actual", "bin", "prev",
)  # fmt: skip
SCORE_SUM_LE = _version(
    "score_sum_le", "Sum of the scores of the labelled predictions up to the bin.", "ref", "bin", "prev"
)
SCORED = _version("scored", "Labelled predictions with probabilities, which Brier score and log loss are means over.")
SQUARED_ERROR = _version("squared_error", "Sum of squared errors, of probabilities or of predicted numbers.")
LOG_LOSS = _version("log_loss_nats", "Sum of log losses; probabilities are clipped as scikit-learn does.")
ABSOLUTE_ERROR = _version("absolute_error", "Sum of absolute errors of predicted numbers.")
ERROR = _version("error", "Sum of the errors, predicted minus actual, of one sign.", "sign")
TARGET = _version("target", "Sum of the actual numbers minus the mean of the reference, of one sign.", "sign")
TARGET_SQUARED = _version("target_squared", "Sum of the squares of the actual numbers minus the mean of the reference.")

FEATURE_LE = _version(
    "feature_le", "Values of a feature up to the upper edge of the bin.", "feature", "ref", "bin", "prev"
)
FEATURE_CATEGORY = _version("feature_category", "Values of a feature by category.", "feature", "ref", "category")
FEATURE_MISSING = _version("feature_missing", "Predictions that lacked a value of the feature.", "feature")
OUT_OF_RANGE = _version(
    "feature_out_of_range", "Values outside of what the reference holds, and infinite ones.", "feature"
)

SEGMENT_PREDICTIONS = _version("segment_predictions", "Predictions by segment.", "segment", "value")
SEGMENT_LABELLED = _version(
    "segment_labelled", "Labelled predictions by segment and whether they were right.", "segment", "value", "correct"
)
SEGMENT_ERROR = _version(
    "segment_absolute_error", "Sum of absolute errors of predicted numbers by segment.", "segment", "value"
)

LABEL_DELAY = _version("label_delay_seconds", "Time from a prediction to its label.", kind="histogram")
CLIENT_LATENCY = _version("client_latency_seconds", "Time that the client waited for a prediction.", kind="histogram")

NGRAM_MATCHES = _version("bleu_ngram_match", "N-grams of translations that their reference has.", "order")
NGRAMS = _version("bleu_ngram", "N-grams of translations.", "order")
OUTPUT_TOKENS = _version("bleu_output_tokens", "Tokens of translations.")
REFERENCE_TOKENS = _version("bleu_reference_tokens", "Tokens of the references of translations.")
TER_EDITS = _version("ter_edits", "Edits that turn sampled translations into their references.")
TER_WORDS = _version("ter_reference_words", "Words of the references of sampled translations.")
TER_SENTENCES = _version("ter_sentences", "Translations that were sampled for their edits.")

LABELS = Family(
    "airbag_quality_labels_total", "counter", "Labels, and predictions that expired without one.", (*MODEL, "result")
)

COUNTED = (
    PREDICTIONS, ENTROPY, ENTROPY_ROWS,
    LABELLED, OUTCOMES, CLASS,
    SCORE_LE, SCORE_SUM_LE, SCORED, SQUARED_ERROR, LOG_LOSS, ABSOLUTE_ERROR, ERROR, TARGET, TARGET_SQUARED,
    FEATURE_LE, FEATURE_CATEGORY, FEATURE_MISSING, OUT_OF_RANGE,
    SEGMENT_PREDICTIONS, SEGMENT_LABELLED, SEGMENT_ERROR,
    LABEL_DELAY, CLIENT_LATENCY,
    NGRAM_MATCHES, NGRAMS, OUTPUT_TOKENS, REFERENCE_TOKENS, TER_EDITS, TER_WORDS, TER_SENTENCES,
    LABELS,
)  # fmt: skip
"""In the order of the page."""
