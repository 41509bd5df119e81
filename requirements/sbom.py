"""`make sbom`: what the image's Python is made of, as CycloneDX JSON. The same lock and date give the same bytes."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import click
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from airbag import __version__
from requirements.licences import licence
from requirements.lock import Locked, read_lock

HERE = Path(__file__).parent
NAME = "tfs-airbag"


def bill(lock: Path, made: datetime) -> str:
    """The bill of what `lock` installs on this Python, with each package's licence and what needs it."""
    entries = [each for each in read_lock(lock) if each.applies]
    ours = Component(name=NAME, version=__version__, type=ComponentType.APPLICATION, bom_ref=NAME,
                     purl=PackageURL("pypi", None, NAME, __version__),
                     licenses=[LicenseFactory().make_from_string("Apache-2.0")])  # fmt: skip
    parts = {each.name: _component(each) for each in entries}
    bom = Bom(components=parts.values(), serial_number=uuid5(NAMESPACE_URL, f"{NAME}@{__version__}:{_digest(entries)}"))
    bom.metadata.component = ours
    bom.metadata.timestamp = made
    bom.metadata.properties.add(Property(name="airbag:python", value=".".join(platform.python_version_tuple()[:2])))
    bom.register_dependency(ours, [parts[name] for name in needs(NAME, parts)])
    for name, part in parts.items():
        bom.register_dependency(part, [parts[each] for each in needs(name, parts)])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def needs(name: str, locked: Iterable[str]) -> list[str]:
    """Which of the locked packages this one uses, by its installed metadata; of extras what is locked."""
    extras = ["", *(metadata.metadata(name).get_all("Provides-Extra") or [])]
    asked = {
        canonicalize_name(each.name)
        for each in map(Requirement, metadata.requires(name) or [])
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    }
    return sorted(asked & set(locked) - {name})


def _component(entry: Locked) -> Component:
    purl = PackageURL("pypi", None, entry.name, entry.version)
    files = [HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:")) for each in entry.hashes]
    said = licence(entry.name)
    return Component(
        name=entry.name,
        version=entry.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        licenses=[LicenseFactory().make_from_string(said)] if said else [],
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=files,
                              comment="one of these files, by platform")
        ],
    )  # fmt: skip


def _digest(entries: Iterable[Locked]) -> str:
    return ",".join(f"{each.name}@{each.version}" for each in entries)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--lock", type=click.Path(path_type=Path, exists=True), default=HERE / "base.lock", show_default=True)
def main(file: Path, lock: Path) -> None:
    """Write the bill of materials to FILE. SOURCE_DATE_EPOCH is its date, as everywhere."""
    made = int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.now(UTC).timestamp())
    file.write_text(bill(lock, datetime.fromtimestamp(made, UTC)))


if __name__ == "__main__":
    main()
