"""Load balancers made real: one supervised HAProxy for each, on a loopback address of its own.

Listeners, rules and health checks are its configuration: changing them is a reload, which cuts no connection. Targets
come and go through its runtime socket, into slots that the configuration has in reserve. Three servers stand for each
target: its health check (hc-.../sN), the way of traffic to it (tg-.../sN, which follows that check), and the way that
is taken when no target of the group is healthy (tg-.../oN). What HAProxy finds out goes back into the store.
"""

from __future__ import annotations

import errno
import logging
import resource
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaosctl.adapters import process
from chaosctl.errors import ChaosctlError, StageFailed, Unreachable
from chaosctl.lab import processes
from chaosctl.lab.desired import LoadBalancer, RegisteredTarget, Store, TargetGroup, TargetState
from chaosctl.lab.haproxy import configuration
from chaosctl.lab.haproxy.configuration import Plan, Slot
from chaosctl.lab.haproxy.runtime import Admin, Runtime, Server
from chaosctl.lab.haproxy.words import short_id
from chaosctl.lab.hosts import HostsFile
from chaosctl.lab.layout import LOAD_BALANCERS, Layout
from chaosctl.lab.supervisor import Program, Supervisor

log = logging.getLogger(__name__)

POLL = 0.2  # seconds between two looks at the targets' health
RELOAD_PATIENCE = 5.0  # seconds until a reload that has not shown up is ordered again
PROBE_SECONDS = 1.0  # for which a new target may hold one of the probes

Key = tuple[str, int]  # address and port of a target

TIMEOUTS = {"L4TOUT", "L6TOUT", "L7TOUT"}


def directory(layout: Layout) -> Path:
    """Where the files of all load balancers are, one directory for each."""
    return layout.root / "load-balancers"


def stats_socket(layout: Layout, load_balancer_arn: str) -> Path:
    """HAProxy's runtime socket, for statistics; tg-<last part of the ARN> is the backend of a target group."""
    return layout.run / f"lb-{short_id(load_balancer_arn)}.sock"


def access_log(layout: Layout) -> Path:
    """The socket to which every load balancer sends a line for each request."""
    return layout.run / "access.sock"


@dataclass
class Held:
    """A target in a slot. `since` and `probe` are about its first checks; `good` once one of them has passed."""

    target: RegisteredTarget
    since: float
    good: bool = False
    probe: str = ""
    probed_until: float = 0.0

    @property
    def key(self) -> Key:
        """What identifies the target in its group."""
        return self.target.ip, self.target.port

    @property
    def draining(self) -> bool:
        """Whether it has been deregistered."""
        return self.target.deregistered_at is not None


@dataclass
class Balancer:
    """One load balancer on this machine, rebuilt from HAProxy itself after a restart of this process."""

    arn: str
    home: Path
    index: int
    runtime: Runtime
    plan: Plan | None = None
    identity: str = ""
    groups: dict[str, TargetGroup] = field(default_factory=dict)
    slots: dict[str, list[Held | None]] = field(default_factory=dict)
    recovered: dict[str, list[Held | None]] = field(default_factory=dict)
    ordered: str = ""  # the last identity that HAProxy was told to load, and when
    reloaded_at: float = 0.0
    current: bool = False  # HAProxy answers, and runs what `identity` says
    seen: str = ""
    problem: str = ""

    @property
    def id(self) -> str:
        """16 hex digits."""
        return short_id(self.arn)

    @property
    def program(self) -> str:
        """Its name at the supervisor."""
        return f"lb-{self.id}"

    def contents(self) -> Mapping[str, list[Slot]]:
        """What each slot starts with. A target that has not shown yet that it is good is switched on later."""
        return {arn: [_slot(held) for held in slots] for arn, slots in self.slots.items()}


class LoadBalancers:
    """The reconciler of load balancers."""

    name = "load balancers"

    def __init__(
        self,
        store: Store,
        layout: Layout,
        tools: Mapping[str, Path],
        supervisor: Supervisor,
        hosts: HostsFile | None = None,
    ) -> None:
        self._store = store
        self._layout = layout
        self._haproxy = tools["haproxy"]
        self._supervisor = supervisor
        self._hosts = hosts or HostsFile(layout.hosts_marker)
        self._balancers: dict[str, Balancer] = {}
        self._lock = threading.RLock()

    # -- desired to real -----------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Make every load balancer of the store real, and remove what is no longer there."""
        groups = {group.arn: group for group in self._store.target_groups()}
        wanted = {balancer.arn: balancer for balancer in self._store.load_balancers()}
        with self._lock:
            self._remove_others(wanted)
            for balancer in wanted.values():
                self._reconcile_one(balancer, groups)
            self._name(wanted)
            self._look()

    def _reconcile_one(self, wanted: LoadBalancer, groups: Mapping[str, TargetGroup]) -> None:
        balancer = self._balancers.get(wanted.arn) or self._adopt(wanted.arn)
        try:
            self._make_real(balancer, wanted, groups)
        except ChaosctlError as error:
            told = [error.what, error.why] if isinstance(error, StageFailed) else [error.why or error.what]
            self._failed(balancer, ": ".join(filter(None, told)))
        else:
            balancer.problem = ""

    def _make_real(self, balancer: Balancer, wanted: LoadBalancer, groups: Mapping[str, TargetGroup]) -> None:
        netns = self._layout.vpc_netns(wanted.vpc_id)
        salt = _inode(Path("/run/netns") / netns)
        if not salt:
            return  # the network of its VPC is still being made: it stays provisioning
        address = self._layout.loopback(balancer.index)
        balancer.plan = configuration.plan(wanted, groups, address, netns)
        balancer.groups = {group.arn: groups[group.arn] for group in balancer.plan.groups}
        self._assign(balancer)
        balancer.identity = configuration.digest(balancer.plan, balancer.contents(), salt)
        if wanted.listeners:
            self._run(balancer)
        else:
            balancer.current = False
            self._supervisor.remove(balancer.program)
        if balancer.current or not wanted.listeners:
            self._store.load_balancer_observed(wanted.arn, "active")

    def _run(self, balancer: Balancer) -> None:
        try:
            running = balancer.runtime.identity()
        except Unreachable:
            balancer.current = False
            self._start(balancer)
            return
        balancer.current = running == balancer.identity
        # A second order while the first is being carried out is lost: HAProxy's master is deaf while it starts anew.
        arrived = running == balancer.ordered or time.monotonic() - balancer.reloaded_at > RELOAD_PATIENCE
        if balancer.current:
            self._order(balancer)
        elif arrived:
            self._reload(balancer)

    def _start(self, balancer: Balancer) -> None:
        assert balancer.plan is not None
        if self._supervisor.programs().get(balancer.program) not in {"RUNNING", "STARTING"}:
            _check_ports(balancer.plan)
        self._write(balancer)
        argv = (str(self._haproxy), "-W", "-f", str(balancer.home / "haproxy.cfg"))
        self._supervisor.ensure(Program(balancer.program, argv, stop_seconds=3))
        balancer.ordered, balancer.reloaded_at = balancer.identity, time.monotonic()

    def _reload(self, balancer: Balancer) -> None:
        _admins, state = balancer.runtime.admins()
        _replace(balancer.home / "servers.state", state)
        self._write(balancer)
        self._supervisor.signal(balancer.program, "USR2")
        balancer.ordered, balancer.reloaded_at = balancer.identity, time.monotonic()
        log.info("%s: listeners, rules or target groups changed; reloaded", balancer.program)

    def _write(self, balancer: Balancer) -> None:
        """All files; the configuration only when HAProxy accepts it."""
        assert balancer.plan is not None
        for name, content in balancer.plan.files.items():
            _replace(balancer.home / name, content)
        state = balancer.home / "servers.state"
        if not state.exists():
            state.write_text("1\n")
        text = configuration.render(
            balancer.plan,
            balancer.contents(),
            identity=balancer.identity,
            directory=balancer.home,
            run_socket=stats_socket(self._layout, balancer.arn),
            access_log=access_log(self._layout),
            file_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        config = balancer.home / "haproxy.cfg"
        if config.exists() and config.read_text() == text:
            return
        if not config.exists() or balancer.identity not in config.read_text():
            self._check_config(balancer, text)
        _replace(config, text)

    def _check_config(self, balancer: Balancer, text: str) -> None:
        candidate = balancer.home / "candidate.cfg"
        _replace(candidate, text)
        checked = process.run([self._haproxy, "-c", "-f", candidate], check=False, timeout=30)
        if checked.status != 0:
            alerts = [line for line in checked.stderr.splitlines() if "ALERT" in line]
            raise StageFailed(
                f"HAProxy refuses the configuration of {balancer.program}",
                code="LB-CONFIG",
                why="\n".join(alerts) or checked.stderr[-2000:],
                remedy=f"see {candidate}; this is a mistake in chaosctl",
            )
        candidate.unlink()

    # -- targets into slots --------------------------------------------------------------------------------------------

    def _assign(self, balancer: Balancer) -> None:
        """Give every target a slot, and free those of targets that are gone. More slots than there are: a reload."""
        for arn in [arn for arn in balancer.slots if arn not in balancer.groups]:
            del balancer.slots[arn]
        for arn, group in balancer.groups.items():
            targets = {(target.ip, target.port): target for target in group.targets}
            found = balancer.recovered.pop(short_id(arn), None)
            slots = balancer.slots.setdefault(arn, found or [None] * configuration.slots_for(len(targets)))
            for number, held in enumerate(slots):
                slots[number] = _still(held, targets)
            present = {held.key for held in slots if held}
            for key in [key for key in targets if key not in present]:
                if None not in slots:
                    slots.extend([None] * len(slots))
                slots[slots.index(None)] = Held(targets[key], time.monotonic())

    def _order(self, balancer: Balancer) -> None:
        """Bring the slots of the running HAProxy to what they should be, whatever they are."""
        admins, _state = balancer.runtime.admins()
        actual = {(admin.backend, admin.name): admin for admin in admins}
        commands = [
            command
            for arn, slots in balancer.slots.items()
            for number, held in enumerate(slots, 1)
            for command in _orders(short_id(arn), number, held, actual)
        ]
        if commands:
            balancer.runtime.do(commands)
            self._probe_new(balancer)
            self._save(balancer)

    def _probe_new(self, balancer: Balancer) -> None:
        for arn, slots in balancer.slots.items():
            fresh = [held for held in slots if held and not held.good and not held.draining and not held.probed_until]
            busy = {held.probe for held in slots if held and held.probe}
            free = [f"p{number}" for number in range(1, configuration.PROBES + 1) if f"p{number}" not in busy]
            for held, probe in zip(fresh, free, strict=False):
                held.probe, held.probed_until = probe, time.monotonic() + PROBE_SECONDS
                server = f"pr-{short_id(arn)}/{probe}"
                address = f"addr {held.target.ip} port {held.target.port}"
                orders = [f"{server} {address}", f"{server} state ready", f"{server} health down"]
                balancer.runtime.do([f"set server {order}" for order in orders])

    def _save(self, balancer: Balancer) -> None:
        """What a HAProxy that is killed starts from again: its targets, and what was known of them."""
        _admins, state = balancer.runtime.admins()
        _replace(balancer.home / "servers.state", state)
        self._write(balancer)

    # -- observed, back into the store ---------------------------------------------------------------------------------

    def watch(self) -> None:
        """Look how the targets are, which takes no more than a question to each HAProxy."""
        if all(balancer.current for balancer in list(self._balancers.values())):
            with self._lock:
                self._look()
        else:
            self.reconcile()  # one of them starts or reloads: go on as soon as it answers

    def _look(self) -> None:
        for balancer in list(self._balancers.values()):
            if balancer.current:
                with suppress(Unreachable):
                    self._look_at(balancer)

    def _look_at(self, balancer: Balancer) -> None:
        servers = {(server.backend, server.name): server for server in balancer.runtime.servers()}
        for arn, slots in balancer.slots.items():
            group = balancer.groups[arn]
            for number, held in enumerate(slots, 1):
                if held is not None:
                    self._look_at_target(balancer, group, number, held, servers)
        seen = repr([(key, server.status, server.healthy) for key, server in servers.items()])
        if seen != balancer.seen:
            balancer.seen = seen
            self._save(balancer)

    def _look_at_target(
        self,
        balancer: Balancer,
        group: TargetGroup,
        number: int,
        held: Held,
        servers: Mapping[tuple[str, str], Server],
    ) -> None:
        id_ = short_id(group.arn)
        server = servers.get((f"hc-{id_}", f"s{number}"))
        if server is None:
            return  # in a slot that comes with the next reload
        if held.draining:
            self._drain(group, held)
            return
        probe = servers.get((f"pr-{id_}", held.probe))
        if not held.good and (server.passed or (probe is not None and probe.healthy)):
            held.good = True
            # Its first good check makes a target healthy; the threshold is for those that were unhealthy.
            balancer.runtime.do([f"set server hc-{id_}/s{number} health up"])
            balancer.runtime.do([f"set server tg-{id_}/s{number} state ready"])
            self._store.target_observed(group.arn, held.target.ip, held.target.port, "healthy")
        else:
            state, reason, description = _health(group, held, server)
            self._store.target_observed(group.arn, held.target.ip, held.target.port, state, reason, description)
        if held.probe and (held.good or time.monotonic() > held.probed_until):
            balancer.runtime.do([f"set server pr-{id_}/{held.probe} state maint"])
            held.probe = ""

    def _drain(self, group: TargetGroup, held: Held) -> None:
        assert held.target.deregistered_at is not None
        if time.time() - held.target.deregistered_at >= group.deregistration_delay:
            self._store.target_drained(group.arn, held.target.ip, held.target.port)

    # -- what exists ---------------------------------------------------------------------------------------------------

    def _adopt(self, arn: str) -> Balancer:
        """The load balancer as it is on this machine: new, or running since before this process."""
        home = directory(self._layout) / short_id(arn)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        balancer = Balancer(arn, home, self._index(home), Runtime(stats_socket(self._layout, arn)))
        with suppress(Unreachable):
            _recover(balancer, balancer.runtime.admins()[0])
        self._balancers[arn] = balancer
        return balancer

    def _index(self, home: Path) -> int:
        file = home / "index"
        if file.exists():
            return int(file.read_text())
        taken = {int(other.read_text()) for other in directory(self._layout).glob("*/index")}
        index = next(number for number in LOAD_BALANCERS if number not in taken)
        file.write_text(str(index))
        return index

    def _remove_others(self, wanted: Mapping[str, LoadBalancer]) -> None:
        keep = {short_id(arn) for arn in wanted}
        root = directory(self._layout)
        for home in [home for home in root.iterdir() if home.name not in keep] if root.exists() else []:
            self._supervisor.remove(f"lb-{home.name}")
            (self._layout.run / f"lb-{home.name}.sock").unlink(missing_ok=True)
            shutil.rmtree(home, ignore_errors=True)
            log.info("lb-%s: removed", home.name)
        for arn in [arn for arn in self._balancers if arn not in wanted]:
            del self._balancers[arn]

    def _name(self, wanted: Mapping[str, LoadBalancer]) -> None:
        names = {
            wanted[arn].dns_name.lower(): self._layout.loopback(balancer.index)
            for arn, balancer in self._balancers.items()
            if balancer.plan is not None
        }
        aliases = {name: names[to] for name, to in self._store.aliases().items() if to in names}
        try:
            self._hosts.set({**names, **aliases})
        except OSError as error:
            log.warning("the names of load balancers cannot be written into the hosts file: %s", error)

    def _failed(self, balancer: Balancer, why: str) -> None:
        self._store.load_balancer_observed(balancer.arn, "failed", why)
        if balancer.problem != why:
            balancer.problem = why
            log.error("%s: %s", balancer.program, why)


class TargetHealth:
    """The reconciler of what is known of the targets' health: to be run every POLL seconds."""

    name = "target health"

    def __init__(self, balancers: LoadBalancers) -> None:
        self._balancers = balancers

    def reconcile(self) -> None:
        """Look once."""
        self._balancers.watch()


def _still(held: Held | None, targets: Mapping[Key, RegisteredTarget]) -> Held | None:
    if held is None or held.key not in targets:
        return None
    held.target = targets[held.key]
    return held


def _orders(id_: str, number: int, held: Held | None, actual: Mapping[tuple[str, str], Admin]) -> list[str]:
    """Commands that bring the three servers of a slot to what they should be."""
    if (f"hc-{id_}", f"s{number}") not in actual:
        return []  # this slot comes with the next reload
    way = "maint" if held is None else "drain" if held.draining or not held.good else "ready"
    open_way = "maint" if held is None else "drain" if held.draining else "ready"
    servers = (
        (f"hc-{id_}", f"s{number}", "ready" if held else "maint"),
        (f"tg-{id_}", f"s{number}", way),
        (f"tg-{id_}", f"o{number}", open_way),
    )
    address = f"{held.target.ip}:{held.target.port}" if held else ""
    return [
        command for backend, name, state in servers for command in _changes(actual[(backend, name)], address, state)
    ]


def _changes(admin: Admin, address: str, state: str) -> list[str]:
    server = f"{admin.backend}/{admin.name}"
    moved = bool(address) and admin.address != address
    commands = []
    if admin.backend.startswith("tg-") and (moved or (state == "maint" and admin.state != "maint")):
        commands.append(f"shutdown sessions server {server}")  # the delay of the target before is over
    if moved:
        ip, port = address.rsplit(":", 1)
        commands.append(f"set server {server} addr {ip} port {port}")
    if admin.state != state:
        commands.append(f"set server {server} state {state}")
    if admin.backend.startswith("hc-") and state == "ready" and (moved or admin.state == "maint"):
        commands.append(f"set server {server} health down")  # presumed up, but a new target has to show that it is
    return commands


def _slot(held: Held | None) -> Slot:
    if held is None:
        return Slot(configuration.NOWHERE, on=False)
    return Slot(f"{held.target.ip}:{held.target.port}", on=held.good)


def _recover(balancer: Balancer, admins: Sequence[Admin]) -> None:
    """The slots of a HAProxy that runs already. A target that takes traffic is one whose check was good."""
    checks = [admin for admin in admins if admin.backend.startswith("hc-")]
    ways = {(admin.backend, admin.name): admin for admin in admins if admin.backend.startswith("tg-")}
    by_id: dict[str, list[Held | None]] = {}
    for admin in checks:
        slots = by_id.setdefault(admin.backend.removeprefix("hc-"), [])
        ip, port = admin.address.rsplit(":", 1)
        way = ways[(admin.backend.replace("hc-", "tg-"), admin.name)]
        target = RegisteredTarget(ip, int(port))
        held = Held(target, time.monotonic(), good=way.state == "ready", probed_until=time.monotonic())
        slots.append(None if admin.state == "maint" else held)
    balancer.recovered = by_id


def _health(group: TargetGroup, held: Held, server: Server) -> tuple[TargetState, str, str]:
    """State, reason and description as DescribeTargetHealth tells them."""
    if server.healthy and held.good:
        return "healthy", "", ""
    patience = group.health_check.unhealthy_threshold * group.health_check.interval
    if not held.good and time.monotonic() - held.since < patience:
        return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
    if server.check == "L7STS":
        return "unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{server.code}]"
    if server.check in TIMEOUTS:
        return "unhealthy", "Target.Timeout", "Request timed out"
    return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"


def _inode(path: Path) -> str:
    """Tells one network namespace from a later one of the same name; empty while there is none."""
    try:
        return str(path.stat().st_ino)
    except OSError:
        return ""


def _check_ports(plan: Plan) -> None:
    """Raises StageFailed (LB-PORT-TAKEN) when something else listens on a port of the load balancer's address."""
    for frontend in plan.frontends:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((plan.address, frontend.port))
                attempt.listen()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                holder = processes.listening_on(plan.address, frontend.port)
                raise StageFailed(
                    f"port {frontend.port} of {plan.address} is in use",
                    code="LB-PORT-TAKEN",
                    why=f"{holder} listens there; stop it while the lab runs",
                    remedy=f"find it with `ss -ltnp 'sport = :{frontend.port}'` and stop it",
                ) from error


def _replace(path: Path, content: str) -> None:
    """Write a file of its owner alone, whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.touch(mode=0o600)
    partial.write_text(content)
    partial.replace(path)
