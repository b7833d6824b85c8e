"""`python -m chaosctl.lab.aws --root ROOT --port PORT`: the lab's AWS and its reconcilers, until SIGTERM."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

# Read by moto when it is imported.
os.environ.setdefault("MOTO_ACM_VALIDATION_WAIT", "1")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

from chaosctl.errors import ChaosctlError
from chaosctl.lab.layout import Layout
from chaosctl.lab.reconciler import Loop, Reconciler

log = logging.getLogger("chaosctl.lab.aws")


def main() -> int:
    """Serve until SIGTERM. What the supervisor runs goes on: it must survive a restart of this process."""
    parser = argparse.ArgumentParser(prog="python -m chaosctl.lab.aws", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory of the lab")
    parser.add_argument("--port", type=int, required=True, help="port on the lab's first loopback address")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        run(Layout(given.root), given.port)
    except ChaosctlError as error:
        log.error("%s: %s", error, error.remedy)
        return int(error.status)
    return 0


def run(layout: Layout, port: int) -> None:
    """Restore, listen, reconcile; return after SIGTERM or SIGINT, when everything is saved."""
    from . import corrections, operator_account, server, state, world

    os.environ["MOTO_PORT"] = str(port)
    started = time.monotonic()
    corrections.apply()
    restored = state.load(layout.aws / "state")
    changes = world.Changes()
    operator_account.ensure(layout.aws / "operator.json")
    saver = state.Saver(layout.aws / "state")
    changes.listen(saver.changed)
    saver.start()
    front = server.serve(layout.loopback(0), port, server.Front(layout, changes))
    log.info("listening after %.1f s, %s", time.monotonic() - started, "restored" if restored else "empty")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=front.serve_forever, name="http", daemon=True).start()
    threading.Thread(target=_reconcile, args=(layout, changes), name="start", daemon=True).start()
    stopping.wait()
    front.shutdown()
    saver.stop()


def _reconcile(layout: Layout, changes: object) -> None:
    """Start all reconcilers, once the tools are there; the API answers meanwhile."""
    from . import world

    assert isinstance(changes, world.Changes)
    try:
        loops = [Loop(reconciler) for reconciler in _reconcilers(layout, changes, _tools(layout))]
    except Exception:
        log.exception("the reconcilers cannot start")
        os._exit(1)  # the supervisor starts the process again, and reports it when that does not help
    for loop in loops:
        changes.listen(loop.wake)
        loop.start()


def _tools(layout: Layout) -> Mapping[str, Path]:
    """Written by whoever starts the lab: this process acts on no settings and downloads nothing."""
    parameters = json.loads((layout.root / "lab.json").read_text())
    return {name: Path(path) for name, path in parameters["tools"].items()}


def _reconcilers(layout: Layout, changes: object, tools: Mapping[str, Path]) -> list[Reconciler]:
    from chaosctl.lab.addons import Addons
    from chaosctl.lab.clusters import Clusters
    from chaosctl.lab.load_balancer import LoadBalancers
    from chaosctl.lab.nodes import Nodes
    from chaosctl.lab.supervisor import Supervisor

    from . import world
    from .scaling import Scaling
    from .store import MotoStore

    assert isinstance(changes, world.Changes)
    store = MotoStore(changes)
    supervisor = Supervisor(layout)
    common = (store, layout, tools, supervisor)
    return [Scaling(changes), Clusters(*common), Nodes(*common), Addons(*common), LoadBalancers(*common)]


if __name__ == "__main__":
    sys.exit(main())
