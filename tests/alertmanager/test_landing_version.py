"""The landing serving-version: versions and labels of one model, at every server of its group."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from airbag_rollback.actions.landing import Found, Order, Result
from airbag_rollback.actions.release import NotReleased, release
from airbag_rollback.actions.serving_version import ServingVersion
from tests.fakes.landing import Yard, refused, yard
from tests.fakes.serving_state import StatefulServing
from tests.fakes.wait import until


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Yard]:
    with yard(tmp_path) as found:
        yield found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Yard]:
    with yard(tmp_path, servers=2) as found:
        yield found


def landing(at: Yard) -> ServingVersion:
    return ServingVersion(at.lookout, at.group)


def found(at: Yard, order: Order) -> Found:
    return landing(at).look(order).found


def answers_again(at: Yard) -> None:
    """Let the second server come back; the connection to it takes its time."""
    at.servers[1].start()
    until(lambda: not at.lookout.look(at.group, "digits").silent, timeout=30, what="the second server to answer")


def test_the_target_serves_alone_and_other_models_stay_byte_for_byte(one: Yard) -> None:
    before = one.file.read_text()
    order = one.planned(landing(one))
    assert found(one, order) is Found.BEFORE
    assert landing(one).apply(order).result is Result.DONE
    assert landing(one).look(order).text == "2 serves alone"
    assert found(one, order) is Found.DONE
    other = re.compile(r'name: "other".*?\n  }', re.DOTALL)
    assert other.findall(one.file.read_text()) == other.findall(before)
    assert one.servers[0].models["other"] == {7: 30}


def test_labels_of_the_bad_version_move_with_the_versions_in_one_reload(one: Yard) -> None:
    one.lay_out(2, 3, labels={"stable": 3, "fallback": 2})
    order = one.planned(landing(one))
    assert one.plans[0].steps == 1
    assert "gives it stable" in one.plans[0].text
    assert landing(one).apply(order).result is Result.DONE
    assert one.named() == ((2,), {"stable": 2, "fallback": 2})
    assert one.servers[0].reloads == 1
    assert found(one, order) is Found.DONE


def test_where_the_target_is_not_loaded_it_is_loaded_before_labels_move(one: Yard) -> None:
    one.lay_out(3, labels={"stable": 3})
    order = one.planned(landing(one))
    assert one.plans[0].steps == 2
    assert one.plans[0].text.startswith("2 is not loaded everywhere")
    assert landing(one).apply(order).result is Result.DONE
    assert one.named() == ((2, 3), {"stable": 3})
    assert one.servers[0].labels["digits"] == {"stable": 3}
    assert found(one, order) is Found.DONE
    second = replace(order, step=1)
    assert found(one, second) is Found.BEFORE
    assert landing(one).apply(second).result is Result.DONE
    assert one.named() == ((2,), {"stable": 2})
    assert (found(one, second), one.up()) == (Found.DONE, {2})


def test_without_labels_a_target_that_is_not_loaded_takes_one_step(one: Yard) -> None:
    one.lay_out(3)
    order = one.planned(landing(one))
    assert one.plans[0].steps == 1
    landing(one).apply(order)
    assert (found(one, order), one.up()) == (Found.DONE, {2})


def test_a_version_below_the_target_that_a_label_names_stays_for_its_clients(one: Yard) -> None:
    one.lay_out(1, 2, 3, labels={"stable": 3, "old": 1})
    order = one.planned(landing(one))
    landing(one).apply(order)
    assert one.named() == ((2, 1), {"stable": 2, "old": 1})
    assert (found(one, order), one.up()) == (Found.DONE, {1, 2})


def test_a_label_whose_version_is_gone_moves_to_the_target_as_it_would_block_the_reload(one: Yard) -> None:
    one.lay_out(2, 3, labels={"stable": 3, "old": 1})
    order = one.planned(landing(one))
    assert landing(one).apply(order).result is Result.DONE
    assert one.named() == ((2,), {"stable": 2, "old": 2})


def test_a_stale_label_of_another_model_is_named_with_what_to_do(one: Yard) -> None:
    one.lay_out(2, 3, other_labels={"canary": 8})
    order = one.planned(landing(one))
    effect = landing(one).apply(order)
    assert (effect.result, effect.reason) == (Result.UNCLEAR, "reload_failed")
    assert "one: label canary of other names 8, which is not loaded" in effect.text
    assert "taken out of models.config" in effect.text
    assert found(one, order) is Found.PARTLY
    one.file.write_text(one.file.read_text().replace('version_labels { key: "canary" value: 8 }', ""))
    assert landing(one).apply(order).result is Result.DONE
    assert found(one, order) is Found.DONE


def test_a_stale_label_of_another_model_blocks_nothing_where_the_server_keeps_labels(one: Yard) -> None:
    one.lay_out(2, 3, other_labels={"canary": 8})
    one.servers[0].keeps_labels = True
    order = one.planned(landing(one))
    assert landing(one).apply(order).result is Result.DONE


def test_a_switch_is_not_done_while_a_label_answers_another_version(one: Yard) -> None:
    one.lay_out(2, 3, labels={"stable": 3})
    order = one.planned(landing(one))
    landing(one).apply(order)
    one.servers[0].labels["digits"]["stable"] = 3
    seen = landing(one).look(order)
    assert seen.found is Found.PARTLY
    assert "label stable answers nothing" in seen.text
    assert landing(one).apply(order).result is Result.DONE
    assert found(one, order) is Found.DONE


def test_a_silent_server_holds_nothing_back_and_is_told_when_it_answers(pair: Yard) -> None:
    pair.servers[1].die()
    order = pair.planned(landing(pair))
    assert "two" in pair.plans[0].text
    effect = landing(pair).apply(order)
    assert effect.result is Result.UNCLEAR
    assert "two: is silent and not told" in effect.text
    assert "taken by one" in effect.text
    assert pair.up(0) == {2}
    seen = landing(pair).look(order)
    assert seen.found is Found.UNSEEN
    assert seen.text.startswith("one followed; two is silent: ")
    answers_again(pair)
    seen = landing(pair).look(order)
    assert (seen.found, seen.text) == (Found.PARTLY, "one followed; two: 3 AVAILABLE, 2 AVAILABLE")
    assert landing(pair).apply(order).result is Result.DONE
    assert found(pair, order) is Found.DONE
    assert pair.servers[0].reloads == 1  # who has followed is not told again


def test_a_server_that_comes_back_without_the_target_loads_it_before_labels_move(pair: Yard) -> None:
    pair.lay_out(2, 3, labels={"stable": 3})
    pair.servers[1].die()
    order = pair.planned(landing(pair))
    assert pair.plans[0].steps == 1
    landing(pair).apply(order)
    pair.servers[1].models["digits"] = {3: 30}
    answers_again(pair)
    effect = landing(pair).apply(order)
    assert (effect.result, effect.text) == (
        Result.UNCLEAR, "two: has to load 2 before labels can move to it; taken by one",
    )  # fmt: skip
    assert (pair.up(1), pair.servers[1].labels["digits"]) == ({2, 3}, {"stable": 3})
    assert landing(pair).apply(order).result is Result.DONE
    assert found(pair, order) is Found.DONE


def test_when_all_are_silent_nothing_is_planned_or_written(pair: Yard) -> None:
    order = pair.planned(landing(pair))
    for server in pair.servers:
        server.die()
    assert refused(landing(pair).plan(order))[:2] == (Result.RETRY, "server_unreachable")
    assert landing(pair).apply(order).result is Result.RETRY
    assert pair.named() == ((2, 3), {})
    assert found(pair, order) is Found.UNSEEN


def test_a_file_that_cannot_be_read_is_not_acted_on(one: Yard) -> None:
    order = one.planned(landing(one))
    one.file.write_text("model_config_list {")
    assert refused(landing(one).plan(order))[:2] == (Result.RETRY, "server_unreachable")
    assert found(one, order) is Found.UNSEEN
    assert landing(one).apply(order).result is Result.FAILED
    assert one.servers[0].reloads == 0


def test_a_blocked_reload_is_called_so_and_does_not_keep_the_other_server_waiting(pair: Yard) -> None:
    pair.servers[0].reloads_open.clear()
    order = pair.planned(landing(pair))
    effect = landing(pair).apply(order)
    assert effect.result is Result.UNCLEAR
    assert "one: the reload is blocked: no answer in 10 s" in effect.text
    assert pair.up(1) == {2}
    assert landing(pair).look(order).text == "one: 3 AVAILABLE, 2 AVAILABLE; two followed"
    pair.servers[0].reloads_open.set()
    assert landing(pair).apply(order).result is Result.DONE
    assert found(pair, order) is Found.DONE


def test_a_server_that_says_ok_and_does_nothing_is_told_again(one: Yard) -> None:
    one.servers[0].deaf = True
    order = one.planned(landing(one))
    assert landing(one).apply(order).result is Result.DONE
    assert found(one, order) is Found.PARTLY
    one.servers[0].deaf = False
    assert landing(one).apply(order).result is Result.DONE
    assert found(one, order) is Found.DONE


def _load_fails(server: StatefulServing) -> None:
    server.broken[2] = (13, "Read less bytes than requested")


def _load_hangs(server: StatefulServing) -> None:
    server.stuck.add(2)


@pytest.mark.parametrize(
    ("trouble", "seen", "text"),
    [
        (_load_fails, Found.PARTLY, "one: 3 AVAILABLE, 2 END; 2 failed: INTERNAL: Read less bytes than requested"),
        (_load_hangs, Found.MOVING, "one: 3 AVAILABLE, 2 LOADING"),
    ],
    ids=["fails", "hangs"],
)
def test_a_target_that_does_not_come_leaves_the_old_version_and_the_servers_own_words(
    one: Yard, trouble: Callable[[StatefulServing], None], seen: Found, text: str
) -> None:
    one.lay_out(3)
    trouble(one.servers[0])
    order = one.planned(landing(one))
    assert landing(one).apply(order).result is Result.DONE
    real = landing(one).look(order)
    assert (real.found, real.text, one.up()) == (seen, text, {3})


def test_a_target_whose_files_go_before_the_touch_is_not_gone_to(one: Yard) -> None:
    order = one.planned(landing(one))
    (one.base / "2" / "saved_model.pb").unlink()
    effect = landing(one).apply(order)
    assert (effect.result, effect.reason) == (Result.IMPOSSIBLE, "no_eligible_target")
    assert (one.named(), one.servers[0].reloads) == (((2, 3), {}), 0)


def test_a_target_whose_files_go_between_the_steps_keeps_labels_and_the_bad_version(one: Yard) -> None:
    one.lay_out(3, labels={"stable": 3})
    order = one.planned(landing(one))
    landing(one).apply(order)
    shutil.rmtree(one.base / "2")
    effect = landing(one).apply(replace(order, step=1))
    assert (effect.result, effect.reason) == (Result.IMPOSSIBLE, "no_eligible_target")
    assert one.named() == ((2, 3), {"stable": 3})


def test_a_refused_reload_leaves_the_file_as_the_truth_and_says_the_servers_words(one: Yard) -> None:
    one.servers[0].refuse_reload = (grpc.StatusCode.INVALID_ARGUMENT, "model other: base_path is not absolute")
    order = one.planned(landing(one))
    effect = landing(one).apply(order)
    assert effect.result is Result.UNCLEAR
    assert "model other: base_path is not absolute" in effect.text
    assert one.named() == ((2,), {})
    assert found(one, order) is Found.PARTLY


@pytest.mark.parametrize("what", ["versions: 2 versions: 1", 'label: "stable"'], ids=["versions", "labels"])
def test_somebody_elses_hand_in_models_config_is_seen_before_and_after(one: Yard, what: str) -> None:
    one.lay_out(2, 3, labels={"stable": 2})
    order = one.planned(landing(one))
    changed = one.file.read_text().replace("versions: 2 versions: 3", what) if what.startswith("v") else (
        one.file.read_text().replace('key: "stable" value: 2', 'key: "stable" value: 3')
    )  # fmt: skip
    one.file.write_text(changed)
    assert found(one, order) is Found.OTHER
    effect = landing(one).apply(order)
    assert (effect.result, one.servers[0].reloads) == (Result.SUPERSEDED, 0)
    assert "no longer" in effect.text


def test_what_serves_is_looked_at_once_more_before_the_touch(one: Yard) -> None:
    order = one.planned(landing(one))
    one.servers[0].models["digits"][3] = 50
    assert landing(one).apply(order).result is Result.SUPERSEDED
    assert one.named() == ((2, 3), {})


def test_a_receiver_with_an_older_fence_neither_writes_nor_tells(one: Yard) -> None:
    order = one.planned(landing(one))
    assert landing(one).apply(replace(order, fence=5)).result is Result.DONE
    effect = landing(one).apply(replace(order, fence=4))
    assert (effect.result, effect.reason, one.servers[0].reloads) == (Result.RETRY, "fenced", 1)


def test_a_release_waits_for_every_server_unlike_a_rollback(pair: Yard) -> None:
    pair.lay_out(2)
    pair.servers[1].die()
    with pytest.raises(NotReleased, match="unknown: two: "):
        release(pair.lookout, pair.group, "digits", 3)
    assert (pair.named(), pair.servers[0].reloads) == (((2,), {}), 0)
