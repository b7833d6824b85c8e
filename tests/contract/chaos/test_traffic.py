"""The prober against a real server that fails for known times. Exact figures: benchmarks/ground_truth.py."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos.experiment import TrafficPlan
from chaosctl.chaos.requests import CONTROL, REMOTE, STREAMS, Totals
from chaosctl.chaos.traffic import ProberProcess
from chaosctl.errors import PreconditionFailed
from tests.contract.chaos.driver import FaultyServer, Heard, certificate, faulty_server
from tests.contract.chaos.faulty_server import MODES

RATE = 100.0
KINDS = {"refused": "refused", "reset": "reset", "hung": "timeout", "5xx": "status", "wrong-body": "body"}


def plan_for(server: FaultyServer) -> TrafficPlan:
    return TrafficPlan(f"http://127.0.0.1:{server.port}/probe/data", RATE, timeout=0.3, expected_keys=("users",))


@pytest.fixture(scope="module")
def failed() -> tuple[Heard, list[tuple[str, float, float]]]:
    """One run of traffic through an outage of 0.2 s of every kind."""
    heard, truth = Heard(), []
    with faulty_server() as server:
        prober = ProberProcess(plan_for(server), heard.tell)
        for mode in MODES:
            time.sleep(0.2)
            truth.append((mode, *server.fail(mode, 0.2)))
        time.sleep(0.2)
        prober.stop()
    return heard, truth


@pytest.mark.parametrize("stream", STREAMS)
def test_every_outage_is_found_for_what_it_was(
    failed: tuple[Heard, list[tuple[str, float, float]]], stream: str
) -> None:
    heard, truth = failed
    found = heard.outages(stream, RATE)
    assert len(found) == len(truth)
    for outage_found, (mode, begin, end) in zip(found, truth, strict=True):
        assert KINDS[mode] in dict(outage_found.kinds)
        # Loose, for a machine that is busy with other things; the benchmark has the real errors.
        assert outage_found.begin == pytest.approx(begin, abs=0.08)
        assert outage_found.seconds == pytest.approx(end - begin, abs=0.08)


def test_every_scheduled_request_is_accounted_for(failed: tuple[Heard, list[tuple[str, float, float]]]) -> None:
    heard, _ = failed
    ended = heard.one(e.TrafficEnded)
    assert isinstance(ended, e.TrafficEnded)
    assert ended.in_flight == 0
    for stream in (*STREAMS, CONTROL):
        requests = heard.requests(stream)
        told = Totals(*ended.totals[stream])
        assert outage.complete(requests)
        assert told.balanced and told == outage.count(requests)


def test_the_control_channel_sees_none_of_it(failed: tuple[Heard, list[tuple[str, float, float]]]) -> None:
    assert {r.outcome for r in failed[0].requests(CONTROL)} == {"ok"}


def test_a_place_beside_the_service_is_asked_too_and_any_answer_of_it_will_do() -> None:
    heard = Heard()
    with faulty_server() as server, faulty_server() as beside:
        beside.become("5xx")
        control = f"http://localhost:{beside.port}/livez"
        prober = ProberProcess(replace(plan_for(server), control=control), heard.tell)
        time.sleep(0.3)
        beside.become("hung")
        time.sleep(1.2)
        prober.stop()
    outcomes = [r.outcome for r in heard.requests(REMOTE)]
    assert outcomes[0] == "ok" and outcomes[-1] == "timeout"
    assert {r.outcome for s in STREAMS for r in heard.requests(s)} == {"ok"}
    ended = heard.one(e.TrafficEnded)
    assert isinstance(ended, e.TrafficEnded) and ended.totals[REMOTE][0] == len(outcomes)


def test_the_place_beside_the_service_need_not_prove_who_it_is(certificate: tuple[str, str]) -> None:
    heard = Heard()
    with faulty_server() as server, faulty_server(*certificate) as beside:
        control = f"https://localhost:{beside.port}/livez"
        prober = ProberProcess(replace(plan_for(server), control=control), heard.tell)
        time.sleep(0.3)
        prober.stop()
    assert {r.outcome for r in heard.requests(REMOTE)} == {"ok"}


def test_the_reused_stream_does_reuse_its_connections() -> None:
    heard = Heard()
    with faulty_server() as server:
        prober = ProberProcess(plan_for(server), heard.tell)
        time.sleep(0.4)
        held = [c for c in psutil.Process(server.child.pid).net_connections() if c.status == "ESTABLISHED"]
        prober.stop()
    assert 1 <= len(held) <= 8
    assert len(heard.requests("reused")) >= 30


def test_a_name_that_does_not_resolve_is_bad_and_nothing_is_sent() -> None:
    heard = Heard()
    prober = ProberProcess(TrafficPlan("http://no-such-name.invalid/", 50, timeout=0.3), heard.tell)
    time.sleep(0.1)
    prober.stop()
    assert {r.outcome for s in STREAMS for r in heard.requests(s)} == {"dns"}


def test_without_given_keys_the_first_good_answer_sets_the_pattern() -> None:
    heard = Heard()
    with faulty_server() as server:
        prober = ProberProcess(replace(plan_for(server), expected_keys=None), heard.tell)
        heard.wait_for(e.BodyLearnt)
        server.fail("wrong-body", 0.1)
        prober.stop()
    assert getattr(heard.one(e.BodyLearnt), "keys", ()) == ("users",)
    assert "body" in {r.outcome for r in heard.requests("new")}


def test_a_prober_that_is_killed_is_told_of() -> None:
    heard = Heard()
    with faulty_server() as server:
        prober = ProberProcess(plan_for(server), heard.tell)
        os.kill(prober.pid, signal.SIGKILL)
        heard.wait_for(e.TrafficLost)
        prober.stop()
    heard.one(e.TrafficLost)


def test_a_listener_that_fails_is_lost_traffic() -> None:
    """Whoever takes the requests in has a bug: from then on nobody would hear of any."""
    heard = Heard()

    def tell(event: e.ChaosEvent) -> None:
        if isinstance(event, e.RequestsSeen):
            raise KeyError("remote")
        heard.tell(event)

    with faulty_server() as server:
        prober = ProberProcess(plan_for(server), tell)
        heard.wait_for(e.TrafficLost)
        prober.stop()
    lost = heard.one(e.TrafficLost)
    assert isinstance(lost, e.TrafficLost) and "KeyError('remote')" in lost.why


def test_a_prober_that_is_frozen_does_not_hold_the_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.chaos.traffic.END_SECONDS", 0.2)
    heard = Heard()
    with faulty_server() as server:
        prober = ProberProcess(plan_for(server), heard.tell)
        os.kill(prober.pid, signal.SIGSTOP)
        prober.stop()
    heard.one(e.TrafficLost)


def test_a_rate_that_needs_more_files_than_there_are_is_refused() -> None:
    with pytest.raises(PreconditionFailed) as error:
        ProberProcess(TrafficPlan("http://127.0.0.1:1/", 2000, timeout=60), Heard().tell)
    assert error.value.code == "CHAOS-RATE-TOO-HIGH"


@pytest.fixture(name="certificate")
def _certificate(tmp_path: Path) -> tuple[str, str]:
    return certificate(tmp_path)


@pytest.mark.parametrize(("trusted", "outcome"), [(True, "ok"), (False, "tls")])
def test_https_is_verified(certificate: tuple[str, str], trusted: bool, outcome: str) -> None:
    heard = Heard()
    with faulty_server(*certificate) as server:
        url = f"https://127.0.0.1:{server.port}/"
        prober = ProberProcess(TrafficPlan(url, 20, 1.0, ca_file=certificate[0] if trusted else ""), heard.tell)
        time.sleep(0.3)
        prober.stop()
    assert {r.outcome for s in STREAMS for r in heard.requests(s)} == {outcome}
