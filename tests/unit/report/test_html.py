"""The page as a browser, a screen reader and a keyboard find it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from chaosctl.chaos.outage import Outage
from chaosctl.report.chart import merged
from chaosctl.report.html import page
from chaosctl.report.runs import Told

VOID = {"meta", "link", "input", "br"}
Attributes = dict[str, str | None]


class Parsed(HTMLParser):
    """All elements with their attributes and texts; fails when they are not nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag] = self.texts.get(tag, "") + data

    def all(self, tag: str) -> list[Attributes]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def text(breached: Told) -> str:
    return page(breached.result, breached.line, breached.advice)


@pytest.fixture
def parsed(text: str) -> Parsed:
    return Parsed(text)


def test_it_needs_nothing_from_outside(text: str, parsed: Parsed) -> None:
    for _, attributes in parsed.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:"))
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    (policy,) = [a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'")


def test_the_script_is_the_one_that_the_policy_allows(text: str) -> None:
    script = text.split("<script>")[1].split("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in text


def test_the_verdict_its_reasons_and_the_budgets_are_in_words(parsed: Parsed) -> None:
    assert "SLO BREACHED" in parsed.texts["h1"]
    assert "the budget is 1 s" in parsed.texts["header"]
    assert "exceeded" in parsed.texts["header"]
    assert parsed.texts["title"].startswith("SLO BREACHED")


def test_it_says_why_requests_failed_and_how_to_repeat_it(parsed: Parsed) -> None:
    assert "Why requests failed" in parsed.texts["section"]
    assert "chaosctl chaos --kill-pods '<script>'" in parsed.texts["pre"]


def test_what_others_named_cannot_become_markup(text: str) -> None:
    assert "'<script>'" not in text


def test_landmarks_headings_and_language(parsed: Parsed) -> None:
    assert parsed.all("html")[0]["lang"] == "en"
    assert [len(parsed.all(tag)) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    labels = [a["aria-labelledby"] for a in parsed.all("section")]
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(label in ids for label in labels)
    assert {"#main", "#tables"} <= {a["href"] for a in parsed.all("a")}


def test_the_picture_has_a_name_a_description_and_tables_that_say_the_same(parsed: Parsed) -> None:
    (chart,) = parsed.all("svg")
    assert (chart["role"], chart["aria-labelledby"]) == ("img", "chart-title chart-about")
    assert "200 of them failed" in parsed.texts["p"]
    assert len(parsed.all("details")) == 5 == len(parsed.all("summary"))
    for wanted in ("draining", "web-4", "+20.000 s", "fault acknowledged: web-1"):
        assert wanted in parsed.texts["details"]


def test_tables_have_headers_and_can_be_reached_by_keyboard(parsed: Parsed) -> None:
    assert {a["scope"] for a in parsed.all("th")} == {"row", "col"}
    regions = [a for a in parsed.all("div") if a.get("class") == "scroll"]
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in regions)


def test_the_moment_is_read_out(text: str, parsed: Parsed) -> None:
    (slider,) = parsed.all("input")
    assert {"for": "moment"} in parsed.all("label")
    data = json.loads(text.split('id="columns">')[1].split("</script>")[0])
    assert int(str(slider["max"])) == len(data["columns"]) - 1
    (read_out,) = [c for c in data["columns"] if c.startswith("+20.00 s")]
    assert "26 status" in read_out and "targets: 3 healthy" in read_out


def test_light_dark_and_paper_are_provided_for(text: str) -> None:
    for wanted in ("prefers-color-scheme: dark", "@media print", "color-scheme: light dark", ":focus-visible"):
        assert wanted in text


def test_colours_are_never_the_only_sign(text: str) -> None:
    for label in (">ready<", ">draining<", ">fault<", ">ending<"):
        assert label in text


def test_its_size_is_bounded(told: object, good: Told) -> None:
    many = {stream: requests * 40 for stream, requests in good.line.requests.items()}
    good.line.requests = many
    assert len(page(good.result, good.line, good.advice)) < 300_000


def test_outages_that_lie_together_are_one_band() -> None:
    many = [Outage("new", at, at + 0.01, 1, ()) for at in (5.0, 5.02, 5.04, 9.0)]
    assert merged(many, 0.2) == [(5.0, 5.05, 3), (9.0, 9.01, 1)]


def test_a_run_without_a_fault_has_a_page_too(told: object, good: Told) -> None:
    good.line.faults.clear()
    good.line.requests = {"new": [], "reused": []}
    assert "No fault was injected" in page(good.result, good.line, ())
