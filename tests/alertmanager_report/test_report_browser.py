"""The report in a real browser, on light and dark paper, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page

from tests.alertmanager_pages.test_pages_browser import AUDIT
from tests.alertmanager_report.conftest import Story
from tests.fakes.rollback import OPERATOR, TOKENS

DRAWN = """
() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = color.map((each) => each / 255)
      .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [a, b] = [light(channels(one).slice(0, 3)), light(channels(other).slice(0, 3))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const found = [];
  for (const chart of document.querySelectorAll("svg.chart")) {
    const paper = getComputedStyle(chart.closest("figure")).backgroundColor;
    for (const text of chart.querySelectorAll("text"))
      found.push(["text", text.textContent, contrast(getComputedStyle(text).fill, paper)]);
    for (const path of chart.querySelectorAll('g[id*="line2d"] > path')) {
      const stroke = getComputedStyle(path).stroke;
      if (path.getAttribute("clip-path") && stroke !== "none" && !path.outerHTML.includes("--chart-grid"))
        found.push(["line", chart.getAttribute("aria-label"), contrast(stroke, paper)]);
    }
  }
  return found;
}
"""
"""Every text and every line of the charts, less their grid, with its contrast to the paper below."""


@pytest.fixture(scope="module")
def made(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shown") / "report.html"
    assert story.whole("-o", path).returncode == 0
    return path


def opened(chromium: Browser, url: str, complaints: list[str], scheme: str = "light", width: int = 1400) -> Page:
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type] # one of two words
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url != url else None)
    page.goto(url)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_can_be_read_and_fits(made: Path, chromium: Browser, width: int, scheme: str) -> None:
    complaints: list[str] = []
    page = opened(chromium, made.as_uri(), complaints, scheme, width)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(AUDIT) == []
    drawn = page.evaluate(DRAWN)
    assert {"text", "line"} == {kind for kind, *_ in drawn}
    assert [each for each in drawn if each[2] < (4.5 if each[0] == "text" else 3)] == []
    assert complaints == []
    page.close()


def test_light_and_dark_are_two_papers(made: Path, chromium: Browser) -> None:
    seen = []
    for scheme in ("light", "dark"):
        page = opened(chromium, made.as_uri(), [], scheme)
        seen.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert seen == ["rgb(246, 246, 243)", "rgb(20, 23, 27)"]


def test_on_paper_everything_stands_there_unfolded(made: Path, chromium: Browser) -> None:
    page = opened(chromium, made.as_uri(), [])
    assert not page.get_by_text("model_version:airbag_tfs_errors_per_request:ratio15s").last.is_visible()
    page.emulate_media(media="print")
    assert page.get_by_text("model_version:airbag_tfs_errors_per_request:ratio15s").last.is_visible()
    page.close()


def test_on_the_action_s_page_a_link_leads_to_it_and_it_looks_the_same(
    story: Story, made: Path, chromium: Browser
) -> None:
    headers = {**OPERATOR, "Content-Type": "text/html"}
    url = f"{story.receiver.url}/v1/actions/1/report"
    assert requests.put(url, data=made.read_bytes(), headers=headers, timeout=30).ok
    complaints: list[str] = []
    page = chromium.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{story.receiver.url}/login?to=/actions/1")
    page.get_by_label("Token or password").fill(TOKENS["vera"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="the whole story with charts").click()
    page.get_by_role("heading", level=1, name="digits on main: from 3 back to 2").wait_for()
    assert page.locator("svg.chart").count() == 7
    assert min(each[2] for each in page.evaluate(DRAWN)) >= 3
    assert complaints == []
    page.close()
