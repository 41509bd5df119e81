"""The part `machine`: its memory."""

from __future__ import annotations

import psutil

from airbag.exposition import Samples
from airbag_exporters.host import families
from airbag_exporters.host.part import Look


def look_at_machine() -> Look:
    """Memory of the whole machine, whatever control group this process is in."""
    samples, memory = Samples(families.OF_MACHINE), psutil.virtual_memory()
    samples.add(families.MEMORY, (), memory.total)
    samples.add(families.AVAILABLE, (), memory.available)
    return Look(samples)
