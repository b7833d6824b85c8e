"""What is sent, whatever kubelet does to the files and whenever the shipper dies."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from chaosctl.lab.shipper import files, shipper
from chaosctl.lab.shipper.cloudwatch import Event, Refused, Unavailable
from chaosctl.lab.shipper.shipper import Shipper
from tests.unit.lab.shipper.node import POD_ID, FakeContainer, age, compress

HOST = "ip-10-0-1-2.us-west-2.compute.internal"


class Service:
    """Keeps what it is sent; `failures` are raised first, `dies` after an event was taken."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, int, dict[str, Any]]] = []
        self.failures: list[Exception] = []
        self.dies = False

    def put(self, group: str, stream: str, events: list[Event]) -> int:
        if self.failures:
            raise self.failures.pop(0)
        assert events == sorted(events, key=lambda event: event[0])
        self.taken += [(group, stream, timestamp, json.loads(message)) for timestamp, message in events]
        if self.dies:
            raise KeyboardInterrupt
        return 0

    @property
    def texts(self) -> list[str]:
        return [record["log"] for *_, record in self.taken]

    @property
    def ids(self) -> list[str]:
        return [record["event_id"] for *_, record in self.taken]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "i-0"
    (home / "containers").mkdir(parents=True)
    return home


@pytest.fixture
def service() -> Service:
    return Service()


def start(home: Path, service: Service) -> Shipper:
    """A shipper that has just been started; each call is a restart."""
    return Shipper("demo", lambda: {home: HOST}, service, lambda container: {"pod_ip": "10.0.1.9"})


def ship(shipper: Shipper) -> None:
    while shipper.once():
        pass


def test_group_stream_and_record_are_those_of_fluent_bit(home: Path, service: Service) -> None:
    container = FakeContainer(home)
    container.write('{"level": "info"}', stream="stderr")
    ship(start(home, service))

    ((group, stream, timestamp, record),) = service.taken
    assert group == "/aws/containerinsights/demo/application"
    assert stream == f"{HOST}-application.var.log.containers.web-1_shop_web-{'a' * 64}.log"
    assert timestamp == container.clock
    event_id = record.pop("event_id")
    assert record == {
        "time": "2027-01-15T08:00:00.001000000Z",
        "stream": "stderr",
        "_p": "F",
        "log": '{"level": "info"}',
        "log_processed": {"level": "info"},
        "kubernetes": {
            "pod_name": "web-1",
            "namespace_name": "shop",
            "pod_id": POD_ID,
            "host": HOST,
            "pod_ip": "10.0.1.9",
            "container_name": "web",
            "docker_id": "a" * 64,
        },
    }
    assert event_id == "aaaaaaaaaaaa-2027-01-15T08:00:00.001000000Z-0"


@pytest.mark.parametrize("text", ["{not json", '{"a": NaN}', "[1]", '"x"', 'quote " and \\ and \t'])
def test_other_text_is_not_processed(home: Path, service: Service, text: str) -> None:
    FakeContainer(home).write(text)
    ship(start(home, service))
    assert service.texts == [text]
    assert "log_processed" not in service.taken[0][3]


def test_the_network_plugin_belongs_to_the_data_plane(home: Path, service: Service) -> None:
    FakeContainer(home, pod="aws-node-x", namespace="kube-system").write("x")
    ship(start(home, service))
    group, stream, *_ = service.taken[0]
    assert group.endswith("/dataplane")
    assert stream.startswith(f"{HOST}-dataplane.tail.var.log.containers.aws-node-x_kube-system_")


def test_each_line_is_sent_once(home: Path, service: Service) -> None:
    container, agent = FakeContainer(home), start(home, service)
    for text in "abc":
        container.write(text)
        ship(agent)
    ship(start(home, service))
    assert service.texts == ["a", "b", "c"]


def test_a_container_that_restarts_has_another_stream(home: Path, service: Service) -> None:
    FakeContainer(home).write("before")
    FakeContainer(home, id="b" * 64, restarts=1).write("after")
    ship(start(home, service))
    assert service.texts == ["before", "after"]
    assert len({stream for _, stream, *_ in service.taken}) == 2


def test_a_kill_after_sending_repeats_with_the_same_ids(home: Path, service: Service) -> None:
    FakeContainer(home).write("a", "b")
    service.dies = True
    with pytest.raises(KeyboardInterrupt):
        ship(start(home, service))
    service.dies = False
    ship(start(home, service))
    assert service.texts == ["a", "b"] * 2
    assert service.ids[:2] == service.ids[2:]
    assert len(set(service.ids)) == 2


def test_a_file_that_is_rotated_is_read_to_its_end(home: Path, service: Service) -> None:
    container, agent = FakeContainer(home), start(home, service)
    container.write("a")
    ship(agent)
    container.write("b")
    rotated = container.rotate("20261123-193135")
    container.write("c")
    with rotated.open("a") as out:  # the runtime has not heard of it yet
        out.write("2026-11-23T19:31:35.1Z stdout F late\n")
    ship(agent)
    assert sorted(service.texts) == ["a", "b", "c", "late"]


def test_nothing_is_lost_of_what_is_rotated_compressed_and_removed_while_nobody_looks(
    home: Path, service: Service
) -> None:
    container = FakeContainer(home)
    container.write("a")
    ship(start(home, service))
    container.write("b")
    compress(container.rotate("1"))
    container.write("c")  # a file that the shipper has never seen
    compress(container.rotate("2"))
    container.write("d")
    ship(start(home, service))
    ship(start(home, service))
    assert service.texts == ["a", "b", "c", "d"]


def test_nothing_is_lost_of_a_pod_that_is_deleted_while_nobody_looks(home: Path, service: Service) -> None:
    container = FakeContainer(home)
    container.write("a")
    ship(start(home, service))
    container.write("last words")
    container.remove()
    ship(start(home, service))
    assert service.texts == ["a", "last words"]


def test_files_are_given_back(home: Path, service: Service) -> None:
    container, agent = FakeContainer(home), start(home, service)
    container.write("a")
    ship(agent)
    container.remove()
    agent.once()
    assert len(list((home / "log-shipper").iterdir())) == 2  # the runtime may still write to it
    age(home / "log-shipper", files.ROTATE_WAIT + 1)
    agent.once()
    agent.once()
    assert [path.name for path in (home / "log-shipper").iterdir()] == [files.CURSORS]
    assert json.loads((home / "log-shipper" / files.CURSORS).read_text()) == []


def test_a_file_that_is_cut_begins_anew(home: Path, service: Service) -> None:
    container, agent = FakeContainer(home), start(home, service)
    container.write("a", "b")
    ship(agent)
    container.file.write_text("")
    container.write("c", "d", "e")
    ship(agent)
    assert service.texts == ["a", "b", "c", "d", "e"]
    assert len(set(service.ids)) == 5


def test_a_kill_between_note_and_link_loses_nothing(
    home: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeContainer(home).write("a")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", die)
        with pytest.raises(KeyboardInterrupt):
            ship(start(home, service))
    ship(start(home, service))
    assert service.texts == ["a"]


def test_a_service_that_is_away_is_waited_for(home: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "PERIOD", 0.01)
    container, stopping = FakeContainer(home), threading.Event()
    container.write("a")
    service.failures = [Unavailable("down")] * 3
    running = threading.Thread(target=start(home, service).run, args=(stopping,))
    running.start()
    while service.failures:
        container.write("more")
    stopping.set()  # what is there is sent before it ends
    running.join(10)
    assert service.texts[0] == "a"
    assert len(service.texts) == 1 + sum(b"more" in line for line in container.file.read_bytes().splitlines())


def test_what_is_refused_holds_up_nobody_else_and_is_tried_again(home: Path, service: Service) -> None:
    FakeContainer(home).write("a")
    FakeContainer(home, pod="web-2", id="b" * 64).write("b")
    agent = start(home, service)
    service.failures = [Refused("AccessDeniedException", "no")]
    ship(agent)
    ship(agent)
    assert sorted(service.texts) == ["a", "b"]


def test_a_batch_is_never_larger_than_cloudwatch_takes(home: Path, service: Service) -> None:
    container = FakeContainer(home)
    container.write(*["x" * 10_000] * 150, *["short"] * 15_000)
    sizes: list[int] = []

    def put(group: str, stream: str, events: list[Event]) -> int:
        sizes.append(sum(len(message) + shipper.EVENT_BYTES for _, message in events))
        assert len(events) <= shipper.MOST_EVENTS
        return 0

    service.put = put  # type: ignore[method-assign]
    ship(start(home, service))
    assert max(sizes) <= shipper.MOST_BYTES
    assert min(sizes[:-1]) > shipper.MOST_BYTES // 3  # and not needlessly small


def test_the_worst_line_that_a_runtime_writes_fits(home: Path, service: Service) -> None:
    container = FakeContainer(home)
    container.write(*["\x01" * 16_384] * 20, tag="P")  # each byte becomes six
    container.write("end", "next")
    ship(start(home, service))
    assert "".join(service.texts) == "\x01" * 16_384 * 20 + "endnext"


def test_a_line_that_no_request_can_hold_is_told_and_skipped(
    home: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    FakeContainer(home).write("before", "\x01" * 200_000, "after")
    ship(start(home, service))
    assert service.texts == ["before", "after"]
    assert "LOST" in caplog.text


def test_a_node_that_goes_or_comes_is_no_problem(home: Path, service: Service, tmp_path: Path) -> None:
    FakeContainer(home).write("a")
    nodes = {tmp_path / "gone": "gone", home: HOST}
    agent = Shipper("demo", lambda: nodes, service, lambda container: {})
    ship(agent)
    assert service.texts == ["a"]


def test_what_cannot_be_sent_does_not_fill_the_disk(
    home: Path, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files, "KEPT", 1000)
    agent = start(home, service)
    service.failures = [Unavailable("down")] * 2
    for number in range(2):
        container = FakeContainer(home, pod=f"web-{number}", id=str(number) * 64, clock=1_800_000_000_000 + number)
        container.write(f"pod {number}", "x" * 600)
        with pytest.raises(Unavailable):
            agent.once()
        container.remove()
    ship(agent)
    assert service.texts[0] == "pod 1"
    assert len(service.texts) == 2
    assert "LOST" in caplog.text
