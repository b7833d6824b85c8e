from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.adapters.http import Reply, Served, Site
from chaosctl.config import SmokeSettings
from chaosctl.errors import CheckFailed, ExitStatus
from chaosctl.events import Event, Warned, ignore
from chaosctl.lab.pki import Authority
from chaosctl.stages import smoke
from chaosctl.stages.smoke import Security, SmokeResult, measure, percentile
from tests.unit.adapters.web_server import Web, certified, web_server


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


def quick(requests: int, **settings: Any) -> SmokeSettings:
    """With fewer requests than a user may ask for: what is tested here needs no percentiles that mean something."""
    return SmokeSettings(**settings).model_copy(update={"requests": requests})


def check(web: Web, **settings: float) -> SmokeResult:
    return measure(web.url, quick(8, **settings), ignore)


def test_a_healthy_backend_passes(web: Web) -> None:
    result = check(web)
    assert result.problems == []
    assert result.latency.requests == 8
    assert 0 < result.latency.p50_ms <= result.latency.p95_ms <= result.latency.p99_ms


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((500, b"{}"), "status 500"),
        ((200, b"<html>"), "not JSON"),
        ((200, b"[]"), "not a JSON object"),
        ({"other": 1}, "lacks users"),
    ],
)
def test_a_wrong_answer_is_told(web: Web, answer: object, problem: str) -> None:
    web.answers["/probe/data"] = answer
    assert any(p.startswith("/probe/data") and problem in p for p in check(web).problems)


def test_errors_while_timing_count(web: Web) -> None:
    web.answers["/probe/data"] = (503, b"{}")
    assert check(web).latency.failed == 2


def test_the_limit_is_for_the_p95(web: Web) -> None:
    web.delay = 0.02
    assert "the limit is 10 ms" in check(web, limit_ms=10).problems[0]


def test_https_is_verified_and_its_end_is_told(tmp_path: Path) -> None:
    authority, said = Authority.new("test"), list[Event]()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    with web_server(certified(tmp_path, authority, days=20)) as secure:
        result = measure(secure.url, quick(4), said.append, ca_file=tmp_path / "ca.crt")
        assert result.problems == []
        assert result.security is not None and result.security.certificate.names == ("127.0.0.1",)
        assert [type(event) for event in said] == [Warned] and "in 19 days" in str(said)
        with pytest.raises(CheckFailed, match="not accepted"):
            measure(secure.url, SmokeSettings(), ignore)


@pytest.mark.parametrize(
    ("answer", "headers", "plain"),
    [
        ((200, b"{}"), {}, "served"),
        ((301, b""), {"location": "https://shop.example.com/"}, "redirected"),
        ((301, b""), {"location": "http://www.example.com/"}, "served"),
        ((404, b""), {}, "refused"),
        ((503, b""), {"server": "awselb/2.0"}, "refused"),
        ((503, b""), {}, "served"),
        ((502, b""), {"server": "awselb/2.0"}, "served"),
        (None, {}, "closed"),
    ],
)
def test_what_http_does_beside_https(
    web: Web, monkeypatch: pytest.MonkeyPatch, answer: object, headers: dict[str, str], plain: str
) -> None:
    class Beside(Site):
        def __init__(self, url: str, **options: Any) -> None:
            assert url == "http://shop.example.com"
            super().__init__(web.url if answer else "http://127.0.0.1:9", **options)

        def get(self, path: str) -> Reply:
            return replace(super().get(path), headers=headers)

    monkeypatch.setattr(smoke, "Site", Beside)
    web.answers["/"] = answer
    assert smoke._plain(urlsplit("https://shop.example.com/")) == plain
    assert smoke._plain(urlsplit("https://shop.example.com:8443/")) == ""


def test_serving_plain_http_beside_https_is_a_problem() -> None:
    assert "redirected" in Security(Served((), "", datetime.now(UTC), ""), "", "served").problem
    for fine in ("closed", "refused", "redirected", ""):
        assert Security(Served((), "", datetime.now(UTC), ""), "", fine).problem == ""


def test_nobody_there() -> None:
    with pytest.raises(CheckFailed) as caught:
        measure("http://127.0.0.1:9", SmokeSettings(), ignore)
    assert (caught.value.code, caught.value.status) == ("SMOKE-NO-ANSWER", ExitStatus.CHECK_FAILED)


@pytest.mark.parametrize(("settles", "problems"), [(True, []), (False, ["/: status 404 instead of 200"])])
def test_what_the_load_balancer_itself_answers_may_be_of_before(
    web: Web, settles: bool, problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right, fresh, asked = web.answers["/"], smoke._fresh, list[str]()
    web.software, web.answers["/"] = "awselb/2.0", (404, b"")

    def watched(site: Site, path: str) -> Reply:
        asked.append(path)
        if settles and len(asked) == 3:
            web.software, web.answers["/"] = "test", right
        return fresh(site, path)

    monkeypatch.setattr(smoke, "_fresh", watched)
    monkeypatch.setattr(smoke, "SETTLE_SECONDS", 30.0 if settles else 0.01)
    result = measure(web.url, quick(2), ignore, patience=60)
    assert [found for found in result.problems if found.startswith("/:")] == problems


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(i) for i in range(1, 101)]
    assert [percentile(values, p) for p in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([], 50) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_one_of_the_values_and_bounds_its_share(values: list[float], percent: int) -> None:
    values.sort()
    found = percentile(values, percent)
    assert found in values
    assert sum(v <= found for v in values) * 100 >= percent * len(values)
