"""What a script as a landing is given, how it is bounded, and what is believed of what it says."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from airbag_rollback.actions.landing import Effect, Found, Planned, Result
from tests.fakes.scripts import Stage, order, write_script
from tests.fakes.wait import until

Written = Callable[..., Stage]


def _alive(pid_file: Path) -> bool:
    pid = int(pid_file.read_text())
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_script_gets_the_order_and_nothing_of_the_receivers_environment(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    stage = written(f"cat > {tmp_path}/stdin; env > {tmp_path}/env; pwd > {tmp_path}/cwd", COLOUR="blue")
    assert stage.landing.plan(order()) == Planned(
        {"script": str(stage.script), "sha256": hashlib.sha256(stage.script.read_bytes()).hexdigest(), "plan": {}},
        "stage plans nothing in particular",
    )
    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    found.pop("_", None), found.pop("SHLVL", None), found.pop("PWD", None), found.pop("OLDPWD", None)
    assert found == {
        "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(stage.folder), "COLOUR": "blue",
        "AIRBAG_STATE_DIR": str(stage.folder), "AIRBAG_TIMEOUT": "30", "AIRBAG_LANDING": "stage",
        "AIRBAG_ACTION_ID": "9", "AIRBAG_KEY": "main/digits/5/3/2/0", "AIRBAG_FENCE": "4", "AIRBAG_SERVING": "main",
        "AIRBAG_MODEL": "digits", "AIRBAG_BAD_VERSION": "3", "AIRBAG_TARGET_VERSION": "2",
        "AIRBAG_ALERTNAME": "AirbagErrorRatioHigh", "AIRBAG_STEP": "0",
    }  # fmt: skip
    assert json.loads((tmp_path / "stdin").read_text()) == {
        "action_id": 9, "key": "main/digits/5/3/2/0", "fence": 4, "landing": "stage", "serving": "main",
        "model": "digits", "bad_version": 3, "target_version": 2, "alertname": "AirbagErrorRatioHigh", "step": 0,
        "expected": [3], "plan": {},
    }  # fmt: skip
    assert (tmp_path / "cwd").read_text().strip() == str(stage.folder)


def test_without_a_target_the_variable_is_there_and_empty(written: Written) -> None:
    stage = written('set -u; echo "target [$AIRBAG_TARGET_VERSION]"')
    planned = stage.landing.plan(order(target=None))
    assert isinstance(planned, Planned)
    assert planned.text == "target []"


def test_what_it_plans_comes_back_to_it_in_every_later_order(written: Written, tmp_path: Path) -> None:
    stage = written(f"""
        cat > {tmp_path}/stdin-$1
        [ $1 = plan ] && echo 'thinking' && echo '{{"text": "blue next", "plan": {{"to": "blue"}}, "steps": 2}}'
        exit 0
    """)
    planned = stage.landing.plan(order())
    assert isinstance(planned, Planned)
    assert (planned.text, planned.steps, planned.document["plan"]) == ("blue next", 2, {"to": "blue"})
    assert stage.landing.apply(order(plan=planned.document)).result is Result.DONE
    assert json.loads((tmp_path / "stdin-apply").read_text())["plan"] == {"to": "blue"}


@pytest.mark.parametrize(
    ("body", "result", "reason", "said"),
    [
        ("echo not now >&2; exit 75", Result.RETRY, "script_not_now", "not now"),
        ("echo first; echo no colour is free >&2; exit 3", Result.IMPOSSIBLE, "script_refused", "no colour is free"),
        ("kill -9 $$", Result.IMPOSSIBLE, "script_refused", "signal 9"),
        ('echo \'{"plam": {}}\'', Result.IMPOSSIBLE, "script_answer", "plam"),
        ("echo '{not json'", Result.IMPOSSIBLE, "script_answer", "{not json"),
        ('echo \'{"steps": 0}\'', Result.IMPOSSIBLE, "script_answer", "steps"),
    ],
    ids=["again", "refused", "signal", "unknown key", "no JSON", "no steps"],
)  # fmt: skip
def test_a_plan_that_fails_says_why(written: Written, body: str, result: Result, reason: str, said: str) -> None:
    effect = written(body).landing.plan(order())
    assert isinstance(effect, Effect)
    assert (effect.result, effect.reason) == (result, reason)
    assert said in effect.text


@pytest.mark.parametrize(
    ("body", "result", "reason"),
    [
        ("exit 0", Result.DONE, "script_done"),
        ('echo \'{"state": "moving"}\'', Result.DONE, "script_done"),
        ("exit 1", Result.UNCLEAR, "script_failed"),
        ("exit 74", Result.UNCLEAR, "script_failed"),
        ("kill -9 $$", Result.UNCLEAR, "script_failed"),
        ('echo \'{"state": "partly"}\'', Result.UNCLEAR, "script_answer"),
        ("echo '{'", Result.UNCLEAR, "script_answer"),
        ("exit 75", Result.RETRY, "script_not_now"),
        ('echo \'{"state": "before"}\'; exit 75', Result.RETRY, "script_not_now"),
        ('echo \'{"state": "partly"}\'; exit 75', Result.UNCLEAR, "script_answer"),
    ],
    ids=["0", "moving", "1", "74", "signal", "0 yet partly", "no JSON", "75", "75 and before", "75 yet partly"],
)
def test_only_0_is_done_and_only_an_honest_75_is_not_touched(
    written: Written, body: str, result: Result, reason: str
) -> None:
    stage = written(f"case $1 in plan) ;; verify) echo dark >&2; exit 1 ;; apply) {body} ;; esac")
    effect = stage.landing.apply(stage.planned())
    assert (effect.result, effect.reason) == (result, reason)


def test_75_after_an_effect_is_refused_because_reality_is_read(written: Written, tmp_path: Path) -> None:
    stage = written(f"""
        case $1 in
        apply) touch {tmp_path}/effect; echo busy >&2; exit 75 ;;
        verify) [ -e {tmp_path}/effect ] || echo '{{"state": "before"}}' ;;
        esac
    """)
    effect = stage.landing.apply(stage.planned())
    assert (effect.result, effect.reason) == (Result.UNCLEAR, "script_answer")
    assert "done" in effect.text


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("exit 0", Found.DONE),
        ("exit 75", Found.MOVING),
        ("exit 1", Found.UNSEEN),
        ("kill -9 $$", Found.UNSEEN),
        *((f'echo \'{{"state": "{each}"}}\'', Found(each)) for each in ("done", "moving", "partly", "before", "other")),
        ('echo \'{"state": "unseen"}\'', Found.UNSEEN),
        ('echo \'{"state": "before"}\'; exit 75', Found.BEFORE),
        ('echo \'{"state": "done"}\'; exit 75', Found.UNSEEN),
        ('echo \'{"state": "done"}\'; exit 1', Found.UNSEEN),
        ('echo \'{"state": "dun"}\'', Found.UNSEEN),
    ],
    ids=[
        "0", "75", "1", "signal", "done", "moving", "partly", "before", "other", "unseen", "75 before", "75 yet done",
        "1 yet done", "no state",
    ],
)  # fmt: skip
def test_reality_is_what_verify_says_and_never_guessed(written: Written, body: str, found: Found) -> None:
    assert written(body).landing.look(order()).found is found


def test_a_script_that_hangs_is_told_to_end_and_then_ended(written: Written, tmp_path: Path) -> None:
    stage = written(
        f"[ $1 = plan ] && exit 0; trap 'echo asked > {tmp_path}/asked' TERM; echo $$ > {tmp_path}/pid; "
        "while :; do sleep 0.05; done",
        timeout=1.0,
    )
    effect = stage.landing.apply(replace(stage, timeout=30.0).planned())
    assert (effect.result, effect.reason) == (Result.UNCLEAR, "script_timeout")
    assert "not done within 1 s" in effect.text
    assert (tmp_path / "asked").exists()
    assert not _alive(tmp_path / "pid")


def test_a_script_that_ends_when_told_has_its_grace_for_it(written: Written, tmp_path: Path) -> None:
    stage = written(
        f"[ $1 = plan ] && exit 0; trap 'sleep 0.3; echo tidy > {tmp_path}/tidy; exit 0' TERM; "
        "while :; do sleep 0.05; done",
        timeout=0.5, grace=20.0,
    )  # fmt: skip
    begun = time.monotonic()
    assert stage.landing.apply(replace(stage, timeout=30.0).planned()).reason == "script_timeout"
    assert (tmp_path / "tidy").exists()
    assert time.monotonic() - begun < 20


def test_a_timeout_also_ends_what_left_the_group_by_a_double_fork(tmp_path: Path) -> None:
    body = f"""
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 64)
                os.execve(sys.executable, [sys.executable, "-c", '''
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("{tmp_path}/pid", "w").write(str(os.getpid()))
        time.sleep(600)
        '''.replace("\\n        ", "\\n")], {{}})
            os._exit(0)
        os.wait()
        while not os.path.exists("{tmp_path}/pid") or not os.path.getsize("{tmp_path}/pid"): time.sleep(0.01)
        time.sleep(600)
    """
    script = write_script(tmp_path / "script", body, "/usr/bin/env python3")
    stage = Stage(script, tmp_path / "state", {}, timeout=5.0, grace=0.2)
    effect = stage.landing.plan(order())
    assert isinstance(effect, Effect)
    assert effect.reason == "script_refused"
    assert "not done within 5 s" in effect.text
    assert not _alive(tmp_path / "pid")


def test_what_a_script_that_is_done_leaves_running_runs_on_and_holds_nobody_up(
    written: Written, tmp_path: Path
) -> None:
    stage = written(f"sleep 600 & echo $! > {tmp_path}/pid", timeout=60.0)
    begun = time.monotonic()
    try:
        assert isinstance(stage.landing.plan(order()), Planned)
        assert time.monotonic() - begun < 30
        assert _alive(tmp_path / "pid")
        assert isinstance(stage.landing.plan(order()), Planned)  # and it is not taken for a run of before
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_gigabyte_of_output_is_read_away_and_only_its_end_is_kept(written: Written) -> None:
    stage = written(
        "head -c 1073741824 /dev/zero | tr '\\0' 'x'; echo; echo 'the end'; "
        "head -c 1000000 /dev/zero | tr '\\0' 'y' >&2; echo >&2; echo 'out of colours' >&2; exit 3",
        timeout=120.0,
    )
    before = psutil.Process().memory_info().rss
    with ThreadPoolExecutor(1) as pool:
        planning = pool.submit(stage.landing.plan, order())
        taken = 0
        while not planning.done():
            taken = max(taken, _taken_in_between())
            time.sleep(0.02)
    effect = planning.result()
    assert isinstance(effect, Effect)
    assert "exit status 3" in effect.text
    assert effect.text.endswith(": out of colours")
    assert 0 < taken < 64 * 2**20
    assert psutil.Process().memory_info().rss - before < 16 * 2**20


def _taken_in_between() -> int:
    """Bytes of memory that the process between us and the script takes."""
    for each in psutil.Process().children():
        try:
            if any(word.endswith("script_process.py") for word in each.cmdline()):
                return int(each.memory_info().rss)
        except psutil.Error:
            continue
    return 0


def test_an_answer_that_does_not_fit_is_wrong_and_not_taken_for_text(written: Written) -> None:
    stage = written("printf '{\"text\": \"'; head -c 100000 /dev/zero | tr '\\0' 'x'; echo '\"}'")
    effect = stage.landing.plan(order())
    assert isinstance(effect, Effect)
    assert effect.reason == "script_answer"
    assert "longer than what is kept" in effect.text


def test_output_that_is_no_text_is_shown_as_well_as_it_can_be(written: Written) -> None:
    effect = written("printf 'caf\\351 \\033[31mred\\000\\n' >&2; exit 1").landing.plan(order())
    assert isinstance(effect, Effect)
    assert "caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}[31mred" in effect.text
    assert effect.text.isprintable()


def test_an_order_of_megabytes_reaches_a_script_that_reads_slowly_and_not_one_that_does_not_read(
    written: Written, tmp_path: Path
) -> None:
    stage = written(
        f"case $1 in plan) ;; apply) sleep 0.3; wc -c > {tmp_path}/size ;; verify) exec 0<&-; sleep 0.3 ;; esac; exit 0"
    )
    made = stage.planned()
    huge = replace(made, plan={**made.plan, "plan": {"text": "x" * 5_000_000}})
    assert stage.landing.apply(huge).result is Result.DONE
    assert int((tmp_path / "size").read_text()) > 5_000_000
    assert stage.landing.look(huge).found is Found.DONE


def test_a_script_that_was_replaced_after_its_plan_is_not_run_on_it(written: Written, tmp_path: Path) -> None:
    stage = written(f"touch {tmp_path}/ran-$1")
    made = stage.planned()
    write_script(stage.script, f"touch {tmp_path}/other-$1")
    effect = stage.landing.apply(made)
    assert (effect.result, effect.reason) == (Result.RETRY, "script_replaced")
    assert not (tmp_path / "other-apply").exists()


def test_a_script_that_is_gone_is_said_to_be_gone(written: Written) -> None:
    stage = written("exit 0")
    made = stage.planned()
    stage.script.unlink()
    assert stage.landing.apply(made).reason == "script_unusable"
    assert stage.landing.look(made).found is Found.UNSEEN
    refused = stage.landing.plan(order())
    assert isinstance(refused, Effect)
    assert (refused.result, refused.reason) == (Result.IMPOSSIBLE, "script_unusable")


def test_a_script_that_everybody_may_change_is_not_run_also_when_it_became_so_later(
    written: Written, tmp_path: Path
) -> None:
    stage = written(f"touch {tmp_path}/ran-$1")
    made = stage.planned()
    stage.script.chmod(0o777)
    effect = stage.landing.apply(made)
    assert (effect.result, effect.reason) == (Result.IMPOSSIBLE, "script_unusable")
    assert "can be changed by everybody" in effect.text
    assert not (tmp_path / "ran-apply").exists()


def test_while_a_run_of_before_goes_on_nothing_else_is_run(written: Written, tmp_path: Path) -> None:
    stage = written(f"""
        echo $1 >> {tmp_path}/ran
        [ $1 = apply ] && while [ ! -e {tmp_path}/go ]; do sleep 0.02; done
        exit 0
    """)
    made = stage.planned()
    first = threading.Thread(target=stage.landing.apply, args=(made,))
    first.start()
    try:
        until(lambda: "apply" in (tmp_path / "ran").read_text(), timeout=30, what="the first run")
        second = stage.landing.apply(made)
        assert (second.result, second.reason) == (Result.RETRY, "script_busy")
        assert stage.landing.look(made).found is Found.MOVING
        planned = stage.landing.plan(order())
        assert isinstance(planned, Effect)
        assert planned.result is Result.RETRY
    finally:
        (tmp_path / "go").touch()
        first.join(30)
    assert stage.landing.look(made).found is Found.DONE
    assert (tmp_path / "ran").read_text().split() == ["plan", "apply", "verify"]


def test_the_process_in_between_survives_what_ends_a_receiver_and_stays_the_bound(
    written: Written, tmp_path: Path
) -> None:
    stage = written(
        f"[ $1 = apply ] || exit 0; echo $$ > {tmp_path}/pid; echo $PPID > {tmp_path}/between; "
        "while :; do echo noise; sleep 0.01; done",
        timeout=3.0,
    )
    made = replace(stage, timeout=30.0).planned()
    code = f"""
        import json, sys
        from pathlib import Path
        from dataclasses import replace
        from tests.fakes.scripts import Stage, order
        stage = Stage(Path({str(stage.script)!r}), Path({str(stage.folder)!r}), {{}}, timeout=3.0, grace=0.2)
        stage.landing.apply(order(plan=json.loads({json.dumps(made.plan)!r})))
    """
    receiver = write_script(tmp_path / "receiver.py", code, "/nowhere")
    child = subprocess.Popen(
        [sys.executable, str(receiver)], env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    try:
        until(lambda: (tmp_path / "between").read_text().strip(), timeout=60, what="the script to run")
        os.kill(int((tmp_path / "between").read_text()), signal.SIGTERM)
    finally:
        child.kill()
        child.wait(10)
    assert _alive(tmp_path / "pid")  # nobody reads its output any more, and it is not ended by that
    assert stage.landing.look(made).found is Found.MOVING
    until(lambda: not _alive(tmp_path / "pid"), timeout=60, what="the timeout to end it")
    until(lambda: stage.landing.look(made).found is Found.DONE, timeout=30, what="the next look")
