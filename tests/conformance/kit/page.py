"""The metrics page, read the way it is written: raw newlines, braces and broken bytes in label values included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_TYPE = re.compile(r"# TYPE (\S+) (\S+)\n")
_SAMPLE = re.compile(r'([^\s{]+)\{((?:[^\s="]+="(?:[^"\\]|\\.)*",?)*)\} (\S+)\n', re.DOTALL)
_LABEL = re.compile(r'([^\s=",]+)="((?:[^"\\]|\\.)*)"', re.DOTALL)
_PART = re.compile(r"_(?:bucket|sum|count)$")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """One line. Label values are as they stand on the page, escapes not undone."""

    name: str
    labels: Labels
    value: str

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for key, _ in self.labels)

    @property
    def label(self) -> dict[str, str]:
        return dict(self.labels)


@dataclass(frozen=True)
class Page:
    """`others` are the lines that are neither a TYPE line nor a sample."""

    raw: bytes

    @cached_property
    def text(self) -> str:
        return self.raw.decode("utf-8", "surrogateescape")

    @cached_property
    def _parts(self) -> tuple[list[tuple[str, str]], list[Sample], list[str], list[str]]:
        types: list[tuple[str, str]] = []
        samples: list[Sample] = []
        others: list[str] = []
        order: list[str] = []
        at = 0
        while at < len(self.text):
            if found := _TYPE.match(self.text, at):
                types.append((found[1], found[2]))
                order.append(f"# {found[1]}")
            elif found := _SAMPLE.match(self.text, at):
                samples.append(Sample(found[1], tuple(_LABEL.findall(found[2])), found[3]))
                order.append(found[1])
            else:
                end = self.text.find("\n", at) + 1 or len(self.text)
                others.append(self.text[at:end])
                at = end
                continue
            at = found.end()
        return types, samples, others, order

    @property
    def types(self) -> list[tuple[str, str]]:
        """Name and kind of every TYPE line, in order."""
        return self._parts[0]

    @property
    def kind(self) -> dict[str, str]:
        return dict(self.types)

    @property
    def samples(self) -> list[Sample]:
        return self._parts[1]

    @property
    def others(self) -> list[str]:
        return self._parts[2]

    @property
    def order(self) -> list[str]:
        """What each line is about: `# NAME` for a TYPE line, the sample's name else."""
        return self._parts[3]

    def family(self, name: str) -> str:
        """The announced metric that a sample belongs to."""
        return name if name in self.kind else _PART.sub("", name)

    def of(self, name: str, **labels: str) -> list[Sample]:
        """The samples of that name (without `:tensorflow:`) that carry these labels, among others."""
        wanted = labels.items()
        return [one for one in self.samples if one.name == f":tensorflow:{name}" and wanted <= one.label.items()]

    def value(self, name: str, **labels: str) -> int | None:
        """The value of the sample with exactly these labels; None when it is not there."""
        found = [one for one in self.of(name, **labels) if len(one.labels) == len(labels)]
        return int(found[0].value) if found else None

    def edges(self, name: str, **labels: str) -> list[str]:
        """The `le` of each bucket of the first matching series."""
        rows = self.of(f"{name}_bucket", **labels)
        first = [pair for pair in rows[0].labels if pair[0] != "le"] if rows else []
        return [one.label["le"] for one in rows if [pair for pair in one.labels if pair[0] != "le"] == first]

    def histograms(self) -> Iterator[tuple[str, Labels, list[Sample], list[str]]]:
        """Every series of a histogram: name, labels, its buckets, and the names of the two lines behind them."""
        index = 0
        while index < len(self.samples):
            one = self.samples[index]
            name = self.family(one.name)
            if self.kind.get(name) != "histogram":
                index += 1
                continue
            labels = tuple(pair for pair in one.labels if pair[0] != "le")
            buckets = []
            while index < len(self.samples) and self.samples[index].name == f"{name}_bucket":
                if tuple(p for p in self.samples[index].labels if p[0] != "le") != labels:
                    break
                buckets.append(self.samples[index])
                index += 1
            rest = [s.name for s in self.samples[index : index + 2] if s.labels == labels]
            index += max(len(rest), 1 if not buckets else 0)
            yield name, labels, buckets, rest
