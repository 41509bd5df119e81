"""The landing quarantine-directory: the bad version goes out of the servers' sight, and nothing is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag.repository import list_versions
from airbag_rollback.actions.landing import Found, Order, Result
from airbag_rollback.actions.quarantine_directory import QuarantineDirectory
from tests.fakes.landing import Yard, refused, yard


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Yard]:
    """A server with the policy `latest` and without a models.config."""
    with yard(tmp_path) as found:
        found.with_file = False
        found.servers[0].poll("digits", found.base)
        yield found


def landing(at: Yard) -> QuarantineDirectory:
    return QuarantineDirectory(at.lookout, at.group)


def hidden(at: Yard) -> list[str]:
    return sorted(each.name for each in at.base.iterdir() if each.name.startswith(".airbag-quarantined-"))


def poll(at: Yard) -> None:
    at.servers[0].poll("digits", at.base)


def test_the_bad_version_is_renamed_and_the_server_goes_to_the_one_before(one: Yard) -> None:
    order = one.planned(landing(one))
    assert landing(one).look(order).found is Found.BEFORE
    assert landing(one).apply(order).result is Result.DONE
    assert [name.rpartition("-")[0] for name in hidden(one)] == [".airbag-quarantined-3"]
    assert (one.base / hidden(one)[0] / "saved_model.pb").read_bytes() == b"model"
    assert landing(one).look(order).found is Found.MOVING
    poll(one)
    seen = landing(one).look(order)
    assert (seen.found, seen.text, one.servers[0].reloads) == (Found.DONE, "2 serves", 0)


def test_the_same_order_again_changes_nothing(one: Yard) -> None:
    order = one.planned(landing(one))
    landing(one).apply(order)
    before = sorted(each.name for each in one.base.iterdir())
    assert landing(one).apply(order).result is Result.DONE
    assert sorted(each.name for each in one.base.iterdir()) == before


def test_what_lies_between_goes_first_so_that_no_other_version_answers_meanwhile(one: Yard) -> None:
    order = one.planned(landing(one), one.order(target=1))
    assert list(order.plan["moves"]) == ["2", "3"]
    (one.base / "2").rename(one.base / order.plan["moves"]["2"])  # as after a crash between the two
    assert landing(one).look(order).found is Found.PARTLY
    assert landing(one).apply(order).result is Result.DONE
    poll(one)
    assert (landing(one).look(order).found, one.up()) == (Found.DONE, {1})


def test_a_target_that_is_bad_as_well_is_hidden_next(one: Yard) -> None:
    landing(one).apply(one.planned(landing(one)))
    poll(one)
    order = one.planned(landing(one), one.order(target=1))
    assert list(order.plan["moves"]) == ["2"]
    landing(one).apply(order)
    poll(one)
    assert (landing(one).look(order).found, one.up()) == (Found.DONE, {1})


def test_a_bad_version_that_is_gone_needs_nothing(one: Yard) -> None:
    order = one.order()
    (one.base / "3").rename(one.base / "gone")
    assert refused(landing(one).plan(order))[:2] == (Result.SUPERSEDED, "superseded")


def test_hidden_versions_are_no_versions_to_anybody(one: Yard) -> None:
    landing(one).apply(one.planned(landing(one)))
    assert sorted(list_versions(one.base).versions) == [1, 2]
    assert list_versions(one.base).leftovers == ()  # a prune must not take them for its own


def test_renaming_back_undoes_it(one: Yard) -> None:
    order = one.planned(landing(one))
    landing(one).apply(order)
    poll(one)
    (one.base / hidden(one)[0]).rename(one.base / "3")
    poll(one)
    assert one.up() == {3}


@pytest.mark.parametrize("gone", ["2", "2/saved_model.pb"], ids=["folder", "model"])
def test_without_a_complete_target_nothing_is_renamed(one: Yard, gone: str) -> None:
    order = one.planned(landing(one))
    (one.base / "2" / "saved_model.pb").unlink()
    if gone == "2":
        (one.base / "2").rmdir()
    assert refused(landing(one).plan(one.order()))[:2] == (Result.IMPOSSIBLE, "no_eligible_target")
    effect = landing(one).apply(order)
    assert (effect.result, effect.reason, hidden(one)) == (Result.IMPOSSIBLE, "no_eligible_target", [])


def test_the_only_version_is_never_hidden(one: Yard) -> None:
    for version in (1, 2):
        (one.base / str(version)).rename(one.base / f"gone-{version}")
    _, reason, text = refused(landing(one).plan(one.order()))
    assert reason == "no_eligible_target"
    assert "the model could go away" in text


def test_a_newer_version_on_disk_would_be_gone_to_instead(one: Yard) -> None:
    order = one.planned(landing(one))
    one.version(4)
    _, reason, text = refused(landing(one).plan(one.order()))
    assert (reason, text) == ("newer_version", "4 is newer than 3; servers would go there and not to 2")
    assert (landing(one).apply(order).reason, hidden(one)) == ("newer_version", [])


def test_a_version_that_is_published_again_is_somebody_elses_hand(one: Yard) -> None:
    order = one.planned(landing(one))
    landing(one).apply(order)
    one.version(3)
    seen = landing(one).look(order)
    assert seen.found is Found.OTHER
    assert "3 was put into" in seen.text


def test_nobody_can_act_without_knowing_the_folder(one: Yard) -> None:
    order = one.order()
    entry = one.group.models[0].model_copy(update={"base_path": None})
    group = one.group.model_copy(update={"models": (entry,)})
    _, reason, text = refused(QuarantineDirectory(one.lookout, group).plan(order))
    assert reason == "no_base_path"
    assert "`base_path` in exporters.yml" in text


def test_the_folder_comes_from_models_config_where_there_is_one(one: Yard) -> None:
    one.with_file = True
    order = one.planned(landing(one))
    assert order.plan["base"] == str(one.base)


def test_a_policy_that_does_not_name_the_target_is_not_left_without_a_version(one: Yard) -> None:
    one.with_file = True
    one.lay_out(3)
    _, reason, text = refused(landing(one).plan(one.order()))
    assert reason == "wrong_policy"
    assert "models.config names 3 and not 2" in text


def test_a_server_that_went_elsewhere_meanwhile_ends_it_before_the_touch(one: Yard) -> None:
    order = one.planned(landing(one))
    one.servers[0].models["digits"] = {2: 30}
    assert (landing(one).apply(order).result, hidden(one)) == (Result.SUPERSEDED, [])


def test_all_servers_silent_leave_everything_where_it_is(one: Yard) -> None:
    order = one.planned(landing(one))
    one.servers[0].die()
    assert (landing(one).apply(order).result, hidden(one)) == (Result.RETRY, [])
    assert landing(one).look(order).found is Found.UNSEEN


def test_the_candidates_are_seen_on_disk_without_a_models_config(one: Yard) -> None:
    assert one.lookout.look(one.group, "digits").on_disk == {1, 2, 3}


def test_two_folders_for_one_number_are_a_persons_matter(one: Yard) -> None:
    (one.base / "03").mkdir()
    order: Order = one.order()
    assert refused(landing(one).plan(order))[1] == "model_store"
