"""Who leads, as series, and what models.config says about who led."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from airbag.errors import ConfigError
from airbag.log import Complaints
from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.config import Settings
from airbag_rollback.journal import Journal, JournalError
from airbag_rollback.journal.audit import head_number

log = logging.getLogger("airbag.receiver")


class LeadStanding(Collector):
    """Whether this process leads, the newest fence, and the head of the audit: both series of one moment."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._complaints = Complaints(log)

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not read the journal."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "airbag_rollback_leader", "Whether this receiver leads; of several on one journal only the leader acts.",
            float(self._journal.lease.is_valid),
        )  # fmt: skip
        try:
            held, (seq, head) = self._journal.lease.holder(), self._journal.audit.head()
        except JournalError as error:
            self._complaints.warn("the journal cannot be read for the scrape", error)
            return
        yield GaugeMetricFamily(
            "airbag_rollback_fence", "The fencing token of the latest leader; it grows with every change.",
            float(held.fence if held else 0),
        )  # fmt: skip
        yield CounterMetricFamily("airbag_rollback_audit_records", "Records that the audit ever had.", float(seq))
        yield GaugeMetricFamily(
            "airbag_rollback_audit_head", "The first 48 bits of the newest audit record's MAC, to verify the audit by.",
            float(head_number(head)),
        )  # fmt: skip


def written_fence(settings: Settings) -> int:
    """The highest fence in any models.config. A file that cannot be read now has none to tell."""
    fences = [0]
    for group in settings.servings.servings:
        if group.model_config_file is not None:
            with contextlib.suppress(ConfigError):
                fences.append(ModelConfigFile(group.model_config_file).read().fence)
    return max(fences)
