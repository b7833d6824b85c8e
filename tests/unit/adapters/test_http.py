from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaosctl.adapters.http import Site, get_text
from chaosctl.errors import Unreachable, UsageProblem
from chaosctl.lab.pki import Authority
from tests.unit.adapters.web_server import Web, certified, web_server


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


@pytest.fixture
def site(web: Web) -> Iterator[Site]:
    site = Site(web.url, timeout=0.5)
    yield site
    site.close()


def test_an_answer_has_status_body_and_times(site: Site) -> None:
    reply = site.get("/health/live")
    assert (reply.status, reply.body) == (200, b'{"status": "alive"}')
    assert 0 < reply.connect < reply.total


def test_the_connection_is_kept(web: Web, site: Site) -> None:
    site.get("/")
    assert site.get("/").connect == 0
    assert web.connections == 1


def test_a_connection_that_was_closed_behind_our_back_is_no_failure(web: Web, site: Site) -> None:
    web.hang_up_after = 1
    assert [site.get("/").status for _ in range(3)] == [200, 200, 200]


def test_an_error_status_is_an_answer(site: Site) -> None:
    assert site.get("/nothing").status == 404


def test_a_server_that_is_too_slow(web: Web, site: Site) -> None:
    web.delay = 2
    with pytest.raises(Unreachable, match="within 0 s"):
        site.get("/")


def test_a_closed_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        Site(f"http://127.0.0.1:{port}").get("/")


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(Unreachable, match="does not resolve"):
        Site("http://no-such-host.invalid").get("/")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.new("test")
    (tmp_path / "ca.crt").write_bytes(made.pem)
    return made


def test_what_the_server_showed(tmp_path: Path, authority: Authority) -> None:
    with web_server(certified(tmp_path, authority, days=10)) as secure:
        site = Site(secure.url, ca_file=tmp_path / "ca.crt")
        assert site.get("/").status == 200
        site.close()
        assert site.served is not None
        assert (site.served.names, site.served.issuer, site.served.version) == (("127.0.0.1",), "test", "TLSv1.3")
        assert 8 < (site.served.not_after - datetime.now(UTC)).days < 11


@pytest.mark.parametrize(("days", "trusted", "why"), [(300, False, "local issuer"), (-0.001, True, "has expired")])
def test_a_certificate_that_is_not_accepted(
    tmp_path: Path, authority: Authority, days: float, trusted: bool, why: str
) -> None:
    with (
        web_server(certified(tmp_path, authority, days=days)) as secure,
        pytest.raises(Unreachable, match=f"is not accepted: .*{why}"),
    ):
        Site(secure.url, ca_file=tmp_path / "ca.crt" if trusted else None).get("/")


@pytest.mark.parametrize(
    "url", ["", "host", "ftp://host", "http://", "http://host:99999", "http://host:port", "http://[::1"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageProblem):
        Site(url)


def test_a_path_in_the_url_is_a_prefix(web: Web) -> None:
    site = Site(f"{web.url}/health/")
    assert site.get("/live").status == 200
    site.close()


def test_get_text(web: Web) -> None:
    web.answers["/ip"] = (200, b"203.0.113.7\n")
    assert get_text(f"{web.url}/ip") == "203.0.113.7\n"


def test_get_text_wants_a_200(web: Web) -> None:
    with pytest.raises(Unreachable):
        get_text(f"{web.url}/nothing")
