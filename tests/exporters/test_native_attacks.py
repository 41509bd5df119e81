"""Model names that clients choose to mislead the parser, and pages that would keep a careless one busy."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_exporters.serving.native import Bucket, Counter, Parser, Requests, parse
from tests.exporters.native_page import PREFIX, histogram, line, write

VICTIM: dict[Counter, int] = {
    Requests("victim", "OK"): 7,
    Requests("victim", "INTERNAL"): 2,
    **histogram("victim", "Predict", "GRPC", [20, 500]),
}
FORGED = line(Requests("victim", "OK"), 999).decode()
COUNT = f"{PREFIX}count{{"
NAMES = [
    'we"ird\\name',
    "two\nlines",
    "a}b{c",
    "\udcff\udcfe",
    "nul\x00cr\r",
    "back\\",
    "",
    'x",status="OK"} 9',
    'x"} 5\n:tensorflow:serving:request_count{model_name="victim",status="OK"} 999',
    f"x\n{FORGED}",
    f"x\r\n{FORGED}\r\n",
    f"x\\\n{FORGED}",
    f'x\\"}} 1\n{FORGED}y',
    f'x\\\\"}} 1\n{FORGED}y',
    f"\n{FORGED}{FORGED}",
    f"x\n{COUNT}model_name=",
    f"x\n{COUNT}model_name=victim,status=OK}} 999\n",
    f"x\n{COUNT}}} 999\n",
    f"x\n{COUNT}model_name='victim',status='OK'}} 999\n",
    f'x\n{COUNT}"model_name"="victim","status"="OK"}} 999\n',
    "} 5\n" + FORGED,
    ",status=",
    "} 999\n",
    'x",model_name="victim',
    "x\n# TYPE :tensorflow:serving:request_count counter",
    "x\n# EOF\n",
    "x\n" + line(Bucket("victim", "Predict", "GRPC", "10"), 999).decode(),
    "\ufeffvictim",
    "victim\u200b",
    "vic\u0301tim",
]


def attacked(*names: str) -> dict[Counter, int]:
    """What the server counted when clients also asked for models of these names."""
    return {**{Requests(name, "NOT_FOUND"): 1 for name in names}, **VICTIM}


def orders(counters: dict[Counter, int]) -> list[dict[Counter, int]]:
    items = list(counters.items())
    return [dict(items), dict(items[::-1]), dict(sorted(items))]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_adds_to_or_takes_from_the_counters_of_another_model(name: str) -> None:
    for counters in orders(attacked(name)):
        assert parse(write(counters)).counters == counters


def test_all_of_them_together_do_not_either() -> None:
    parser = Parser()
    for counters in orders(attacked(*NAMES)):
        assert parser.parse(write(counters)).counters == counters


@pytest.mark.parametrize("name", NAMES)
def test_nor_do_they_where_a_page_is_cut_off(name: str) -> None:
    """The end of the name is lost with its closing quote, so that what it holds stands at the starts of lines."""
    page = write({Requests(name, "NOT_FOUND"): 1, Requests("victim", "OK"): 7})
    known = Parser()
    known.parse(write(VICTIM))
    for end in range(len(page)):
        for parser in (Parser(), known):
            assert parser.parse(page[:end]).counters.get(Requests("victim", "OK"), 7) == 7


@pytest.mark.parametrize("name", NAMES)
def test_nor_where_a_page_begins_in_the_middle(name: str) -> None:
    page = write({Requests(name, "NOT_FOUND"): 1, Requests("victim", "OK"): 7})
    for begin in range(page.index(PREFIX.encode() + b"count{") + len(name.encode(errors="surrogateescape"))):
        assert parse(page[begin:]).counters.get(Requests("victim", "OK"), 7) == 7


pieces = st.lists(
    st.sampled_from(['"', "\\", "\n", "\r", "} 5\n", "victim", "model_name=", ",status=", "OK", "{", COUNT, FORGED])
    | st.characters(codec="utf-8"),
    max_size=12,
).map("".join)


@given(st.lists(pieces, max_size=5), st.data())
def test_no_combination_of_names_forges_a_counter(names: list[str], data: st.DataObject) -> None:
    counters = attacked(*names)
    page = write(counters)
    assert parse(page).counters == counters
    cut = parse(page[: data.draw(st.integers(0, len(page)))])
    assert cut.counters.items() <= counters.items()


PATHOLOGICAL: list[Callable[[int], str]] = [
    lambda size: f'\n{COUNT}model_name="' * size,
    lambda size: f'\n{COUNT}a="\n",' * size,
    lambda size: f'\n{COUNT}a="",b="' * size,
    lambda size: f'\n{COUNT}a="",' * size,
    lambda size: f"\n{COUNT}a=" * size,
    lambda size: f"\n{PREFIX}" * size,
    lambda size: PREFIX * size,
    lambda size: f"\n{COUNT}{'a' * size}",
    lambda size: f"\n{COUNT}" + 'a="b",' * size,
    lambda size: f'\n{COUNT}a="' + "\\" * size,
    lambda size: f'\n{COUNT}a="' + '\\"' * size,
    lambda size: f'\n{COUNT}a="' + f"\n{COUNT}a=" * size,
    lambda size: f'\n{COUNT}model_name="' + f"\n{COUNT}model_name=" * size + '",status="OK"} 5\n',
    lambda size: f"\n{COUNT}" + "".join(f'l{number}="",' for number in range(size)) + 'model_name="",status=""} 5\n',
    lambda size: f"\n{COUNT}}} " + "9" * size + "\n",
    lambda size: f'\n{COUNT}model_name="",status=""}} {"9" * size}\n',
    lambda size: f'\n{COUNT}model_name="",status=""}}{" " * size}x\n',
    lambda size: f'\n{COUNT}model_name="",status=""}} 5 {"1" * size}x\n',
    lambda size: f'\n{COUNT}model_name="",status=""}} 5\n' * size,
    lambda size: "\udcff" * size,
    lambda size: "\udcff\n" * size,
    lambda size: "\n" * size + PREFIX,
    lambda size: ":tensorflow:serving:request" * size,
]


@pytest.mark.parametrize("pathological", PATHOLOGICAL)
def test_time_grows_with_the_size_of_a_page_and_not_with_its_square(pathological: Callable[[int], str]) -> None:
    """Eight times the page: eight times the time when it is linear, sixty-four when it is not."""

    def cost(size: int) -> float:
        page, parser = pathological(size).encode(errors="surrogateescape"), Parser()
        parser.parse(b"")

        def once() -> float:
            begun = time.process_time()
            parser.parse(page)
            return time.process_time() - begun

        return min(once() for _ in range(3))

    size = 4000
    assert cost(8 * size) < 30 * max(cost(size), 0.0005)
