"""What is true of every metrics page, whatever the server has done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.conformance.kit.page import Page

EDGES_A = """
10 18 32.4 58.32 104.976 188.957 340.122 612.22 1102 1983.59 3570.47 6426.84 11568.3 20823 37481.3 67466.4 121440 218591
393464 708235 1.27482e+06 2.29468e+06 4.13043e+06 7.43477e+06 1.33826e+07 2.40887e+07 4.33596e+07 7.80473e+07
1.40485e+08 2.52873e+08 4.55172e+08 8.19309e+08 1.47476e+09 +Inf
""".split()  # noqa: SIM905 - a table


def edges(start: float, factor: float, count: int) -> list[str]:
    """`count` edges of a bucket set as the page writes them, and the last one."""
    return [f"{start * factor**index:g}" for index in range(count)] + ["+Inf"]


def _names(page: Page) -> None:
    assert page.types
    for name in [name for name, _ in page.types] + [one.name for one in page.samples]:
        assert re.fullmatch(r":[A-Za-z0-9_:]+", name), name


def _no_help(page: Page) -> None:
    assert "# HELP" not in page.text
    assert page.others == []


def _kinds(page: Page) -> None:
    assert {kind for _, kind in page.types} == {"counter", "gauge", "histogram"}
    assert len(page.kind) == len(page.types)


def _announced(page: Page) -> None:
    families = [name.removeprefix("# ") if name.startswith("# ") else page.family(name) for name in page.order]
    assert list(dict.fromkeys(families)) == [name for name, _ in page.types]
    blocks = [name for index, name in enumerate(families) if index == 0 or families[index - 1] != name]
    assert len(blocks) == len(set(blocks))


def _silent(page: Page) -> None:
    sampled = {page.family(one.name) for one in page.samples}
    assert set(page.kind) - sampled
    assert ":tensorflow:serving:request_log_count" in set(page.kind) - sampled


def _no_total(page: Page) -> None:
    counters = {name for name, kind in page.types if kind == "counter"}
    assert ":tensorflow:serving:request_count" in counters
    assert {name for name in counters if name.endswith("_total")} <= {":tensorflow:serving:request_example_count_total"}


def _braces(page: Page) -> None:
    assert re.search(r"^:tensorflow:core:direct_session_runs\{\} [0-9]+$", page.text, re.MULTILINE)
    assert re.search(r"^:tensorflow:core:graph_run_time_usecs_histogram_sum\{\} \S+$", page.text, re.MULTILINE)


def _label_names(page: Page) -> None:
    for one in page.samples:
        for key in one.keys:
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key), key


def _histograms(page: Page) -> None:
    found = list(page.histograms())
    assert found
    for name, labels, buckets, rest in found:
        where = f"{name}{labels}"
        assert rest == [f"{name}_sum", f"{name}_count"], where
        values = [int(one.value) for one in buckets]
        assert values == sorted(values), where
        assert buckets[-1].label["le"] == "+Inf", where
        assert values[-1] == int(page.of(f"{name}_count".removeprefix(":tensorflow:"), **dict(labels))[0].value), where


def _le_last(page: Page) -> None:
    for one in page.samples:
        if "le" in one.keys:
            assert one.keys[-1] == "le", one


def _digits(page: Page) -> None:
    texts = [one.label["le"] for one in page.samples if "le" in one.keys]
    texts += [one.value for one in page.samples if one.name.endswith("_sum")]
    for text in set(texts) - {"+Inf"}:
        assert f"{float(text):g}" == text


def _integers(page: Page) -> None:
    for one in page.samples:
        if not one.name.endswith("_sum"):
            assert re.fullmatch(r"-?[0-9]+", one.value), one


def _order_of_names(page: Page) -> None:
    names = [name.replace(":", "/") for name, _ in page.types]
    assert names == sorted(names)


def _order_of_points(page: Page) -> None:
    points: dict[tuple[str, tuple[str, ...]], list[tuple[bytes, ...]]] = {}
    for one in page.samples:
        values = tuple(value.encode("utf-8", "surrogateescape") for key, value in one.labels if key != "le")
        rows = points.setdefault((one.name, one.keys), [])
        if not rows or rows[-1] != values:
            rows.append(values)
    for (name, _), rows in points.items():
        assert rows == sorted(rows), name


def _end(page: Page) -> None:
    assert page.raw.endswith(b"\n")
    assert not page.raw.endswith(b"\n\n")
    assert b"\r\n" not in page.raw


def _always_zero(page: Page) -> None:
    found = {one.value for one in page.samples if one.name == ":tensorflow:core:saved_model:read:path"}
    assert found <= {"0"}
    assert {one.value for one in page.samples if one.name == ":tensorflow:core:session_created"} <= {"0"}


RULES: Mapping[str, Callable[[Page], None]] = {
    "names keep the leading colon, and hold nothing but letters, digits, _ and :": _names,
    "there is no HELP, and nothing but TYPE lines and samples without timestamps": _no_help,
    "each metric has one TYPE line: counter, gauge or histogram": _kinds,
    "the TYPE line stands in front of the metric's samples, which stand together": _announced,
    "a registered metric without samples has its TYPE line too": _silent,
    "counters have no _total suffix": _no_total,
    "a metric without labels has empty braces": _braces,
    "label names hold nothing but letters, digits and _": _label_names,
    "a histogram is cumulative buckets up to +Inf, then _sum, then _count": _histograms,
    "le is the last label": _le_last,
    "le and _sum have six significant digits in the style of %g": _digits,
    "counters, gauges, buckets and counts are whole numbers": _integers,
    "metrics are ordered by their slash names": _order_of_names,
    "points are ordered by label values in label order": _order_of_points,
    "lines are joined by a newline, and one newline ends the page": _end,
    "gauges of text and truth print 0": _always_zero,
}
