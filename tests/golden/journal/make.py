"""Writes a journal with something of everything, by the code of the release that is checked out.

    python tests/golden/journal/make.py tests/golden/journal/schema-N.sqlite

One such file is kept for each schema that was ever released, so that a journal of any age is known to be carried on.
Version 3 of `digits` is to be rolled back in it: the intent is durable, and nothing has been touched.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from airbag_rollback.engine.states import State  # noqa: E402 - beside us
from airbag_rollback.journal import Journal  # noqa: E402
from airbag_rollback.journal.ledger import Proof  # noqa: E402
from airbag_rollback.journal.pauses import Pause  # noqa: E402
from airbag_rollback.journal.retention import Retention  # noqa: E402
from airbag_rollback.records import Suspect  # noqa: E402
from tests.fakes.rollback import alert, bench, surroundings  # noqa: E402

NOW = 1_780_000_000.0
TOUCHED = (State.EVALUATING, State.PLANNED, State.LEASED, State.ARMED, State.EXECUTING)
ENDS = {
    "ended-well": (*TOUCHED, State.VERIFY_MECHANISM, State.VERIFY_OUTCOME, State.SUCCEEDED),
    "called-a-person": (*TOUCHED, State.UNKNOWN, State.NEEDS_HUMAN),
    "failed": (*TOUCHED, State.FAILED),
    "was-good": (State.EVALUATING, State.SUPPRESSED),
    "was-cancelled": (State.EVALUATING, State.CANCELLED),
    "waits-for-a-word": (State.EVALUATING, State.AWAITING_APPROVAL),
    "is-blocked": (State.EVALUATING, State.BLOCKED),
}
"""Models, each with the way that an action on it went."""


def _history(journal: Journal) -> None:
    for number, (model, states) in enumerate(ENDS.items()):
        at = NOW - 9000 + number
        journal.ledger.observe("main", model, frozenset({1}), frozenset({1, 2}), at - 100)
        journal.ledger.observe("main", model, frozenset({2}), frozenset({1, 2}), at - 90)
        action, _ = journal.actions.open_for(Suspect("main", model, 2, "AirbagErrorRatioHigh", at), at, NOW + 600)
        for state in states:
            more = {"target_version": 1, "fence": 1} if state is State.PLANNED else {}
            action = journal.actions.move(action, state, at, "reason", f"it is {state}", **more)
        if model == "called-a-person":
            journal.actions.clear(action, "olga", at)
    journal.ledger.note(
        [Proof("main", "ended-well", 1, 120.0, bad=False), Proof("main", "failed", 2, 9.0, bad=True)], NOW
    )
    journal.ledger.read("main", "ended-well", 2, "c0ffee")


def _forgotten(journal: Journal) -> None:
    """An action of long ago, whose records were removed."""
    at = NOW - 50_000_000
    action, _ = journal.actions.open_for(Suspect("main", "long-gone", 1, "AirbagErrorRatioHigh", at), at, at + 30)
    action = journal.actions.move(action, State.EVALUATING, at)
    journal.actions.move(action, State.SUPPRESSED, at, "good", "it was good")
    Retention(journal.database, journal.audit, journal.deliveries).forget(NOW, 1e9, 1_000_000.0)


def _said(journal: Journal) -> None:
    journal.pauses.begin(Pause("main", "failed", NOW - 500, None, "olga", "a migration"))
    journal.pauses.end("main", "failed", "olga", NOW - 400)
    journal.pauses.begin(Pause("main", "was-good", NOW - 300, NOW + 1e9, "anna", "until it is known"))
    journal.quarantine.put("main", "ended-well", 2, "anna", "it leaks", NOW - 200)
    journal.quarantine.put("main", "failed", 2, "anna", "by mistake", NOW - 200)
    journal.quarantine.lift("main", "failed", 2, "anna", NOW - 100)
    journal.notes.acting(False, NOW - 50)
    for message in journal.outbox.pending()[:2]:
        journal.outbox.delivered(message, NOW)


def make(target: Path) -> None:
    """Write it in the place of what is there."""
    with tempfile.TemporaryDirectory() as folder, surroundings(Path(folder)) as around, bench(around) as desk:
        journal = desk.receiver.journal
        desk.clock.time = NOW
        _forgotten(journal)
        _history(journal)
        _said(journal)
        desk.released()
        around.bad_release()
        desk.post(alert())
        while desk.actions()[-1].state is not State.ARMED:
            desk.turn()
        desk.post(alert())  # which nobody has looked at
        desk.receiver.lookout.close()
        journal.close()
        with closing(sqlite3.connect(around.folder / "journal" / "journal.sqlite", isolation_level=None)) as made:
            made.execute("UPDATE leases SET holder = 'nobody', boot = 'an earlier one'")
            made.execute("PRAGMA journal_mode = DELETE")
            made.execute("PRAGMA page_size = 1024")
            target.unlink(missing_ok=True)
            made.execute("VACUUM INTO ?", (str(target),))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
