"""Every family of the repository watch, and the lines of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airbag.exposition import Family, Samples
from airbag.repository import Repository, Signatures, VersionFacts, compatible

VERSIONS_MAX = 200
"""Versions of one model that have series of their own: the newest ones. Sums are over all."""

_MODEL = ("serving", "model_name")
_VERSION = (*_MODEL, "model_version")


def _gauge(name: str, text: str, labels: tuple[str, ...] = _VERSION) -> Family:
    return Family(f"airbag_repo_{name}", "gauge", text, labels)


INFO = _gauge(
    "version_info",
    "A version on disk: checksum of its files, hash of its signatures, and who made it of what (airbag.yaml).",
    (*_VERSION, "sha256", "signature", "owner", "change", "code_revision", "data_revision"),
)
COMPLETE = _gauge("version_complete", "Whether the version could be served as it lies on disk.")
SIZE = _gauge("version_size_bytes", "Length of all files of the version.")
CREATED = _gauge(
    "version_created_timestamp_seconds", "Modification time of saved_model.pb, which a copy may have kept."
)
TRAINED = _gauge("version_trained_timestamp_seconds", "When the version was trained (airbag.yaml).")
METRIC = _gauge(
    "version_metric", "What the pipeline measured before it published the version (airbag.yaml).", (*_VERSION, "metric")
)
CARD = _gauge("version_card_problems", "What is wrong with airbag.yaml; absent where there is none.")
MATCHES = _gauge(
    "version_signature_matches_serving", "Whether clients can ask exactly what they can ask of the serving version."
)
COMPATIBLE = _gauge("version_signature_compatible", "Whether clients of the serving version could go on with this one.")
PRUNED = _gauge(
    "version_would_be_pruned",
    "Whether `retention` lets the version go; absent while it is not known what serves. "
    "The rollback receiver's own target is not known here.",
)
ALL_SIZE = _gauge("size_bytes", "Length of all files of all versions.", _MODEL)
VERSIONS = _gauge("versions", "Versions on disk.", _MODEL)
LEFTOVERS = _gauge("prune_leftovers", "Folders that an interrupted `airbag repo prune` left.", _MODEL)

OF_MODEL = (
    INFO, COMPLETE, SIZE, CREATED, TRAINED, METRIC, CARD, MATCHES, COMPATIBLE, PRUNED, ALL_SIZE, VERSIONS, LEFTOVERS,
)  # fmt: skip

SUCCESS = _gauge("scan_success", "Whether the base_path in models.config could be read from here.", _MODEL)
SCANNED = _gauge("last_scan_timestamp_seconds", "When the last scan of the base_path ended.", _MODEL)
DURATION = _gauge("scan_duration_seconds", "How long that scan took.", _MODEL)
DISK_SIZE = _gauge("filesystem_size_bytes", "Size of the file system that holds the base_path.", _MODEL)
DISK_FREE = _gauge("filesystem_free_bytes", "What an ordinary user may still write there.", _MODEL)

OF_SCAN = (SUCCESS, SCANNED, DURATION, DISK_SIZE, DISK_FREE)


@dataclass(frozen=True)
class Shown:
    """What is known of one model. `sha256` and `goes` have the versions for which that is known."""

    serving: str
    model: str
    repository: Repository
    sha256: Mapping[int, str]
    signatures: Signatures | None
    goes: Mapping[int, bool]


def lines(shown: Shown) -> Mapping[Family, str]:
    """The sample lines of one model, by family."""
    samples = Samples(OF_MODEL)
    names = (shown.serving, shown.model)
    for version in sorted(shown.repository.versions, reverse=True)[:VERSIONS_MAX]:
        facts = shown.repository.versions[version]
        labels = (*names, str(version))
        samples.add(COMPLETE, labels, facts.complete)
        samples.add(SIZE, labels, facts.size)
        if facts.created_at is not None:
            samples.add(CREATED, labels, facts.created_at)
        if version in shown.goes:
            samples.add(PRUNED, labels, shown.goes[version])
        if shown.signatures and facts.signatures:
            samples.add(MATCHES, labels, facts.signatures.digest == shown.signatures.digest)
            samples.add(COMPATIBLE, labels, compatible(shown.signatures, facts.signatures))
        _card(samples, labels, facts, shown.sha256.get(version, ""))
    samples.add(ALL_SIZE, names, shown.repository.size)
    samples.add(VERSIONS, names, len(shown.repository.versions))
    samples.add(LEFTOVERS, names, len(shown.repository.listing.leftovers))
    return samples.text()


def _card(samples: Samples, labels: tuple[str, str, str], facts: VersionFacts, sha256: str) -> None:
    card, signature = facts.card, facts.signatures.digest if facts.signatures else ""
    told = [card.owner, card.change, card.code_revision, card.data_revision] if card else [None] * 4
    samples.add(INFO, (*labels, sha256, signature, *(text or "" for text in told)), 1)
    if card or facts.card_problems:
        samples.add(CARD, labels, len(facts.card_problems))
    if card and card.trained_at:
        samples.add(TRAINED, labels, card.trained_at.timestamp())
    for name, value in sorted(card.metrics.items() if card else ()):
        samples.add(METRIC, (*labels, name), value)
