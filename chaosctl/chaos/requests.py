"""What is known of one request, and the names of the streams and outcomes. Pure data, shared by both processes."""

from __future__ import annotations

from typing import NamedTuple

NEW, REUSED, CONTROL, REMOTE = "new", "reused", "control", "remote"
STREAMS = (NEW, REUSED)  # what goes to the service
# The control stream goes to the prober itself, the remote one to a place beside the service that no fault touches.

OK = "ok"
TIMED_OUT = "timeout"
UNSENT = "unsent"  # scheduled, but the prober could not send it (no descriptor, no local port, too many in flight)
# Everything else is bad: what the user would have seen.
REFUSED, RESET, CLOSED, STATUS, BODY, DNS, TLS, GARBAGE, UNREACHABLE = (
    "refused",
    "reset",
    "closed",  # the connection ended before the whole answer
    "status",
    "body",
    "dns",
    "tls",
    "garbage",  # no HTTP
    "unreachable",
)


class Request(NamedTuple):
    """One request. Times are CLOCK_MONOTONIC, which all processes of a machine share.

    number    place in the schedule of its stream, from 0
    intended  microseconds: when the schedule wanted it sent
    latency   microseconds from `intended` to its end, whatever the end was
    lag       microseconds from `intended` until the prober got to it: the prober's own delay
    outcome   OK, TIMED_OUT, UNSENT, or the kind of badness
    status    HTTP status, 0 when there was none
    """

    stream: str
    number: int
    intended: int
    latency: int
    lag: int
    outcome: str
    status: int

    @property
    def ok(self) -> bool:
        """Whether the user got the right answer in time."""
        return self.outcome == OK


class Totals(NamedTuple):
    """The prober's own account of one stream; `scheduled` must equal the sum of the others."""

    scheduled: int
    ok: int
    bad: int
    timed_out: int
    unsent: int

    @property
    def balanced(self) -> bool:
        """Whether scheduled = ok + bad + timed out + unsent, exactly."""
        return self.scheduled == self.ok + self.bad + self.timed_out + self.unsent
