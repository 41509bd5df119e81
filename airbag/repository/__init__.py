"""A model's base_path on disk: which versions lie there, what they are, and which of them may go.

Both sides use it. It only looks, at local files alone: nothing here removes anything or talks to a server.
"""

from __future__ import annotations

from airbag.repository.card import Card
from airbag.repository.checksum import Changed, checksum
from airbag.repository.facts import Repository, VersionFacts, file_system, look, scan, stored
from airbag.repository.folder import File
from airbag.repository.retention import Fate, Stored, Uses, asked_for, fates, span, used
from airbag.repository.signatures import Difference, Signatures, compatible, differences, of_map
from airbag.repository.versions import PRUNED, QUARANTINED, Listing, list_versions, version_number

__all__ = [
    "PRUNED",
    "QUARANTINED",
    "Card",
    "Changed",
    "Difference",
    "Fate",
    "File",
    "Listing",
    "Repository",
    "Signatures",
    "Stored",
    "Uses",
    "VersionFacts",
    "asked_for",
    "checksum",
    "compatible",
    "differences",
    "fates",
    "file_system",
    "list_versions",
    "look",
    "of_map",
    "scan",
    "span",
    "stored",
    "used",
    "version_number",
]
