"""Which lab answers, and what leads an AWS SDK to it and nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from chaosctl.errors import Unreachable
from chaosctl.events import ignore
from chaosctl.lab.endpoint import Endpoint, undiverted
from chaosctl.lab.layout import AWS_ENDPOINT, Layout


class Health(BaseHTTPRequestHandler):
    lab = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "ok", "lab": self.lab}).encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "lab")


@pytest.fixture
def endpoint(layout: Layout) -> Iterator[Endpoint]:
    with HTTPServer((layout.loopback(0), 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Endpoint(layout, server.server_port)
        server.shutdown()


def test_our_own_aws_answers(endpoint: Endpoint, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "lab", str(layout.root))
    assert endpoint.running()


def test_the_aws_of_another_lab_is_not_ours(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "lab", "/somewhere/else")
    assert not endpoint.running()


def test_a_lab_that_was_never_started_does_not_answer(
    endpoint: Endpoint, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Health, "lab", str(layout.root))
    assert not endpoint.answers(ignore)


def test_a_lab_whose_processes_are_gone_says_how_to_go_on(endpoint: Endpoint, layout: Layout) -> None:
    layout.root.mkdir()
    (layout.root / "lab.json").write_text(json.dumps({"aws_port": endpoint.port}))
    with pytest.raises(Unreachable) as caught:
        endpoint.answers(ignore)
    assert caught.value.code == "LAB-DIED"
    assert "chaosctl lab start" in caught.value.remedy


def test_the_port_is_that_of_the_running_lab_whatever_is_wanted_now(endpoint: Endpoint, layout: Layout) -> None:
    layout.root.mkdir()
    (layout.root / "lab.json").write_text(json.dumps({"aws_port": 4711}))
    assert (endpoint.port, endpoint.url) == (4711, f"http://{layout.loopback(AWS_ENDPOINT)}:4711")


def test_without_a_lab_and_a_wish_there_is_no_address_and_nothing_answers(layout: Layout) -> None:
    """Nobody gets an address with a port that no lab has."""
    with pytest.raises(FileNotFoundError):
        _ = Endpoint(layout).address
    assert not Endpoint(layout).running()


def test_an_sdk_gets_the_keys_of_the_labs_operator(
    endpoint: Endpoint, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    layout.aws.mkdir(parents=True)
    operator = {"AccessKeyId": "AKIA", "SecretAccessKey": "s", "Arn": "arn:aws:iam::123456789012:user/operator"}
    (layout.aws / "operator.json").write_text(json.dumps(operator))
    env = endpoint.environment("eu-west-1")
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_PROFILE"]) == ("AKIA", "s", "")
    assert (env["AWS_ENDPOINT_URL"], env["AWS_REGION"]) == (endpoint.url, "eu-west-1")
    assert endpoint.account_id() == "123456789012"


HOSTILE = {"AWS_PROFILE": "nonsense", "AWS_ENDPOINT_URL_S3": "http://elsewhere", "AWS_SESSION_TOKEN": "x", "HOME": "/h"}


def test_nothing_of_the_users_aws_settings_is_left(tmp_path: Path) -> None:
    env = undiverted(HOSTILE, Layout(tmp_path), "us-west-2")
    assert {env[name] for name in HOSTILE if name.startswith("AWS_")} == {""}
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert "HOME" not in env


def test_the_labs_addresses_are_exempt_from_proxies_beside_the_users_own(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    env = undiverted({"NO_PROXY": "intra.example"}, layout, "us-west-2")
    assert env["NO_PROXY"] == env["no_proxy"]
    assert env["NO_PROXY"].split(",")[0] == "intra.example"
    assert layout.loopback(0) in env["NO_PROXY"].split(",")
