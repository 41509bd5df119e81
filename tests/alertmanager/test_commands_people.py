"""The commands of people against a real receiver: what they show, what they order, how they end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.alertmanager_api import alert
from tests.fakes.cli import airbag
from tests.fakes.rollback import TOKENS, Process, Surroundings, process, surroundings
from tests.fakes.wait import until

OLGA = TOKENS["olga"]


def ask(
    receiver: Process, *arguments: str, token: str | None = OLGA, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return airbag(command, "--receiver.url", receiver.url, *rest, token=token, typed=typed)


def out(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def released(receiver: Process) -> None:
    until(lambda: receiver.sees(2), what="the ledger to see 2", timeout=60)
    receiver.around.release(2, 3)
    until(lambda: receiver.sees(3), what="the ledger to see 3", timeout=60)
    receiver.around.bad_release()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A receiver in which action 1 waits for approval; these tests only look."""
    with surroundings(tmp_path_factory.mktemp("commands")) as around:
        around.write_policy(mode="approve", soak_min="200ms", approve_within="1h", watchdog_within="0s")
        with process(around) as found:
            released(found)
            found.post(alert())
            until(lambda: found.actions()[0]["state"] == "AWAITING_APPROVAL", what="the question", timeout=60)
            yield found


def test_versions_tells_which_ones_could_be_gone_back_to_and_why_not(asked: Process) -> None:
    shown = out(ask(asked, "versions", "digits", token=TOKENS["vera"]))
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if line.startswith("│")
    ]
    assert [(row[0], row[1], row[2]) for row in rows] == [("3", "yes", "one"), ("2", "", "one"), ("1", "", "-")]
    assert [row[-1] for row in rows][:2] == ["no: it serves now", "yes, first choice"]
    assert "proof takes" in rows[2][-1]
    assert "a rollback goes to 2" in shown


def test_explain_tells_what_would_be_done_and_shows_its_questions_when_asked(asked: Process) -> None:
    shown = out(ask(asked, "explain", "digits", "--evidence", token=TOKENS["vera"]))
    assert "main/digits: 3 serves; mode approve, by serving-version" in shown
    assert "by AirbagErrorRatioHigh: ask: waits for approval to go back to 2" in shown
    assert "AirbagErrorRatioHigh: value of 3: value 0.9  (model_version:airbag_tfs_errors_per_request" in shown
    assert "not 1: served 0 s" in shown


def test_status_tells_what_the_open_action_waits_for(asked: Process) -> None:
    shown = out(ask(asked, "status", "--config.file", str(asked.around.policy_file), token=None))
    for part in (
        "mode: approve", "leader: this receiver, term 1", "open: #1 is AWAITING_APPROVAL until ",
        "waits for `airbag approve 1` or `airbag reject 1`", "#1  main/digits 3 -> 2  AWAITING_APPROVAL",
    ):  # fmt: skip
        assert part in shown


def test_history_is_a_table_and_of_one_action_a_timeline_with_its_evidence(asked: Process) -> None:
    table = out(ask(asked, "history", "digits"))
    (row,) = [line for line in table.splitlines() if "main/digits 3 -> 2" in line]
    assert "AWAITING_APPROVAL (open)" in row
    assert out(ask(asked, "history", "other")) == "no actions so far\n"
    timeline = out(ask(asked, "history", "1"))
    states = [line.split()[2] for line in timeline.splitlines() if line[:4].isdigit()]
    assert states == ["RECEIVED", "EVALUATING", "AWAITING_APPROVAL"]
    assert "value of 3: 0.9   (model_version:airbag_tfs_errors_per_request" in timeline


@pytest.mark.parametrize(
    "command", [("versions", "digits"), ("explain", "digits"), ("history",), ("history", "1"), ("status",)],
    ids=["versions", "explain", "history", "one action", "status"],
)  # fmt: skip
def test_every_one_of_them_speaks_json(asked: Process, command: tuple[str, ...]) -> None:
    assert json.loads(out(ask(asked, *command, "--json")))


@pytest.mark.parametrize(
    ("command", "token", "message"),
    [
        (("approve", "1"), TOKENS["vera"], "vera has the role viewer; this takes the role operator"),
        (("approve", "9"), OLGA, "there is no action 9"),
        (("clear", "1"), OLGA, "action 1 is AWAITING_APPROVAL and holds nothing that could be cleared"),
        (("resume", "digits"), OLGA, "*/digits is not paused"),
        (("versions", "nothing"), OLGA, "model nothing: is on no such serving (there: main/digits, main/other)"),
        (("history", "99"), OLGA, "there is no action 99"),
        (("versions", "digits"), "a-token-that-nobody-has", "does not know this token; give one with --token-file"),
        (("rollback", "digits", "--to", "77", "--yes"), OLGA, "digits has no version 77; there are 3, 2, 1"),
        (("rollback", "other", "--yes"), OLGA, "other has no version to go back to: 7 it serves now"),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_sentence_and_exit_1(
    asked: Process, command: tuple[str, ...], token: str, message: str
) -> None:
    done = ask(asked, *command, token=token)
    assert (done.returncode, message in done.stderr) == (1, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert token not in done.stdout + done.stderr


def test_a_receiver_that_is_not_there_is_named_with_the_flag_that_names_another() -> None:
    done = airbag("history", "--receiver.url", "http://127.0.0.1:9", token=OLGA)
    assert done.returncode == 1
    assert "the receiver at http://127.0.0.1:9 gives no answer" in done.stderr
    assert "--receiver.url" in done.stderr


@pytest.mark.parametrize("arguments", [("pause", "--because", "x"), ("pause", "m", "--all", "--because", "x"),
                                       ("pause", "m"), ("pause", "m", "--because", "x", "--for", "soon"),
                                       ("approve", "x"), ("resume",)], ids=" ".join)  # fmt: skip
def test_wrong_usage_is_exit_2_and_asks_nobody(arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    done = airbag(command, "--receiver.url", "http://127.0.0.1:9", *rest, token=OLGA)
    assert done.returncode == 2, done.stdout + done.stderr


def test_a_token_is_taken_from_a_file_or_on_the_receivers_host_the_least_that_suffices(asked: Process) -> None:
    folder, policy = asked.around.folder, str(asked.around.policy_file)
    assert out(ask(asked, "history", "--token-file", str(folder / "token_vera"), token=None))
    assert out(ask(asked, "history", "--config.file", policy, token=None))
    log = folder / "receiver.log"
    before = len(log.read_text())
    done = ask(asked, "approve", "99", "--config.file", policy, token=None)
    assert "there is no action 99" in done.stderr
    assert "who=" not in log.read_text()[before:]
    empty = ask(asked, "history", "--token-file", str(folder / "nothing"), token=None)
    assert "token: cannot be read" in empty.stderr
    without = ask(asked, "history", "--config.file", str(folder / "no-policy.yml"), token=None)
    assert "give --token-file or AIRBAG_TOKEN" in without.stderr


def test_no_token_of_the_policy_leaves_this_host(asked: Process) -> None:
    done = airbag(
        "history", "--receiver.url", "http://receiver.example:9815", "--config.file", asked.around.policy_file
    )
    assert done.returncode == 1
    assert "is missing, and http://receiver.example:9815 is not this host" in done.stderr


def test_an_approval_is_followed_to_the_end(around: Surroundings) -> None:
    around.write_policy(mode="approve", soak_min="200ms", approve_within="1h")
    with process(around) as receiver:
        released(receiver)
        receiver.post(alert())
        until(lambda: receiver.actions()[0]["state"] == "AWAITING_APPROVAL", what="the question", timeout=60)
        done = ask(receiver, "approve", "1", "--because", "yes, go", "--wait")
        assert "approved: #1  main/digits 3 -> 2" in out(done)
        assert done.stdout.splitlines()[-1].split()[2] == "SUCCEEDED"
        assert around.named() == (2,)


def test_a_rollback_asks_first_and_is_then_followed_to_its_end(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="200ms")
    with process(around) as receiver:
        released(receiver)
        declined = ask(receiver, "rollback", "digits", typed="n\n")
        assert (declined.returncode, receiver.actions()) == (1, [])
        assert "digits on main: 3 serves; it goes back to 2, which served" in declined.stdout
        done = ask(receiver, "rollback", "digits", "--because", "wrong prices", typed="y\n")
        assert "digits on main: 2 serves and does well" in out(done)
        assert [line.split()[2] for line in done.stdout.splitlines() if " s  " in line][-1] == "SUCCEEDED"
        (action,) = receiver.actions()
        assert (action["asked_by"], action["asked_because"], action["state"]) == ("olga", "wrong prices", "SUCCEEDED")
        assert around.named() == (2,)


def test_a_rollback_to_a_version_without_proof_says_so_and_goes_when_told_to(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="1h")
    with process(around) as receiver:
        released(receiver)
        done = ask(receiver, "rollback", "digits", "--to", "2", "--yes", "--no-wait")
        assert "although it served" in out(done)
        assert "ordered: #1" in done.stdout


def test_a_rollback_that_does_not_succeed_is_exit_1(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="200ms", switch_within="3s", stable_for="1s")
    with process(around) as receiver:
        released(receiver)
        around.serving.stuck.add(2)
        around.prometheus.errors(2, 0.9)
        done = ask(receiver, "rollback", "digits", "--yes")
    assert done.returncode == 1, done.stdout
    assert "ended as NEEDS_HUMAN" in done.stderr


def test_pauses_are_begun_shown_and_ended(around: Surroundings) -> None:
    around.write_policy(mode="auto")
    with process(around) as receiver:
        assert "paused: */digits until 20" in out(
            ask(receiver, "pause", "digits", "--for", "2h", "--because", "load test")
        )
        assert "paused: */* until `airbag resume`" in out(ask(receiver, "pause", "--all", "--because", "racks"))
        shown = out(ask(receiver, "status", "--config.file", str(around.policy_file)))
        assert "paused: */digits until 20" in shown
        assert "by olga: racks" in shown
        left = out(ask(receiver, "resume", "--all"))
        assert "resumed: */*\nstill paused: */digits, by olga: load test" in left
        assert out(ask(receiver, "resume", "digits")) == "resumed: */digits\n"


def test_a_rejected_release_is_left_alone_until_it_is_cleared(around: Surroundings) -> None:
    around.write_policy(mode="approve", soak_min="200ms", approve_within="1h")
    with process(around) as receiver:
        released(receiver)
        receiver.post(alert())
        until(lambda: receiver.actions()[0]["state"] == "AWAITING_APPROVAL", what="the question", timeout=60)
        assert "rejected: #1" in out(ask(receiver, "reject", "1", "--because", "the alert is wrong"))
        assert "cleared: #1" in out(ask(receiver, "clear", "1"))
        receiver.post(alert())
        until(lambda: len(receiver.actions()) == 2, what="a second action", timeout=60)


@pytest.mark.parametrize(
    "command",
    ["approve", "clear", "explain", "history", "pause", "reject", "resume", "rollback", "status", "versions"],
)
def test_help_has_an_example(command: str, tmp_path: Path) -> None:
    shown = out(airbag(command, "--help"))
    assert f"airbag {command}" in shown.partition("Example")[2]
