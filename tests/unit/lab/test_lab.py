"""Which lab answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from chaosctl.config import LabSettings, Settings
from chaosctl.errors import Busy, PreconditionFailed, Unreachable
from chaosctl.events import ignore
from chaosctl.lab import preflight, processes
from chaosctl.lab.lab import Lab
from chaosctl.lab.layout import Layout


class Health(BaseHTTPRequestHandler):
    lab = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "ok", "lab": self.lab}).encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    layout = Layout(tmp_path / "lab")
    with HTTPServer((layout.loopback(0), 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Lab(layout, Settings(lab=LabSettings(aws_port=server.server_port)), ignore)
        server.shutdown()


def test_our_own_aws_answers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "lab", str(lab.layout.root))
    assert lab.running()


def test_the_aws_of_another_lab_is_not_ours(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "lab", "/somewhere/else")
    assert not lab.running()


def test_a_lab_that_was_never_started_does_not_answer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "lab", str(lab.layout.root))
    assert not lab.answers()


def test_a_lab_whose_processes_are_gone_says_how_to_go_on(lab: Lab) -> None:
    lab.layout.root.mkdir()
    (lab.layout.root / "lab.json").write_text(json.dumps({"aws_port": lab.settings.lab.aws_port}))
    with pytest.raises(Unreachable) as caught:
        lab.answers()
    assert caught.value.code == "LAB-DIED"
    assert "chaosctl lab start" in caught.value.remedy


def refuse(*_: object) -> None:
    raise PreconditionFailed("this machine cannot run the lab", code="LAB-UNFIT")


def test_a_start_that_is_refused_leaves_no_file(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "check_rights", refuse)
    with pytest.raises(PreconditionFailed):
        lab.start()
    assert list(lab.layout.root.parent.iterdir()) == []


def test_whoever_comes_second_is_told_and_leaves_the_lock_to_the_first(lab: Lab) -> None:
    with lab._locked():
        for _ in range(2):
            with pytest.raises(Busy) as caught:
                lab.stop()
            assert caught.value.code == "LAB-BUSY"


def test_the_lock_of_a_lab_that_exists_is_free_afterwards(lab: Lab) -> None:
    lab.layout.root.mkdir()
    (lab.layout.root / "lab.json").touch()
    for _ in range(2):
        with lab._locked():
            pass


@pytest.mark.parametrize("look", [Lab.status, Lab.remains, Lab.stop])
def test_where_there_can_be_no_lab_that_is_said(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, look: Callable[[Lab], object]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(processes, "with_environment", lambda entry: pytest.fail("looked into /proc"))
    with pytest.raises(PreconditionFailed) as caught:
        look(lab)
    assert (caught.value.code, caught.value.why) == ("LAB-UNFIT", "it runs Darwin, not Linux")
    assert list(lab.layout.root.parent.iterdir()) == []
