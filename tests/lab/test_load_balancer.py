"""The lab's load balancers as clients and DescribeTargetHealth see them: real HAProxy, real supervisor, fake store."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from moto.elbv2.ssl_policies import SSL_POLICIES

from chaosctl import config, places
from chaosctl.events import ignore
from chaosctl.lab import load_balancer
from chaosctl.lab.desired import HealthCheck, Listener, LoadBalancer, RegisteredTarget, Rule, TargetGroup, TlsPolicy
from chaosctl.lab.hosts import HostsFile
from chaosctl.lab.layout import LOAD_BALANCERS, Layout
from chaosctl.lab.load_balancer import POLL, LoadBalancers, TargetHealth, directory, stats_socket
from chaosctl.lab.pki import Authority, Identity, key_pem
from chaosctl.lab.reconciler import Loop
from chaosctl.lab.supervisor import Supervisor
from chaosctl.toolbox import Toolbox

pytestmark = pytest.mark.lab

VPC = "vpc-00000000000000001"
PREFIX = "arn:aws:elasticloadbalancing:us-west-2:123456789012:"
GROUP = PREFIX + "targetgroup/app/00000000000000aa"
BALANCER = PREFIX + "loadbalancer/app/web/00000000000000bb"
NAME = "web-1.us-west-2.elb.amazonaws.com"
CHECK = HealthCheck("HTTP", "traffic-port", "/health", 5, 2, 2, 2, "200-299")
FORWARD = Rule(BALANCER + "/default", None, (), ({"Type": "forward", "TargetGroupArn": GROUP},))

SERVER = """
import http.server, pathlib, sys, time
status = pathlib.Path(sys.argv[3])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(2)
        body = (sys.argv[2] + " " + (self.headers.get("X-Forwarded-For") or "")).encode()
        self.send_response(int(status.read_text()) if self.path.startswith("/health") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer.request_queue_size = 100
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass
class FakeStore:
    """The load balancing part of a Store: one load balancer, one target group."""

    targets: tuple[RegisteredTarget, ...] = ()
    rules: tuple[Rule, ...] = ()
    delay: int = 3
    port: int = 80
    listeners: tuple[Listener, ...] = ()
    alias: dict[str, str] = field(default_factory=dict)
    present: bool = True
    health: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    state: tuple[str, str] = ("provisioning", "")

    def target_groups(self) -> Sequence[TargetGroup]:
        return [TargetGroup(GROUP, "app", VPC, "HTTP", 8080, CHECK, self.delay, {}, self.targets)]

    def load_balancers(self) -> Sequence[LoadBalancer]:
        rules = (*self.rules, FORWARD)
        listeners = self.listeners or (Listener(BALANCER + "/80", self.port, "HTTP", rules),)
        inbound = tuple(("0.0.0.0/0", listener.port) for listener in listeners)
        made = LoadBalancer(BALANCER, "web", NAME, VPC, "internet-facing", {}, listeners, inbound)
        return [made] if self.present else []

    def aliases(self) -> Mapping[str, str]:
        return self.alias

    def target_observed(self, arn: str, ip: str, port: int, state: str, reason: str = "", detail: str = "") -> None:
        self.health[port] = (state, reason, detail)

    def target_drained(self, arn: str, ip: str, port: int) -> None:
        self.targets = tuple(target for target in self.targets if target.port != port)

    def load_balancer_observed(self, arn: str, state: str, reason: str = "") -> None:
        self.state = (state, reason)

    def register(self, *ports: int) -> None:
        self.targets = (*self.targets, *(RegisteredTarget("127.0.0.1", port) for port in ports))

    def deregister(self, port: int) -> None:
        self.targets = tuple(
            replace(target, deregistered_at=time.time()) if target.port == port else target for target in self.targets
        )


@dataclass
class World:
    """A VPC with two servers, the store, and the reconciler under test."""

    layout: Layout
    store: FakeStore
    supervisor: Supervisor
    tools: dict[str, Path]
    hosts: HostsFile
    statuses: dict[int, Path]
    balancers: LoadBalancers = field(init=False)
    watch: Loop = field(init=False)

    def __post_init__(self) -> None:
        self.balancers = LoadBalancers(self.store, self.layout, self.tools, self.supervisor, self.hosts)  # type: ignore[arg-type]
        self.watch = Loop(TargetHealth(self.balancers), POLL)
        self.watch.start()

    @property
    def address(self) -> str:
        return self.layout.loopback(LOAD_BALANCERS[0])

    def restart(self) -> None:
        """The process that reconciles ends, and another one takes over."""
        self.watch.stop()
        self.__post_init__()
        self.balancers.reconcile()

    def until(self, check: Callable[[], bool], seconds: float = 15) -> float:
        """Reconcile every now and then until `check` holds; how long it took."""
        began = time.monotonic()
        while not check():
            assert time.monotonic() - began < seconds, (self.store.health, self.store.state)
            self.balancers.reconcile()
            time.sleep(0.05)
        return time.monotonic() - began

    def is_healthy(self, *ports: int) -> Callable[[], bool]:
        return lambda: all(self.store.health.get(port, ("",))[0] == "healthy" for port in ports)

    def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, 80, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": NAME, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def haproxy() -> Path:
    if os.getuid() != 0:
        pytest.skip("needs root")
    found = shutil.which("haproxy")
    if found:
        return Path(found)
    return Toolbox(places.cache_dir(), config.load().toolbox, ignore).ensure("haproxy")["haproxy"]


def _nsenter(netns: str, *argv: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{netns}", *argv]


@pytest.fixture
def world(haproxy: Path, tmp_path: Path) -> Iterator[World]:
    with _world(haproxy, tmp_path) as world:
        yield world


@contextmanager
def _world(haproxy: Path, tmp_path: Path) -> Iterator[World]:
    layout = Layout(tmp_path / "lab")
    netns = layout.vpc_netns(VPC)
    subprocess.run(["ip", "netns", "add", netns], check=True)
    subprocess.run(_nsenter(netns, "ip", "link", "set", "lo", "up"), check=True)
    statuses = {port: tmp_path / f"status-{port}" for port in (9001, 9002)}
    servers = [_serve(netns, port, status) for port, status in statuses.items()]
    hosts_file = tmp_path / "hosts"
    hosts_file.write_text("127.0.0.1 localhost\n")
    store, hosts, supervisor = FakeStore(), HostsFile(layout.hosts_marker, hosts_file), Supervisor(layout)
    supervisor.start()
    tools = {"haproxy": haproxy}
    world = World(layout, store, supervisor, tools, hosts, statuses)
    try:
        yield world
    finally:
        world.watch.stop()
        supervisor.stop()
        for server in servers:
            server.kill()
            server.wait()
        subprocess.run(["ip", "netns", "delete", netns], check=True)
        shutil.rmtree(layout.run, ignore_errors=True)


def _serve(netns: str, port: int, status: Path) -> subprocess.Popen[bytes]:
    status.write_text("200")
    server = subprocess.Popen(_nsenter(netns, sys.executable, "-c", SERVER, str(port), f"server {port}", str(status)))
    listening = _nsenter(netns, sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))")
    for _ in range(50):
        if subprocess.run(listening, capture_output=True, check=False).returncode == 0:
            return server
        time.sleep(0.1)
    raise AssertionError(f"the server on port {port} does not listen")


@pytest.fixture
def serving(world: World) -> World:
    world.store.register(9001, 9002)
    world.until(world.is_healthy(9001, 9002))
    return world


@pytest.fixture(scope="module")
def ruled(haproxy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with _world(haproxy, tmp_path_factory.mktemp("ruled")) as world:
        world.store.rules = RULES
        world.store.register(9001, 9002)
        world.until(world.is_healthy(9001, 9002))
        yield world


def test_new_targets_become_healthy_quickly_and_get_traffic(world: World) -> None:
    world.store.register(9001, 9002)
    assert world.until(world.is_healthy(9001, 9002)) < 5
    assert world.store.state == ("active", "")
    assert {world.get()[1].split()[1] for _ in range(8)} == {"9001", "9002"}
    assert world.hosts.names() == {NAME: world.address}


def test_the_client_is_told_to_the_target(serving: World) -> None:
    assert serving.get("/", **{"X-Forwarded-For": "9.9.9.9"})[1].endswith("9.9.9.9, 127.0.0.1")


def test_an_initial_target_gets_no_traffic_while_another_is_healthy(world: World) -> None:
    world.store.register(9001)
    world.until(world.is_healthy(9001))
    world.statuses[9002].write_text("503")
    world.store.register(9002)
    world.until(lambda: world.store.health.get(9002, ("",))[0] == "initial")
    time.sleep(1)
    assert {world.get()[1].split()[1] for _ in range(8)} == {"9001"}


def test_unhealthy_and_healthy_again(serving: World) -> None:
    serving.statuses[9002].write_text("503")
    serving.until(lambda: serving.store.health[9002][0] == "unhealthy", seconds=20)
    expected = ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
    assert serving.store.health[9002] == expected
    assert {serving.get()[1].split()[1] for _ in range(8)} == {"9001"}
    serving.statuses[9002].write_text("200")
    serving.until(serving.is_healthy(9002), seconds=20)


def test_fail_open_when_all_are_unhealthy(serving: World) -> None:
    for status in serving.statuses.values():
        status.write_text("500")
    serving.until(lambda: all(seen[0] == "unhealthy" for seen in serving.store.health.values()), seconds=20)
    assert {serving.get()[1].split()[1] for _ in range(8)} == {"9001", "9002"}


def _rule(number: int, action: dict[str, Any], *conditions: dict[str, Any]) -> Rule:
    return Rule(f"{BALANCER}/{number}", number, conditions, (action,))


def _fixed_body(body: str) -> dict[str, Any]:
    answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": body}
    return {"Type": "fixed-response", "FixedResponseConfig": answer}


RULES = (
    _rule(1, _fixed_body("host"), {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.Host.example"]}}),
    _rule(
        2,
        _fixed_body("header"),
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["it's *"]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8", "127.0.0.0/8"]}},
    ),
    _rule(
        3,
        _fixed_body("query"),
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2?"}]}},
    ),
    _rule(4, _fixed_body("method"), {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT"]}}),
    _rule(
        5,
        {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}},
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/old/*"]}},
    ),
    _rule(
        6,
        {
            "Type": "redirect",
            "RedirectConfig": {"Path": "/new/#{path}", "Query": "a=100%&#{query}", "StatusCode": "HTTP_302"},
        },
        {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/re[0-9]+$"]}},
    ),
    _rule(
        7,
        {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [
                    {"TargetGroupArn": GROUP, "Weight": 1},
                    {"TargetGroupArn": GROUP + "0", "Weight": 1},
                ],
                "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
            },
        },
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/weighted"]}},
    ),
)


@pytest.mark.parametrize(
    ("path", "headers", "status", "expected"),
    [
        ("/", {"Host": "a.host.example:80"}, 200, "host"),
        ("/", {"X-Kind": "It's fine"}, 200, "header"),
        ("/?a=1&V=2x", {}, 200, "query"),
        ("/old/a?b=c", {"Host": "h.example"}, 301, "https://h.example:443/old/a?b=c"),
        ("/old/a", {"Host": "h.example"}, 301, "https://h.example:443/old/a"),
        ("/re7?x=1", {"Host": "h.example"}, 302, "http://h.example:80/new/re7?a=100%&x=1"),
    ],
)
def test_rules(ruled: World, path: str, headers: dict[str, str], status: int, expected: str) -> None:
    connection = http.client.HTTPConnection(ruled.address, 80, timeout=5)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    assert (answer.status, answer.headers.get("Location", body)) == (status, expected)


def test_a_weighted_group_without_targets_answers_503(ruled: World) -> None:
    seen = {ruled.get("/weighted")[0] for _ in range(30)}
    assert seen == {200, 503}


def test_no_targets_is_503_and_a_refusing_one_502(world: World) -> None:
    world.until(lambda: world.store.state[0] == "active")
    assert world.get()[0] == 503
    world.store.register(9999)
    world.until(lambda: 9999 in world.store.health)
    status, body = world.get()
    assert status == 502
    assert "502 Bad Gateway" in body


def test_a_target_that_does_not_answer_is_504_after_ten_seconds(world: World) -> None:
    # Packets to an address that nobody has, routed to lo, are lost without a word.
    netns = world.layout.vpc_netns(VPC)
    subprocess.run(_nsenter(netns, "ip", "route", "add", "10.9.9.0/24", "dev", "lo"), check=True)
    world.store.targets = (RegisteredTarget("10.9.9.9", 80),)
    world.until(lambda: 80 in world.store.health)
    began = time.monotonic()
    connection = http.client.HTTPConnection(world.address, 80, timeout=15)
    connection.request("GET", "/")
    assert connection.getresponse().status == 504
    assert 9.5 < time.monotonic() - began < 11
    connection.close()
    world.until(lambda: world.store.health[80][1] == "Target.Timeout")


HSTS = "routing.http.response.strict_transport_security.header_value"
REDIRECT = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
TO_HTTPS = Rule(BALANCER + "/80/default", None, (), ({"Type": "redirect", "RedirectConfig": REDIRECT},))
CURRENT = SSL_POLICIES["ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"]
OLD = SSL_POLICIES["ELBSecurityPolicy-TLS13-1-0-2021-06"]


@pytest.fixture
def authority() -> Authority:
    return Authority.new("test")


@pytest.fixture
def secure(world: World, authority: Authority) -> World:
    """HTTPS for a.example and b.example with HSTS, HTTP redirected to it, and one server."""
    certificates = (_certificate(authority, "a.example"), _certificate(authority, "b.example"))
    https = Listener(BALANCER + "/443", 443, "HTTPS", (FORWARD,), certificates, _policy(CURRENT), {HSTS: "max-age=60"})
    world.store.listeners = (https, Listener(BALANCER + "/80", 80, "HTTP", (TO_HTTPS,)))
    world.store.register(9001)
    world.until(world.is_healthy(9001))
    return world


def _policy(found: Mapping[str, Any]) -> TlsPolicy:
    return TlsPolicy(tuple(found["ssl_protocols"]), tuple(found["ciphers"]))


def _certificate(authority: Authority, name: str) -> str:
    made, key = authority.issue(Identity("", name, names=(name,)))
    return (made.public_bytes(serialization.Encoding.PEM) + key_pem(key)).decode()


def _trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _handshake(address: str, name: str, context: ssl.SSLContext) -> tuple[str, str | None, str | None]:
    """Common name of the certificate that a client asking for `name` gets, protocol above TLS, version of TLS."""
    with socket.create_connection((address, 443)) as raw, context.wrap_socket(raw, server_hostname=name) as wrapped:
        certificate = x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"")
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return str(common), wrapped.selected_alpn_protocol(), wrapped.version()


def test_tls_with_certificates_by_name_and_http2(secure: World, authority: Authority) -> None:
    context = _trusting(authority)
    assert _handshake(secure.address, "a.example", context) == ("a.example", "h2", "TLSv1.3")
    assert _handshake(secure.address, "b.example", context) == ("b.example", "h2", "TLSv1.3")


def test_a_client_that_asks_for_another_name_gets_the_default_and_refuses_it(
    secure: World, authority: Authority
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'c\.example'"):
        _handshake(secure.address, "c.example", _trusting(authority))


def test_a_client_that_does_not_trust_the_authority_refuses_it(secure: World) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        _handshake(secure.address, "a.example", ssl.create_default_context())


def _speaks(world: World, authority: Authority, version: ssl.TLSVersion) -> bool:
    context = _trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    try:
        _handshake(world.address, "a.example", context)
    except (ssl.SSLError, ConnectionError):
        return False
    return True


@pytest.mark.parametrize(("policy", "oldest"), [(CURRENT, ssl.TLSVersion.TLSv1_2), (OLD, ssl.TLSVersion.TLSv1)])
def test_the_security_policy_decides_which_versions_are_spoken(
    secure: World, authority: Authority, policy: Mapping[str, Any], oldest: ssl.TLSVersion
) -> None:
    https, http_ = secure.store.listeners
    secure.store.listeners = (replace(https, tls=_policy(policy)), http_)
    spoken = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    wanted = [version >= oldest for version in spoken]
    secure.until(lambda: [_speaks(secure, authority, version) for version in spoken] == wanted)


def test_every_answer_over_https_demands_https(secure: World, authority: Authority) -> None:
    secure.statuses[9001].write_text("500")
    for path, status in (("/", 200), ("/health", 500)):
        answer, _body = _https(secure, authority, path)
        assert (answer.status, answer.headers["Strict-Transport-Security"]) == (status, "max-age=60")


def _https(world: World, authority: Authority, path: str) -> tuple[http.client.HTTPResponse, str]:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    with (
        socket.create_connection((world.address, 443)) as raw,
        context.wrap_socket(raw, server_hostname="a.example") as wrapped,
    ):
        wrapped.sendall(f"GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(wrapped)
        answer.begin()
        return answer, answer.read().decode()


def test_http_is_redirected_to_the_same_place(secure: World) -> None:
    connection = http.client.HTTPConnection(secure.address, 80, timeout=5)
    connection.request("GET", "/a/b?c=d", headers={"Host": "a.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, "https://a.example:443/a/b?c=d")
    assert "Strict-Transport-Security" not in answer.headers
    connection.close()


def test_a_new_certificate_is_served_without_a_lost_request(secure: World, authority: Authority) -> None:
    https, http_ = secure.store.listeners
    renewed = _certificate(authority, "a.example")
    serial = x509.load_pem_x509_certificate(renewed.encode()).serial_number
    secure.store.listeners = (replace(https, certificates=(renewed,)), http_)
    secure.until(lambda: _https(secure, authority, "/")[0].status == 200 and _serial(secure, authority) == serial)


def _serial(world: World, authority: Authority) -> int:
    with (
        socket.create_connection((world.address, 443)) as raw,
        _trusting(authority).wrap_socket(raw, server_hostname="a.example") as wrapped,
    ):
        return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"").serial_number


def test_a_change_during_a_reload_is_not_lost(
    secure: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_balancer, "RELOAD_PATIENCE", 3600.0)  # nothing orders a lost one again
    https, http_ = secure.store.listeners
    for number in range(8):
        renewed = _certificate(authority, "a.example")
        serial = x509.load_pem_x509_certificate(renewed.encode()).serial_number
        secure.store.listeners = (replace(https, certificates=(renewed,)), http_)
        secure.balancers.reconcile()
        rules = (_rule(1, _fixed_body(f"new {number}")), FORWARD)
        secure.store.listeners = (replace(https, certificates=(renewed,), rules=rules), http_)
        secure.until(lambda serial=serial: _serial(secure, authority) == serial)  # type: ignore[misc]
        secure.until(lambda body=f"new {number}": _https(secure, authority, "/")[1] == body)  # type: ignore[misc]


def test_names_of_route_53_lead_to_the_load_balancer(secure: World) -> None:
    secure.store.alias = {"shop.example.com": NAME, "other.example.com": "elsewhere.elb.amazonaws.com"}
    secure.balancers.reconcile()
    assert secure.hosts.names() == {NAME: secure.address, "shop.example.com": secure.address}


def test_a_draining_target_finishes_its_requests_and_gets_no_more(serving: World) -> None:
    answers: list[int] = []
    slow = [threading.Thread(target=lambda: answers.append(serving.get("/slow")[0])) for _ in range(4)]
    for thread in slow:
        thread.start()
    time.sleep(0.3)
    serving.store.deregister(9002)
    serving.balancers.reconcile()
    assert {serving.get()[1].split()[1] for _ in range(8)} == {"9001"}
    for thread in slow:
        thread.join()
    assert answers == [200] * 4
    serving.until(lambda: len(serving.store.targets) == 1)


@dataclass
class Traffic:
    """Requests without a pause, on a connection each or all on one; counts what went wrong."""

    address: str
    keep: bool
    done: int = 0
    errors: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        connection = self._connect()
        while not self.stop.is_set():
            try:
                connection.request("GET", "/", headers={"Host": NAME})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.errors.append(str(answer.status))
                self.done += 1
                if not self.keep:
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection = self._connect()
            time.sleep(0.005)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, 80, timeout=5)


def test_reloads_and_target_changes_cost_no_request(serving: World) -> None:
    streams = [Traffic(serving.address, keep) for keep in (True, False)]
    threads = [threading.Thread(target=stream.run) for stream in streams]
    for thread in threads:
        thread.start()
    for number in range(4):
        serving.store.rules = (_fixed(number),)
        serving.until(lambda number=number: serving.get(f"/fixed-{number}")[1] == "fixed")  # type: ignore[misc]
        serving.store.deregister(9002)
        serving.balancers.reconcile()
        serving.store.targets = serving.store.targets[:1]
        serving.store.register(9002)
        serving.balancers.reconcile()
    serving.until(lambda: all(stream.done > 100 for stream in streams))
    for stream, thread in zip(streams, threads, strict=True):
        stream.stop.set()
        thread.join()
    assert [stream.errors for stream in streams] == [[], []]
    assert serving.store.health[9001][0] == "healthy"


def _fixed(number: int) -> Rule:
    conditions = ({"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/fixed-{number}"]}},)
    answer: dict[str, Any] = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "fixed"}
    action = {"Type": "fixed-response", "FixedResponseConfig": answer}
    return Rule(f"{BALANCER}/{number}", number + 1, conditions, (action,))


def _haproxies(world: World) -> list[psutil.Process]:
    config_file = str(directory(world.layout) / "00000000000000bb" / "haproxy.cfg")
    return [p for p in psutil.process_iter(["cmdline"]) if config_file in (p.info["cmdline"] or [])]


def test_a_killed_haproxy_comes_back_with_what_it_knew(serving: World) -> None:
    serving.statuses[9002].write_text("503")
    serving.until(lambda: serving.store.health[9002][0] == "unhealthy", seconds=20)
    time.sleep(0.5)
    killed = _haproxies(serving)
    for process in killed:
        process.send_signal(signal.SIGKILL)
    assert killed

    def back() -> bool:
        try:
            return serving.get()[0] == 200
        except OSError:
            return False

    assert serving.until(back) < 5
    assert {serving.get()[1].split()[1] for _ in range(8)} == {"9001"}


def test_a_new_reconciler_takes_over_without_disturbing_it(serving: World) -> None:
    before = {process.pid for process in _haproxies(serving)}
    serving.store.health.clear()
    serving.restart()
    serving.until(serving.is_healthy(9001, 9002))
    assert {process.pid for process in _haproxies(serving)} == before


def test_a_taken_port_is_told(world: World) -> None:
    world.store.port = 18765
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 18765))
        taken.listen()
        world.balancers.reconcile()
        assert world.store.state[0] == "failed"
        assert "18765" in world.store.state[1]
    world.until(lambda: world.store.state[0] == "active")


def test_removal_leaves_nothing(serving: World) -> None:
    serving.store.present = False
    serving.balancers.reconcile()
    assert _haproxies(serving) == []
    assert list(directory(serving.layout).iterdir()) == []
    assert not stats_socket(serving.layout, BALANCER).exists()
    assert serving.hosts.names() == {}
