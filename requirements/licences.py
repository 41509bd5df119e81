"""Under which licence a package comes, as its own metadata says, in the names of SPDX."""

from __future__ import annotations

import re
from importlib import metadata

ALLOWED = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Unlicense",
     "Zlib", "LGPL-3.0-only"}
)  # fmt: skip
"""What may be used, linked and shipped beside Airbag's own licence. The last is that of the driver of PostgreSQL."""

_NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def licence(name: str) -> str | None:
    """The SPDX expression of an installed package: what it declares, else what older metadata amounts to.

    None when it says nothing that can be understood. PackageNotFoundError when it is not installed.
    """
    about = metadata.metadata(name)
    declared = about.get_all("License-Expression")
    if declared:
        return str(declared[0])
    classifiers = [str(each).rpartition(" :: ")[2] for each in about.get_all("Classifier", []) if "License" in each]
    texts = [*classifiers, *map(str, about.get_all("License", []))]
    return next((found for text in texts if (found := _NAMES.get(text) or _plain(text))), None)


def _plain(text: str) -> str | None:
    return text if text in ALLOWED else None


def refused(expression: str) -> list[str]:
    """The licences in this expression that are not allowed; every one counts, also those one could choose against."""
    words = re.findall(r"[\w.+-]+", expression)
    return sorted({word for word in words if word not in {"AND", "OR", "WITH"}} - ALLOWED)
