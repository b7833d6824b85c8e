"""Two network namespaces with a wire between them, as a node and a pod on it have one; root, and `ip` on the PATH.

Shared by test_agent.py and benchmarks/detour.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

GATEWAY, ADDRESS = "10.219.7.1", "10.219.7.5"
# What the CNI plugin `ptp` sets up, in the lab; on EKS there is a gateway on the link as well.
SETUP = f"""\
netns add NODE
netns add POD
link add chaosctl-n netns NODE type veth peer name eth0 netns POD
-n NODE link set chaosctl-n up
-n POD link set eth0 up
-n POD link set lo up
-n NODE addr add {GATEWAY}/32 dev chaosctl-n
-n NODE route add {ADDRESS} dev chaosctl-n
-n POD addr add {ADDRESS}/32 dev eth0
-n POD route add {GATEWAY} dev eth0 scope link
-n POD route add 10.219.7.0/28 via {GATEWAY} dev eth0
-n POD route add default via {GATEWAY} dev eth0
"""

# The agent as a helper's pod starts it, but that the container is whatever process and cgroups the test has.
AGENT = """
import sys
from pathlib import Path
from chaosctl.chaos.agent import container, main
groups = tuple(map(Path, sys.argv[3:]))
container.Container.find = classmethod(lambda cls, identity: cls(groups, int(sys.argv[2])))
main.main(sys.argv[1])
"""


@dataclass(frozen=True)
class Wire:
    """Names of the two namespaces."""

    node: str
    pod: str

    def start(self, where: str, code: str, *words: str) -> subprocess.Popen[str]:
        """Run Python code in one of them; its process is that of the interpreter itself."""
        argv = ("ip", "netns", "exec", where, sys.executable, "-c", code, *words)
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def routes(self) -> str:
        """The pod's."""
        return ip("-n", self.pod, "route")


@contextmanager
def wire() -> Iterator[Wire]:
    """A wire that is gone afterwards."""
    made = Wire(f"chaosctl-n-{os.getpid()}", f"chaosctl-p-{os.getpid()}")
    try:
        for line in SETUP.splitlines():
            ip(*line.replace("NODE", made.node).replace("POD", made.pod).split())
        yield made
    finally:
        for namespace in (made.node, made.pod):
            subprocess.run(("ip", "netns", "del", namespace), check=False, capture_output=True)


def ip(*words: str) -> str:
    return subprocess.run(("ip", *words), check=True, capture_output=True, text=True).stdout
