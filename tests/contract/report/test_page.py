"""The page in a real browser: Chromium, where there is one."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos.advisor import advise
from chaosctl.chaos.record import Record
from chaosctl.chaos.result import conclude
from chaosctl.chaos.timeline import Timeline
from chaosctl.report.html import page
from tests.contract.report.browser import Tab, browser, program
from tests.unit.chaos.story import killed

pytestmark = pytest.mark.skipif(program() is None, reason="there is no Chromium on this machine")

# Of all words that are seen, how well they can be told from what is behind them (WCAG 2.2, 1.4.3), worst first.
CONTRASTS = """(() => {
  const light = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (el) => {
    for (; el; el = el.parentElement) {
      const c = parse(getComputedStyle(el).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || el.closest("svg, script, .skip") || !el.checkVisibility()) continue;
    const a = luminance(parse(getComputedStyle(el).color)), b = luminance(behind(el));
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
})()"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The page of a run in which a budget was exceeded."""
    directory = tmp_path_factory.mktemp("page")
    told = killed().told({(20.0, 22.0): ("both", "status", 503), (0.5, 0.9): ("new", "timeout", 0)})
    assert isinstance(told[0], e.ExperimentStarted)
    record, line = Record(told[0].experiment), Timeline.of(told)
    for event in told:
        record.add(event)
    file = directory / "report.html"
    file.write_text(page(conclude(record), line, advise(line)))
    with browser(directory / "profile") as opened:
        opened.open(file)
        yield opened


@pytest.fixture(autouse=True)
def as_usual(tab: Tab) -> None:
    tab.show()


def test_it_needs_nobody_and_complains_about_nothing(tab: Tab) -> None:
    asked = [request["request"]["url"].partition(":")[0] for request in tab.told("Network.requestWillBeSent")]
    assert set(asked) <= {"file", "data"} and asked
    assert tab.told("Log.entryAdded") == [] == tab.told("Runtime.exceptionThrown")
    assert tab.ask("document.documentElement.classList.contains('scripted')") is True


def test_the_time_line_can_be_read_by_keyboard_alone(tab: Tab) -> None:
    tab.ask("document.activeElement.blur()")
    for _ in range(20):
        tab.press("Tab")
        if tab.ask("document.activeElement.id") == "moment":
            break
    first = tab.ask("document.getElementById('reading').textContent")
    tab.press("ArrowRight")
    second = tab.ask("document.getElementById('reading').textContent")
    assert "ok" in first and "ok" in second and first != second
    assert tab.ask("document.getElementById('moment').getAttribute('aria-valuetext')") == second
    assert tab.ask("document.getElementById('cursor').getAttribute('visibility')") == "visible"


def test_a_screen_reader_is_told_the_verdict_the_figures_and_what_the_picture_shows(tab: Tab) -> None:
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    told = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]}
    assert any(role == "heading" and name.endswith("SLO BREACHED") for role, name in told)
    assert ("slider", "Read it at a moment") in told
    assert ("list", "Figures") in told
    assert any(role in ("image", "img") and name.startswith("What happened, on one axis") for role, name in told)
    assert {"main", "table", "columnheader", "rowheader", "link"} <= {role for role, _ in told}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_told_from_what_is_behind_it(tab: Tab, scheme: str) -> None:
    tab.show(scheme=scheme)
    contrasts = tab.ask(CONTRASTS)
    assert len(contrasts) > 100
    assert contrasts[0][0] >= 4.5, contrasts[:5]


def test_light_and_dark_are_different_and_both_are_drawn(tab: Tab) -> None:
    pictures = set()
    for scheme in ("light", "dark"):
        tab.show(scheme=scheme)
        pictures.add(tab.ask("getComputedStyle(document.body).backgroundColor"))
        assert len(base64.b64decode(tab.call("Page.captureScreenshot")["data"])) > 20_000
    assert len(pictures) == 2


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
def test_nothing_but_the_picture_and_wide_tables_is_scrolled_sideways(tab: Tab, width: int) -> None:
    tab.show(width=width)
    assert tab.ask("document.scrollingElement.scrollWidth") <= width


def test_on_paper_it_is_a_few_pages_and_tables_that_are_open(tab: Tab) -> None:
    def pages() -> int:
        pdf = base64.b64decode(tab.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
        return pdf.count(b"/Type /Page\n") or pdf.count(b"/Type /Page ") or pdf.count(b"/Type /Page/")

    short = pages()
    tab.ask("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    long = pages()
    tab.ask("document.querySelectorAll('details').forEach((d) => { d.open = false; })")
    assert 1 <= short <= 3 < long
