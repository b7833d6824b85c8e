"""The program: one act, until its time is over, SIGTERM comes or it ends by itself.

On its output it says how it is getting on, at least once a second, one JSON object a line:
    {"state": "cannot", "said": why}    nothing was done, and it has ended
    {"state": "acting", "said": proof}  what it sees of its effect; empty as long as it sees none
    {"state": "over", "said": why}      it has ended, and so has its effect
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NoReturn

from chaosctl.chaos.agent.act import Act, Cannot
from chaosctl.chaos.agent.container import Container
from chaosctl.chaos.agent.crash import Crash
from chaosctl.chaos.agent.network import Network
from chaosctl.chaos.agent.pressure import Cpu, Memory

TICK = 1.0  # seconds between two words on how it is getting on

ACTS: Mapping[str, Callable[[Mapping[str, Any], Container, ExitStack], Act]] = {
    "crash": Crash,
    "cpu": Cpu,
    "memory": Memory,
    "network": Network,
}


class Told(Exception):
    """SIGTERM came."""


def main(text: str) -> None:
    """Carry the task out: {"act": ..., "container": its ID, "seconds": ..., and what the act is told}, as JSON."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    carry_out(json.loads(text))


def carry_out(task: Mapping[str, Any]) -> None:
    """All of it, until it has ended."""
    why = f"its {task['seconds']:g} s are over"
    with ExitStack() as resources:
        try:
            act = ACTS[task["act"]](task, Container.find(task["container"]), resources)
            until = time.monotonic() + task["seconds"]
            say("acting", "")
            while not act.over and (now := time.monotonic()) < until:
                act.work(min(until, now + TICK))
                say("acting", act.proof())
            why = act.over or why
        except (Cannot, OSError) as error:
            say("cannot", str(error))
            return
        except Told:
            why = "told to end"
    say("over", why)


def say(state: str, said: str) -> None:
    """One line on the output."""
    sys.stdout.write(json.dumps({"state": state, "said": said}) + "\n")
    sys.stdout.flush()


def _on_sigterm(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Told
