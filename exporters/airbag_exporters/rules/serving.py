"""What TF Serving's answers say about each version: how many failed or were slow, and how far chance explains it.

- A record is per version, so a new release is judged on its own traffic from its first second on.
- Requests that no single version can be blamed for ("switching", "multiple") are left out.
- Sums are taken after `increase`, so several targets and restarts come out right.
- A denominator is `> 0`: without traffic a ratio is absent, and an absent ratio is no verdict.
"""

from __future__ import annotations

from airbag_exporters.rules.promql import VERSION, increase, root
from airbag_exporters.rules.rule import Record

STANDARD_ERRORS = 3
"""What is granted to chance: a version with a few unlucky requests stays."""

BLAMELESS = "OK|CANCELLED|NOT_FOUND|UNAUTHENTICATED|PERMISSION_DENIED"
"""What a client did wrong by itself is not the release's fault. INVALID_ARGUMENT may be: a changed signature is."""

_OF_ONE = 'model_version!~"switching|multiple"'


def answers(w: str) -> list[Record]:
    """Failures among requests, and slow ones among answers, each with its lower bound."""
    return [
        *_share(
            w, "tfs_requests", f"airbag_tfs_requests_total{{{_OF_ONE}}}", "tfs_errors_per_request",
            f'airbag_tfs_requests_total{{{_OF_ONE},status!~"{BLAMELESS}"}}',
        ),
        *_share(
            w, "tfs_answers", f"airbag_tfs_answers_total{{{_OF_ONE}}}", "tfs_slow_per_answer",
            f"airbag_tfs_slow_requests_total{{{_OF_ONE}}}",
        ),
    ]  # fmt: skip


def _share(w: str, all_of: str, every: str, name: str, bad: str) -> list[Record]:
    count, ratio = f"model_version:airbag_{all_of}:increase{w}", f"model_version:airbag_{name}:ratio{w}"
    stderr = f"model_version:airbag_{name}:stderr{w}"
    return [
        Record(count, increase(VERSION, every, w)),
        Record(ratio, f"{increase(VERSION, bad, w)} / ({count} > 0)"),
        Record(stderr, root(f"{ratio} * (1 - {ratio}) / ({count} > 0)")),
        Record(f"model_version:airbag_{name}:lower_bound{w}", f"{ratio} - {STANDARD_ERRORS} * {stderr}"),
    ]
