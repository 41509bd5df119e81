"""The landing serving-label: one label moves and both versions stay loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airbag_rollback.actions.landing import Found, Result
from airbag_rollback.actions.serving_label import ServingLabel
from tests.fakes.landing import Yard, refused, yard


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Yard]:
    """A server whose clients ask for the label stable, which is the bad version 3."""
    with yard(tmp_path) as found:
        found.routing = "labels"
        found.lay_out(2, 3, labels={"stable": 3, "fallback": 2})
        yield found


def landing(at: Yard, label: str | None = None) -> ServingLabel:
    return ServingLabel(at.lookout, at.group, label)


def test_the_label_moves_in_one_reload_and_nothing_is_loaded_or_unloaded(one: Yard) -> None:
    order = one.planned(landing(one))
    assert (one.plans[0].steps, one.plans[0].text) == (1, "label stable moves from 3 to 2, and both stay loaded")
    assert landing(one).look(order).found is Found.BEFORE
    assert landing(one).apply(order).result is Result.DONE
    assert one.named() == ((2, 3), {"stable": 2, "fallback": 2})
    assert (one.servers[0].switches, one.servers[0].reloads) == ([], 1)
    seen = landing(one).look(order)
    assert (seen.found, seen.text) == (Found.DONE, "2 is loaded beside 3 and answers for fallback, stable")


def test_what_serves_is_what_the_labels_answer_and_not_the_default(one: Yard) -> None:
    view = one.lookout.look(one.group, "digits")
    assert (view.serves, view.behind("stable"), view.behind(None)) == ({2, 3}, {3}, {3})
    order = one.planned(landing(one))
    landing(one).apply(order)
    view = one.lookout.look(one.group, "digits")
    assert (view.serves, view.behind("stable"), view.behind(None)) == ({2}, {2}, {3})


def test_with_default_routing_labels_do_not_say_what_serves(one: Yard) -> None:
    one.routing = "default"
    assert one.lookout.look(one.group, "digits").serves == {3}


def test_a_target_that_is_not_loaded_is_loaded_first_and_the_plan_says_where_it_is_missing(one: Yard) -> None:
    one.lay_out(3, labels={"stable": 3})
    order = one.planned(landing(one))
    assert one.plans[0].steps == 2
    assert one.plans[0].text.startswith("2 is not loaded at one, so it is loaded first")
    assert landing(one).apply(order).result is Result.DONE
    assert (landing(one).look(order).found, one.up(), one.servers[0].labels["digits"]) == (
        Found.DONE, {2, 3}, {"stable": 3},
    )  # fmt: skip
    order = replace(order, step=1)
    assert landing(one).apply(order).result is Result.DONE
    assert landing(one).look(order).found is Found.DONE
    assert (one.named(), one.servers[0].labels["digits"]) == (((2, 3), {"stable": 2}), {"stable": 2})


def test_only_the_named_label_moves(one: Yard) -> None:
    one.lay_out(2, 3, labels={"stable": 3, "canary": 3})
    order = one.planned(landing(one, "canary"))
    landing(one, "canary").apply(order)
    assert one.named()[1] == {"stable": 3, "canary": 2}


def test_a_label_that_the_file_lacks_is_named_with_those_that_it_has(one: Yard) -> None:
    result, reason, text = refused(landing(one, "prod").plan(one.order()))
    assert (result, reason) == (Result.IMPOSSIBLE, "unknown_label")
    assert text == "models.config has no label prod for digits; it has fallback, stable"


def test_a_label_of_another_version_is_not_moved(one: Yard) -> None:
    one.lay_out(1, 2, 3, labels={"stable": 1, "canary": 3})
    result, reason, text = refused(landing(one).plan(one.order()))
    assert (result, reason) == (Result.IMPOSSIBLE, "wrong_label")
    assert text.startswith("label stable names 1 and not 3, which is bad")


def test_a_label_that_an_earlier_attempt_moved_goes_one_version_further_back(one: Yard) -> None:
    one.lay_out(1, 2, 3, labels={"stable": 2})
    order = one.order(target=1)
    assert refused(landing(one).plan(order))[1] == "wrong_label"
    order = one.planned(landing(one), replace(order, tried=frozenset({2})))
    assert one.plans[-1].text == "label stable moves from 2 to 1, and both stay loaded"
    landing(one).apply(order)
    assert (landing(one).look(order).found, one.named()[1]) == (Found.DONE, {"stable": 1})


def test_a_label_that_is_there_already_needs_nothing(one: Yard) -> None:
    one.lay_out(2, 3, labels={"stable": 2, "canary": 3})
    assert refused(landing(one).plan(one.order()))[:2] == (Result.SUPERSEDED, "superseded")


def test_a_model_whose_clients_name_no_label_is_not_rolled_back_by_one(one: Yard) -> None:
    one.routing = "default"
    result, reason, text = refused(landing(one).plan(one.order()))
    assert (result, reason) == (Result.IMPOSSIBLE, "wrong_routing")
    assert "`routing: labels` for digits in exporters.yml" in text


def test_it_is_not_done_while_a_server_answers_the_label_with_another_version(one: Yard) -> None:
    order = one.planned(landing(one))
    one.servers[0].deaf = True
    landing(one).apply(order)
    seen = landing(one).look(order)
    assert (seen.found, seen.text) == (Found.PARTLY, "one: 3 AVAILABLE, 2 AVAILABLE, label stable answers 3")
    one.servers[0].deaf = False
    landing(one).apply(order)
    assert landing(one).look(order).found is Found.DONE


def test_somebody_elses_label_move_in_between_is_seen(one: Yard) -> None:
    order = one.planned(landing(one))
    one.file.write_text(one.file.read_text().replace('key: "fallback" value: 2', 'key: "fallback" value: 3'))
    effect = landing(one).apply(order)
    assert (effect.result, one.servers[0].reloads) == (Result.SUPERSEDED, 0)
    assert "label fallback for 3" in effect.text
    assert landing(one).look(order).found is Found.OTHER
