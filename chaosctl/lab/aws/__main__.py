"""`python -m chaosctl.lab.aws --root ROOT --port PORT`: the lab's AWS and its reconcilers, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from werkzeug.serving import BaseWSGIServer

from chaosctl import config, places
from chaosctl.errors import ChaosctlError, ExitStatus, PreconditionFailed
from chaosctl.events import ignore
from chaosctl.lab import pki
from chaosctl.lab.addons import Addons
from chaosctl.lab.aws import corrections, issuing, operator_account, server, state
from chaosctl.lab.aws.cloudwatch import notifications
from chaosctl.lab.aws.cloudwatch.access_log import AccessLog
from chaosctl.lab.aws.cloudwatch.alarms import Alarms
from chaosctl.lab.aws.cloudwatch.balancing import Balancing
from chaosctl.lab.aws.cloudwatch.certificates import Certificates
from chaosctl.lab.aws.cloudwatch.insights import Insights
from chaosctl.lab.aws.logs.service import Retention
from chaosctl.lab.aws.scaling import Scaling
from chaosctl.lab.aws.store import MotoStore
from chaosctl.lab.aws.world import Changes
from chaosctl.lab.clusters import Clusters
from chaosctl.lab.layout import AWS_ENDPOINT, Layout
from chaosctl.lab.load_balancer import POLL, LoadBalancers, TargetHealth, access_log
from chaosctl.lab.nodes import Nodes
from chaosctl.lab.reconciler import Loop, Reconciler, stop_all
from chaosctl.lab.supervisor import Supervisor
from chaosctl.lab.tools import RUNNING
from chaosctl.toolbox import Toolbox

log = logging.getLogger("chaosctl.lab.aws")

PASS_SECONDS = 5.0  # for the last passes of the reconcilers; the supervisor kills this process after 20


def main() -> int:
    """Serve until SIGTERM. What the supervisor runs goes on: it must survive a restart of this process."""
    parser = argparse.ArgumentParser(prog="python -m chaosctl.lab.aws", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory of the lab")
    parser.add_argument("--port", type=int, required=True, help="port on the lab's first loopback address")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each of its requests
    try:
        return run(Layout(given.root), given.port)
    except ChaosctlError as error:
        log.error("%s: %s", error, error.remedy)
        return int(error.status)


def run(layout: Layout, port: int) -> int:
    """Restore, listen, reconcile; return after SIGTERM or SIGINT, when everything is saved."""
    started = time.monotonic()
    corrections.apply()
    issuing.use(pki.authority(layout))
    file = layout.aws / "state"
    restored = state.load(file)
    operator_account.ensure(layout.aws / "operator.json")
    changes = Changes()
    saver = state.Saver(file)
    changes.listen(saver.changed)
    front = server.Front(layout, changes)
    listener = _listen(layout.loopback(AWS_ENDPOINT), port, front)
    saver.start()
    saver.changed()
    log.info("listening after %.1f s, %s", time.monotonic() - started, "restored" if restored else "empty")
    failed = _serve_until_stopped(layout, changes, listener, front)
    saver.stop()
    return int(ExitStatus.INTERNAL if failed else ExitStatus.OK)


def _listen(address: str, port: int, front: server.Front) -> BaseWSGIServer:
    try:
        return server.serve(address, port, front)
    except (OSError, SystemExit) as error:  # werkzeug exits when the port is taken
        raise PreconditionFailed(
            f"the lab's AWS cannot listen on {address}:{port}",
            code="AWS-PORT-TAKEN",
            why=str(error),
            remedy="end what listens there, or set another `aws_port` in the table [lab] of chaosctl.toml",
        ) from error


def _serve_until_stopped(layout: Layout, changes: Changes, listener: BaseWSGIServer, front: server.Front) -> bool:
    """Answer requests and reconcile until a signal comes; True when the reconcilers could not start."""
    stopping, failed = threading.Event(), threading.Event()
    loops: list[Loop] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())

    def begin() -> None:
        try:
            for loop in _loops(layout, changes, Retention(front.logs)):
                if stopping.is_set():
                    return
                loop.start()
                loops.append(loop)
        except Exception:
            log.exception("the reconcilers cannot start")
            failed.set()  # the supervisor starts the process again, and reports it when that does not help
            stopping.set()

    for target in (listener.serve_forever, front.warm_up, begin):
        threading.Thread(target=target, name=target.__name__, daemon=True).start()
    stopping.wait()
    listener.shutdown()
    # What they still find out goes into the state that is saved next; long work, on threads of its own, is cut off.
    if late := stop_all(loops, PASS_SECONDS):
        log.warning("stopped in the middle of a pass: %s", ", ".join(late))
    return failed.is_set()


def _loops(layout: Layout, changes: Changes, *others: Reconciler) -> Iterator[Loop]:
    """The loops of all reconcilers, once the tools are there; the API answers meanwhile."""
    tools = Toolbox(places.cache_dir(), config.load().toolbox, ignore).ensure(*RUNNING)
    store = MotoStore(changes)
    common = (store, layout, tools, Supervisor(layout))
    requests = AccessLog(access_log(layout))
    requests.start()
    balancers = LoadBalancers(*common)
    reconcilers: tuple[Reconciler, ...] = (
        Scaling(changes),
        Clusters(*common),
        Nodes(*common),
        Addons(*common),
        balancers,
        Balancing(requests),
        Certificates(),
        Insights(store, layout),
        Alarms(changes, notifications.publish),
        *others,
    )
    for loop in map(Loop, reconcilers):
        changes.listen(loop.wake)
        yield loop
    yield Loop(TargetHealth(balancers), POLL)


if __name__ == "__main__":
    sys.exit(main())
