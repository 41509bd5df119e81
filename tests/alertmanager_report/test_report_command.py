"""`airbag report` against a real Prometheus and a real receiver."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from matplotlib.image import imread

from tests.alertmanager_report.conftest import RELEASED, Story
from tests.alertmanager_report.reading import charts, plain, rows, section
from tests.fakes.cli import ENVIRONMENT
from tests.fakes.ports import free_port
from tests.fakes.rollback import ADMIN, TOKENS, VIEWER

MODEL = 'serving="main",model_name="digits"'
PANELS = {
    "Requests per second": ("model_version:airbag_tfs_requests:increase15s{%s} / 15", max, "{:.4g} /s", 1),
    "Share of requests that failed": ("model_version:airbag_tfs_errors_per_request:ratio15s{%s}", max, "{:.3g} %", 100),
    "Share of answers that were slow": ("model_version:airbag_tfs_slow_per_answer:ratio15s{%s}", max, "{:.3g} %", 100),
    "99 of 100 answers came within": (
        "model_version:airbag_tfs_request_duration_seconds:p99_5m{%s}", max, "{:.3g} ms", 1000,
    ),
    "Share of labelled answers that were right": (
        "model_version:airbag_quality_accuracy:ratio15s{%s}", min, "{:.3g} %", 100,
    ),
}  # fmt: skip
"""By heading: the record that the alert rests on, which value is the worst, and how it is written."""


@pytest.fixture(scope="module")
def made(story: Story, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("made") / "report.html"
    done = story.whole("-o", path)
    assert (done.returncode, done.stderr) == (0, "")
    return path.read_text()


def asked(story: Story, query: str) -> list[tuple[float, float]]:
    """What Prometheus itself answers."""
    form = {"query": query, "start": str(story.start), "end": str(story.end), "step": "1"}
    answer = requests.post(f"{story.prometheus}/api/v1/query_range", form, timeout=30).json()
    [series] = answer["data"]["result"]
    return [(at, float(value)) for at, value in series["values"] if value != "NaN"]


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


@pytest.mark.parametrize("heading", PANELS)
def test_the_numbers_are_those_of_prometheus(story: Story, made: str, heading: str) -> None:
    query, worst, written, times = PANELS[heading]
    found = {row[0]: row[1:] for row in rows(section(made, heading))}
    for version in ("2", "3"):
        points = asked(story, query % f'{MODEL},model_version="{version}"')
        values = [value for _, value in points]
        low, high, at, _, last, last_at = found[version]
        assert (low, high) == (written.format(times * min(values)), written.format(times * max(values)))
        assert at == clock(worst(points, key=lambda point: point[1])[0])
        assert (last, last_at) == (written.format(times * values[-1]), clock(points[-1][0]))


def test_the_limit_of_a_chart_is_that_of_its_alert(made: str) -> None:
    limits = {heading: rows(section(made, heading))[-1] for heading in PANELS if heading != "Requests per second"}
    assert [row[:2] for row in limits.values()] == [
        ["limit", "5 %"], ["limit", "5 %"], ["limit", "100 ms"], ["limit", "85 %"],
    ]  # fmt: skip
    assert limits["Share of requests that failed"][2] == "AirbagErrorRatioHigh"


def test_it_tells_what_happened_in_sentences_with_numbers(story: Story, made: str) -> None:
    told = plain(section(made, "What happened"))
    released = datetime.fromtimestamp(story.start + RELEASED, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    for part in (
        f"Version 3 of digits on main was first seen answering {released}.",
        "the first sign of AirbagErrorRatioHigh on version 3.",
        "version 3 was bad: at least 90 % of its requests failed (5 % may fail, counted on 500 requests).",
        "Airbag went from 3 back to 2 (action 1).", "How long it took: alert to receiver: 0.50 s; judging:",
        "It helped: on version 2, at least 1 % of its requests failed",
    ):  # fmt: skip
        assert part in told, told


def test_stages_and_states_are_the_receiver_s_with_seconds_from_the_first_bad_sign(story: Story, made: str) -> None:
    action = requests.get(f"{story.receiver.url}/v1/actions/1", headers=VIEWER, timeout=10).json()
    first = min(
        at for at, _ in asked(story, f'ALERTS{{{MODEL},alertname="AirbagErrorRatioHigh",alertstate="pending"}}')
    )
    stages = {row[0]: row[1:] for row in rows(section(made, "How long it took: action 1"))}
    assert stages["detected"][1:] == [
        clock(action["alert_at"]), clock(action["received_at"]), f"+{action['received_at'] - first:.0f} s", "0.50 s",
    ]  # fmt: skip
    assert stages["recovered"][2:4] == [clock(action["recovered_at"]), f"+{action['recovered_at'] - first:.0f} s"]
    states = rows(section(made, "Action 1: from 3 back to 2"))
    assert [(row[0], row[2]) for row in states if len(row) == 5] == [
        (clock(event["at"]), event["after"].replace("_", " ").lower()) for event in action["events"]
    ]


def test_alerts_have_their_first_sign_their_firing_and_their_end(story: Story, made: str) -> None:
    found = {row[0]: row[1:] for row in rows(section(made, "Alerts"))}
    about = f'{MODEL},alertname="AirbagErrorRatioHigh"'
    pending, firing = (asked(story, f'ALERTS{{{about},alertstate="{state}"}}') for state in ("pending", "firing"))
    version, severity, first, after, fired, _, ended, _ = found["AirbagErrorRatioHigh"]
    assert (version, severity, after) == ("3", "critical", "+0 s")
    # Prometheus still answers with a sample that is two seconds old, as the test's is told to.
    assert (first, fired) == (clock(pending[0][0]), clock(firing[0][0]))
    assert ended == clock(firing[-1][0])


def test_what_was_not_measured_is_said_and_not_drawn(made: str) -> None:
    assert "Golden requests that were answered wrong: nothing was measured." in plain(made)
    assert 'aria-label="Golden requests' not in made


def test_nothing_is_loaded_from_anywhere_and_nothing_runs(made: str) -> None:
    assert not re.search(r"<(script|link|img|iframe|object)\b|\bon\w+=\"|@import", made)
    assert {target for target in re.findall(r'(?:href|src)="([^"]*)"', made) if not target.startswith("#")} == set()
    assert {target for target in re.findall(r"url\(([^)]*)\)", made) if not target.startswith("#")} == set()


def test_text_in_charts_stays_text_and_colours_are_the_page_s(made: str) -> None:
    drawn = charts(made)
    assert len(drawn) == 7
    assert any(">AirbagErrorRatioHigh</text>" in each and ">recovered</text>" in each for each in drawn)
    assert not [each for each in drawn if re.search(r"#(fe01|[0-9a-f]{6}\b)", each)]
    names = set(re.findall(r"var\((--chart-[a-z0-9-]+)\)", "".join(drawn)))
    assert {"--chart-bad", "--chart-good", "--chart-limit"} <= names
    assert not [name for name in names if made.count(f"{name}:") < (1 if name == "--chart-font" else 2)]


def test_the_same_past_is_the_same_drawing(story: Story, made: str, tmp_path: Path) -> None:
    assert story.whole("-o", tmp_path / "again.html").returncode == 0
    assert charts((tmp_path / "again.html").read_text()) == charts(made)


def test_a_picture_and_a_page_at_once(story: Story, tmp_path: Path) -> None:
    done = story.whole("-o", tmp_path / "a.png", "-o", tmp_path / "a.html")
    assert done.returncode == 0, done.stderr
    height, width, _ = imread(tmp_path / "a.png").shape
    assert (width, height > 1500) == (1440, True)
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")


def test_a_span_without_an_action_is_a_report_of_a_calm_time(story: Story, tmp_path: Path) -> None:
    done = story.report("digits", "--from", str(story.start), "--to", str(story.start + 50), "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "r.html").read_text()
    assert "Airbag did nothing to this model in this time. No alert fired on it." in plain(html)
    assert rows(section(html, "Requests per second"))[0][0] == "2"


def test_of_an_action_the_span_is_its_own(story: Story, tmp_path: Path) -> None:
    action = requests.get(f"{story.receiver.url}/v1/actions/1", headers=VIEWER, timeout=10).json()
    done = story.report("--action", "1", "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "r.html").read_text()
    assert "<h1>digits on main: from 3 back to 2</h1>" in html
    for at in (action["alert_at"] - 300, action["ended_at"] + 300):
        assert datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") in plain(
            section(html, "What happened")
        )


RUBBISH = {
    "unknown model": ("nothing --from {start} -o {out}/r.html", 1, "model nothing: is on no such serving (there: "),
    "unknown serving": ("digits --serving x --from {start} -o {out}/r.html", 1, "is on no such serving"),
    "order of times": ("digits --from {end} --to {start} -o {out}/r.html", 2, "--to does not lie after --from"),
    "no time": ("digits --from yesterday -o {out}/r.html", 2, "'yesterday' is no time"),
    "far time": ("digits --from 1e300 -o {out}/r.html", 2, "'1e300' is no time"),
    "not a number": ("digits --from nan -o {out}/r.html", 2, "'nan' is no time"),
    "no span": ("digits -o {out}/r.html", 2, "name MODEL and --from, or an --action"),
    "two models": ("digits --model other --from 1h -o {out}/r.html", 2, "name two models"),
    "model and action": ("digits --action 1 -o {out}/r.html", 2, "--action says which model it is"),
    "unknown action": ("--action 99 -o {out}/r.html", 1, "there is no action 99"),
    "no output": ("digits --from {start}", 2, "name a file with -o report.html"),
    "no such kind": ("digits --from {start} -o {out}/r.pdf", 2, "ends neither in .html nor in .png"),
    "unwritable": ("digits --from {start} -o {out}/none/r.html", 1, "No such file or directory ({out}/none/r.html)"),
    "no data": ("digits --from 30d --to 29d -o {out}/r.html", 1, "nothing to report of digits on main in that time"),
    "nothing to attach to": ("digits --from {start} --to {calm} --attach", 1, "no action in that time"),
}  # fmt: skip


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_a_sentence(story: Story, tmp_path: Path, name: str) -> None:
    line, code, said = RUBBISH[name]
    places = {"start": story.start, "calm": story.start + RELEASED - 10, "end": story.end, "out": tmp_path}
    done = story.report(*line.format(**places).split())
    assert done.returncode == code, done.stderr
    assert said.format(**places) in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_prometheus_the_report_tells_of_the_action_and_says_what_is_missing(
    story: Story, tmp_path: Path
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    done = story.whole("-o", tmp_path / "r.html", "-o", tmp_path / "r.png", prometheus=away)
    assert (done.returncode, "part of the report is missing: Prometheus at" in done.stderr) == (0, True)
    html = (tmp_path / "r.html").read_text()
    assert f"Part of this report is missing: Prometheus at {away}/api/v1/query_range gave no answer" in html
    assert "Airbag went from 3 back to 2" in html
    assert charts(html) == []


def test_without_the_receiver_the_report_draws_and_says_that_nobody_knows_what_was_done(
    story: Story, tmp_path: Path
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    done = story.whole("-o", tmp_path / "r.html", receiver=away)
    assert (done.returncode, "part of the report is missing: the receiver at" in done.stderr) == (0, True)
    html = (tmp_path / "r.html").read_text()
    assert "What Airbag did is not known, as the receiver could not be asked. 4 alerts fired" in plain(html)
    assert plain(section(html, "What people did")) == "Not known: the receiver could not be asked."
    assert len(charts(html)) == 7


def test_without_both_there_is_no_report(story: Story, tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    done = story.whole("-o", tmp_path / "r.html", receiver=away, prometheus=away)
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "nothing to report of digits on main in that time" in done.stderr


def test_without_the_library_one_is_told_how_to_get_it_before_anything_is_asked() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from airbag.cli import main; main(['report', 'm', '--from', '1h', '-o', 'r.html'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
                          env=ENVIRONMENT)  # fmt: skip
    assert (done.returncode, "pip install 'tfs-airbag[report]'" in done.stderr) == (1, True), done.stderr


def test_the_receiver_never_loads_what_draws() -> None:
    code = "import sys, airbag_rollback.app, airbag_rollback.commands.receiver; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    ).stdout.split()
    assert [name for name in loaded if name.startswith(("matplotlib", "airbag_rollback.report"))] == []


def test_attached_it_is_on_the_action_s_record_under_the_name_of_who_did_it(story: Story, tmp_path: Path) -> None:
    refused = story.whole("--attach", token=TOKENS["vera"])
    assert (refused.returncode, "this takes the role operator" in refused.stderr) == (1, True)
    done = story.report("--action", "1", "--attach", "-o", tmp_path / "r.html", token=TOKENS["olga"])
    assert done.returncode == 0, done.stderr
    assert f"attached to action 1: {story.receiver.url}/actions/1/report" in done.stdout
    answer = requests.get(f"{story.receiver.url}/v1/actions/1/report", headers=VIEWER, timeout=10)
    assert answer.text == (tmp_path / "r.html").read_text()
    known = requests.get(f"{story.receiver.url}/v1/actions/1", headers=VIEWER, timeout=10).json()["report"]
    assert (known["by"], known["bytes"]) == ("olga", len(answer.content))
    page = requests.get(f"{story.receiver.url}/actions/1", headers=ADMIN, timeout=10).text
    assert '<a href="/actions/1/report">' in page
    assert requests.get(f"{story.receiver.url}/actions/1/report", headers=ADMIN, timeout=10).text == answer.text
