"""Leadership: two replicas never act at once, and a leader that ends lets the next one in."""

from typing import Any

import pytest

from chaosctl.lab.standins.incluster import lease
from chaosctl.lab.standins.incluster.kube import Api, ApiError


class OneLease(Api):
    """The API server as far as a Lease is concerned."""

    def __init__(self) -> None:
        self.held: dict[str, Any] | None = None
        self.version = 0

    def request(self, method: str, path: str, body: Any = None, content_type: str = "") -> Any:
        if method == "GET":
            if self.held is None:
                raise ApiError(404, "NotFound", "")
            return {"metadata": {"resourceVersion": str(self.version)}, "spec": dict(self.held)}
        if body.get("metadata", {}).get("resourceVersion", str(self.version)) != str(self.version):
            raise ApiError(409, "Conflict", "")
        self.held = {**(self.held or {}), **body["spec"]}
        self.version += 1
        return {}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("chaosctl.lab.standins.incluster.lease.time.monotonic", lambda: now[0])
    return now


def replica(api: Api, name: str) -> lease.Lease:
    return lease.Lease(api, "kube-system", "leader", name, lambda: None)


def test_the_first_leads_and_the_second_waits(clock: list[float]) -> None:
    api = OneLease()
    first, second = replica(api, "a"), replica(api, "b")
    for _ in range(10):
        first._compete()
        second._compete()
        clock[0] += lease.RENEW_SECONDS
        assert not second.held
    assert first._renewed_at == clock[0] - lease.RENEW_SECONDS


def test_a_dead_leader_is_followed_but_never_doubled(clock: list[float]) -> None:
    api = OneLease()
    first, second = replica(api, "a"), replica(api, "b")
    first._compete()
    took = 0
    while not second.held:
        second._compete()
        assert not (first.held and second.held)
        clock[0] += 1
        took += 1
    assert took <= lease.LEASE_SECONDS + 2
    assert api.held is not None
    assert api.held["leaseTransitions"] == 1


def test_a_released_lease_is_taken_at_once(clock: list[float]) -> None:
    api = OneLease()
    first, second = replica(api, "a"), replica(api, "b")
    first.start()
    first.release()
    second._compete()
    assert (first.held, second.held) == (False, True)
