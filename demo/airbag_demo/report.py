"""What one fault's story comes to: the JSON that `--report` writes, and the judgement over it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from airbag_demo.observations import Answer, Outcome, accuracy, first

ACCURACY_TOLERANCE = 0.005


@dataclass(frozen=True)
class Report:
    """One fault. Times are epoch seconds, `recovered_seconds` is first bad to first good, accuracies are 0 to 1.

    Without a bad answer (a version that never loads) the clock starts at the release and ends when the server stands
    on the restored configuration.
    """

    fault: str
    from_version: int
    to_version: int
    first_bad_at: float | None
    alert_at: float | None
    received_at: float | None
    decided_at: float | None
    acted_at: float | None
    available_at: float | None
    first_good_at: float | None
    recovered_seconds: float | None
    requests_total: int
    requests_lost: int
    accuracy_before: float | None
    accuracy_bad: float | None
    accuracy_after: float | None
    outcome: str

    @property
    def passed(self) -> bool:
        """Whether the stack did all that it promises."""
        return self.outcome == "recovered"


@dataclass(frozen=True)
class Action:
    """What the receiver says about its rollback; the times are epoch seconds or None."""

    state: str
    reason: str
    text: str
    alert_at: float | None
    received_at: float | None
    decided_at: float | None
    armed_at: float | None
    acted_at: float | None
    available_at: float | None


@dataclass(frozen=True)
class Ending:
    """What was found when the story ended."""

    serving_version: int | None
    configured_versions: Sequence[int]
    people_told: bool


@dataclass(frozen=True)
class Story:
    """The facts of one fault's run."""

    fault: str
    from_version: int
    to_version: int
    released_at: float
    answers: Sequence[Answer]
    action: Action
    ending: Ending


def report(story: Story) -> Report:
    """Condense a story. `outcome` is "recovered", or every promise that was broken, joined by "; "."""
    bad = [answer for answer in story.answers if _is_bad(answer, story)]
    good_again = [answer for answer in story.answers if answer.version == story.from_version]
    if story.fault == "load":
        began: float | None = story.released_at
        ended = story.action.available_at
    else:
        began = first(bad, lambda _: True)
        ended = _first_good(good_again, began)
    lost = _lost(story)
    before = accuracy(answer for answer in story.answers if answer.done_at < story.released_at)
    after = accuracy(answer for answer in good_again if ended and answer.sent_at > ended)
    touched = [answer for answer in story.answers if answer.version == story.to_version or _is_bad(answer, story)]
    return Report(
        fault=story.fault,
        from_version=story.from_version,
        to_version=story.to_version,
        first_bad_at=began,
        alert_at=story.action.alert_at,
        received_at=story.action.received_at,
        decided_at=story.action.decided_at,
        acted_at=story.action.acted_at,
        available_at=story.action.available_at,
        first_good_at=ended,
        recovered_seconds=round(ended - began, 3) if began and ended else None,
        requests_total=len(story.answers),
        requests_lost=lost,
        accuracy_before=before,
        accuracy_bad=sum(a.right for a in touched) / len(touched) if touched else None,
        accuracy_after=after,
        outcome="; ".join(_broken(story, lost, ended, before, after)) or "recovered",
    )


def _is_bad(answer: Answer, story: Story) -> bool:
    if answer.done_at < story.released_at or answer.outcome in (Outcome.GOOD, Outcome.LOST):
        return False
    return answer.outcome is Outcome.ERROR or answer.version == story.to_version


def _first_good(answers: Iterable[Answer], began: float | None) -> float | None:
    if began is None:
        return None
    return first(answers, lambda answer: answer.outcome is Outcome.GOOD and answer.sent_at > began)


def _lost(story: Story) -> int:
    since = story.action.armed_at
    if since is None:
        return 0
    return sum(answer.outcome is Outcome.LOST and answer.done_at >= since for answer in story.answers)


def _broken(story: Story, lost: int, ended: float | None, before: float | None, after: float | None) -> Iterable[str]:
    if story.action.state != "SUCCEEDED":
        yield f"the receiver ended at {story.action.state}: {story.action.text}"
    if story.ending.serving_version != story.from_version:
        yield f"version {story.ending.serving_version} serves, not {story.from_version}"
    if story.to_version in story.ending.configured_versions:
        yield f"the configuration still names version {story.to_version}"
    if not story.ending.people_told:
        yield "nobody was told"
    if lost:
        yield f"{lost} requests were lost"
    if ended is None:
        yield "no good answer was seen again"
    if before is None or after is None or abs(before - after) > ACCURACY_TOLERANCE:
        yield f"accuracy was {before} and is now {after}"


def write(reports: Sequence[Report], path: Path) -> None:
    """One JSON array, one object a fault."""
    path.write_text(json.dumps([asdict(each) for each in reports], indent=2) + "\n")
