"""HAProxy as a load balancer: its configuration from elbv2 objects (pure), and its runtime socket."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from chaosctl.errors import StageFailed, Unreachable
from chaosctl.lab.desired import HealthCheck, Listener, LoadBalancer, Rule, TargetGroup, TlsPolicy

CONNECT_TIMEOUT = 10  # seconds; that of an application load balancer, after which it answers 504
PROBES = 4  # first checks of new targets of one target group at the same time
MIN_SLOTS = 8
NOWHERE = "0.0.0.0:1"  # the address of a slot without a target
RUNTIME_TIMEOUT = 2.0  # seconds
FILES_PER_CONNECTION = 2

# Listener attributes that set a header of every answer.
HEADER_ATTRIBUTE = re.compile(r"routing\.http\.response\.(\w+)\.header_value")
WEAK_PROTOCOLS = {"TLSv1", "TLSv1.1"}

PLACEHOLDERS = {"protocol": "%[var(txn.protocol)]", "host": "%[var(txn.host)]", "port": "%[dst_port]"}
ALGORITHMS = {"least_outstanding_requests": "leastconn", "weighted_random": "random"}


@dataclass(frozen=True)
class Slot:
    """What a slot starts with: address:port, and whether it is switched on."""

    address: str
    on: bool


Slots = Mapping[str, Sequence[Slot]]  # by ARN of the target group


@dataclass(frozen=True)
class Frontend:
    """A listener. `lines` are what comes after `bind`, `tls` what is added to it."""

    name: str
    port: int
    mode: str
    tls: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """A target group as the template needs it: `lines` of the traffic backend, options of its servers, its check."""

    arn: str
    id: str
    mode: str
    check: HealthCheck
    check_lines: tuple[str, ...]
    check_options: str
    probe_options: str
    lines: tuple[str, ...]
    server_options: str


@dataclass(frozen=True)
class Plan:
    """All of a load balancer but which targets it has. `files` are certificates and bodies, by file name."""

    id: str
    name: str
    address: str
    netns: str
    idle_timeout: int
    client_keep_alive: int
    frontends: tuple[Frontend, ...]
    groups: tuple[Group, ...]
    files: Mapping[str, str]


def short_id(arn: str) -> str:
    """The 16 hex digits that end the ARN of a load balancer or a target group."""
    return arn.rsplit("/", 1)[-1]


def quoted(text: str) -> str:
    """One word of HAProxy's configuration. Raises StageFailed (LB-UNREPRESENTABLE) for what no word can hold."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise _unrepresentable(f"a control character in {text!r}")
    return "'" + text.replace("'", "'\\''") + "'"


def _unrepresentable(why: str) -> StageFailed:
    return StageFailed(
        "the load balancer cannot be made real",
        code="LB-UNREPRESENTABLE",
        why=why,
        remedy="change the listener, its rules or the target group",
    )


# -- rules -------------------------------------------------------------------------------------------------------------


def wildcard(pattern: str, *, any_character: str = ".") -> str:
    """Regular expression of an elbv2 pattern, in which * is any characters and ? is exactly one."""
    special = {"*": any_character + "*", "?": any_character}
    return "".join(special.get(character) or re.escape(character) for character in pattern)


def _values(condition: Mapping[str, Any], config: str) -> tuple[list[str], list[str]]:
    """Patterns and regular expressions of a condition, in whichever of the API's places they are."""
    given = condition.get(config, {})
    return list(given.get("Values") or condition.get("Values") or []), list(given.get("RegexValues") or [])


def tests(condition: Mapping[str, Any]) -> list[str]:
    """What must hold for a condition, as HAProxy tests of which one is enough.

    Host names, headers and query strings are compared without regard to case, paths with it: as elbv2 does.
    """
    field = condition["Field"]
    if field == "host-header":
        return _regexes("var(txn.host) -m reg -i", *_values(condition, "HostHeaderConfig"))
    if field == "path-pattern":
        return _regexes("path -m reg", *_values(condition, "PathPatternConfig"))
    if field == "http-header":
        name = condition["HttpHeaderConfig"]["HttpHeaderName"]
        return _regexes(f"req.fhdr({_header(name)}) -m reg -i", *_values(condition, "HttpHeaderConfig"))
    if field == "http-request-method":
        return [f"method -m str -- {quoted(method)}" for method in _values(condition, "HttpRequestMethodConfig")[0]]
    if field == "source-ip":
        return [f"src {cidr}" for cidr in _values(condition, "SourceIpConfig")[0]]
    if field == "query-string":
        return [_query(pair) for pair in condition["QueryStringConfig"]["Values"]]
    raise _unrepresentable(f"conditions on {field} are unknown")


def _regexes(test: str, patterns: Sequence[str], regexes: Sequence[str]) -> list[str]:
    return [f"{test} -- {quoted(regex)}" for regex in [*(f"^{wildcard(p)}$" for p in patterns), *regexes]]


def _header(name: str) -> str:
    if not re.fullmatch(r"[!#$%&*+.^_`|~0-9A-Za-z-]+", name):
        raise _unrepresentable(f"{name!r} is not the name of a header")
    return name


def _query(pair: Mapping[str, str]) -> str:
    key = wildcard(pair["Key"], any_character="[^=&]") if pair.get("Key") else "[^=&]*"
    return "query -m reg -i -- " + quoted(f"(^|&){key}={wildcard(pair['Value'], any_character='[^&]')}(&|$)")


def _match(name: str, rule: Rule) -> list[str]:
    """Lines that set txn.rule to `name` when all conditions of a rule hold and no earlier rule's did."""
    lines, needed = [], []
    for number, condition in enumerate(rule.conditions):
        acl = f"{name}c{number}"
        lines += [f"acl {acl} {test}" for test in tests(condition)]
        needed.append(acl)
    return [*lines, f"http-request set-var(txn.rule) str({name}) if !decided {' '.join(needed)}".rstrip()]


def _forward_weights(action: Mapping[str, Any]) -> list[tuple[str, int]]:
    config = action.get("ForwardConfig") or {}
    groups = [(entry["TargetGroupArn"], int(entry.get("Weight", 1))) for entry in config.get("TargetGroups") or []]
    return groups or [(action["TargetGroupArn"], 1)]


def forwarded_to(rules: Sequence[Rule]) -> list[str]:
    """ARNs of the target groups that rules forward to, each once."""
    actions = [action for rule in rules for action in rule.actions if action["Type"] == "forward"]
    return list(dict.fromkeys(arn for action in actions for arn, _weight in _forward_weights(action)))


def _act(name: str, rule: Rule, files: dict[str, str]) -> list[str]:
    """Lines that do what a rule says, for requests on which it was chosen."""
    chosen = f"{{ var(txn.rule) -m str {name} }}"
    action = max(rule.actions, key=lambda found: int(found.get("Order") or 0))
    if len(rule.actions) > 1 or action["Type"] not in {"forward", "redirect", "fixed-response"}:
        # Authentication: letting everybody in would be worse than letting nobody in.
        return [_respond("501", "text/plain", "The lab cannot authenticate users.", chosen, files)]
    if action["Type"] == "fixed-response":
        fixed = action["FixedResponseConfig"]
        body, kind = fixed.get("MessageBody") or "", fixed.get("ContentType") or "text/plain"
        return [_respond(fixed["StatusCode"], kind, body, chosen, files)]
    if action["Type"] == "redirect":
        return _redirect(action["RedirectConfig"], chosen)
    return _forward(action, chosen)


def _respond(status: str, kind: str, body: str, chosen: str, files: dict[str, str]) -> str:
    server = "hdr Server awselb/2.0"
    if not body:
        return f"http-request return status {status} {server} if {chosen}"
    name = f"body-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
    files[name] = body
    return f"http-request return status {status} content-type {quoted(kind)} file {name} {server} if {chosen}"


def _redirect(config: Mapping[str, str], chosen: str) -> list[str]:
    protocol = (config.get("Protocol") or "#{protocol}").lower()
    place = ":".join([config.get("Host") or "#{host}", config.get("Port") or "#{port}"])
    location = f"{protocol}://{place}{config.get('Path') or '/#{path}'}"
    query = config.get("Query", "#{query}")
    lines = [f"http-request set-var(txn.query) str() if {chosen}"]
    if query == "#{query}":  # no question mark where there is no query
        lines.append(f"http-request set-var-fmt(txn.query) '?%[query]' if {chosen} {{ query -m len gt 0 }}")
    elif query:
        lines.append(f"http-request set-var-fmt(txn.query) {quoted('?' + _filled(query))} if {chosen}")
    code = config["StatusCode"].removeprefix("HTTP_")
    target = quoted(_filled(location) + "%[var(txn.query)]")
    return [*lines, f"http-request redirect location {target} code {code} if {chosen}"]


def _filled(template: str) -> str:
    """Log format of a redirect's template with its #{...} placeholders."""
    known = {**PLACEHOLDERS, "path": "%[path,regsub(^/,)]", "query": "%[query]"}
    parts = re.split(r"#\{(\w+)\}", template)
    return "".join(known.get(part, "") if index % 2 else part.replace("%", "%%") for index, part in enumerate(parts))


def _forward(action: Mapping[str, Any], chosen: str) -> list[str]:
    """By weight. A target group that is chosen and has no targets answers 503: no other one steps in, as on AWS."""
    weights = [(short_id(arn), weight) for arn, weight in _forward_weights(action) if weight > 0]
    if len(weights) == 1:
        return [f"http-request set-var(txn.group) str(tg-{weights[0][0]}) if {chosen}"]
    sticky = (action.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig") or {}
    lines = _sticky(weights, int(sticky.get("DurationSeconds") or 86400), chosen) if sticky.get("Enabled") else []
    lines.append(f"http-request set-var(txn.roll) rand({sum(weight for _id, weight in weights)}) if {chosen}")
    limit = 0
    for id_, weight in weights:
        limit += weight
        unset = f"{chosen} !{{ var(txn.group) -m found }} {{ var(txn.roll) -m int lt {limit} }}"
        lines.append(f"http-request set-var(txn.group) str(tg-{id_}) if {unset}")
    return lines


def _sticky(weights: Sequence[tuple[str, int]], seconds: int, chosen: str) -> list[str]:
    keep = [
        f"http-request set-var(txn.group) str(tg-{id_}) if {chosen} {{ req.cook(AWSALBTG) -m str {id_} }}"
        for id_, _weight in weights
    ]
    return [*keep, f"http-request set-var(txn.sticky) str({seconds}) if {chosen}"]


# -- listeners ---------------------------------------------------------------------------------------------------------


def _frontend(balancer: LoadBalancer, listener: Listener, files: dict[str, str]) -> Frontend:
    http = listener.protocol in {"HTTP", "HTTPS"}
    if not http and listener.protocol not in {"TCP", "TLS"}:
        raise _unrepresentable(f"listeners of protocol {listener.protocol} are not supported by the lab")
    doors = _doors(balancer, listener)
    lines = [*doors, *(_http_lines(balancer, listener, files) if http else _tcp_lines(listener))]
    tls = _tls(balancer, listener, files) if listener.protocol in {"HTTPS", "TLS"} else ""
    return Frontend(f"port-{listener.port}", listener.port, "http" if http else "tcp", tls, tuple(lines))


def _doors(balancer: LoadBalancer, listener: Listener) -> list[str]:
    """Who is let in. A security group drops packets, so a client must time out and not be refused."""
    cidrs = [cidr for cidr, port in balancer.inbound if port == listener.port]
    if "0.0.0.0/0" in cidrs:
        return []
    let_in = [f"acl let_in src {cidr}" for cidr in cidrs]
    return [*let_in, "tcp-request connection silent-drop" + (" unless let_in" if let_in else "")]


def _tls(balancer: LoadBalancer, listener: Listener, files: dict[str, str]) -> str:
    if not listener.certificates:
        raise _unrepresentable(f"the listener on port {listener.port} has no certificate that is issued")
    names = []
    for number, pem in enumerate(listener.certificates):
        names.append(f"port-{listener.port}-{number}.pem")
        files[names[-1]] = pem
    http2 = listener.protocol == "HTTPS" and balancer.attributes.get("routing.http2.enabled", "true") == "true"
    # The first is the default; HAProxy picks the others by the name that the client asks for.
    words = ["ssl", *(f"crt {name}" for name in names), *_negotiated(listener.tls)]
    return " " + " ".join([*words, "alpn h2,http/1.1"] if http2 else words)


def _negotiated(policy: TlsPolicy | None) -> list[str]:
    """Options of `bind` for a security policy. OpenSSL 3 has weak protocols only at its level 0."""
    if policy is None:
        return []
    versions = [{"TLSv1": "TLSv1.0"}.get(protocol, protocol) for protocol in policy.protocols]
    suites = [name for name in policy.ciphers if name.startswith("TLS_")]
    ciphers = [name for name in policy.ciphers if not name.startswith("TLS_")]
    weak = ["@SECLEVEL=0"] if WEAK_PROTOCOLS & set(policy.protocols) else []
    return [
        f"ssl-min-ver {min(versions)} ssl-max-ver {max(versions)}",
        *([f"ciphers {':'.join(ciphers + weak)}"] if ciphers else []),
        *([f"ciphersuites {':'.join(suites)}"] if suites else []),
    ]


def _tcp_lines(listener: Listener) -> list[str]:
    groups = forwarded_to(listener.rules)
    return [f"default_backend tg-{short_id(groups[0])}"] if groups else []


def _http_lines(balancer: LoadBalancer, listener: Listener, files: dict[str, str]) -> list[str]:
    protocol = "https" if listener.protocol == "HTTPS" else "http"
    named = [(f"r{number}", rule) for number, rule in enumerate(listener.rules)]
    matches = [line for name, rule in named for line in _match(name, rule)]
    acts = [line for name, rule in named for line in _act(name, rule, files)]
    return [
        "acl decided var(txn.rule) -m found",
        "http-request set-var(txn.began) date(0,ms)",
        f"http-request set-var(txn.protocol) str({protocol})",
        "http-request set-var(txn.host) req.hdr(host),field(1,:),lower",
        *matches,
        *acts,
        *_headers(balancer, protocol, listener.port),
        *_failures(),
        *_answer_headers(listener),
        "http-response set-var(txn.answered) bool(true)",
        *_sticky_cookie(),
        "use_backend %[var(txn.group)] if { var(txn.group) -m found }",
    ]


def _headers(balancer: LoadBalancer, protocol: str, port: int) -> list[str]:
    client = "%[src]:%[src_port]" if _on(balancer, "routing.http.xff_client_port.enabled") else "%[src]"
    mode = balancer.attributes.get("routing.http.xff_header_processing.mode", "append")
    append = [
        f"http-request set-header X-Forwarded-For '%[req.fhdr(x-forwarded-for)], {client}' "
        "if { req.fhdr(x-forwarded-for) -m found }",
        f"http-request set-header X-Forwarded-For '{client}' unless {{ req.fhdr(x-forwarded-for) -m found }}",
    ]
    kinds = {"append": append, "preserve": [], "remove": ["http-request del-header X-Forwarded-For"]}
    trace = "Root=1-%[date(0),hex,bytes(8,8),lower]-%[uuid,regsub(-,,g),bytes(0,24)]"
    return [
        *kinds.get(mode, append),
        f"http-request set-header X-Forwarded-Proto {protocol}",
        f"http-request set-header X-Forwarded-Port {port}",
        f"http-request set-header X-Amzn-Trace-Id '{trace}' unless {{ req.hdr(x-amzn-trace-id) -m found }}",
    ]


def _answer_headers(listener: Listener) -> list[str]:
    """Headers that the listener's attributes put into every answer, its own redirects included."""
    found = [(HEADER_ATTRIBUTE.fullmatch(key), value) for key, value in sorted(listener.attributes.items())]
    lines = [
        f"http-after-response set-header {match[1].replace('_', '-')} {quoted(value.replace('%', '%%'))}"
        for match, value in found
        if match and value
    ]
    silent = listener.attributes.get("routing.http.response.server.enabled") == "false"
    return [*lines, *(["http-after-response del-header Server"] if silent else [])]


def _on(balancer: LoadBalancer, attribute: str) -> bool:
    return balancer.attributes.get(attribute, "false") == "true"


def _failures() -> list[str]:
    """503 when there is no target, 502 when one refuses, 504 when it does not answer: HAProxy says 503 to all three."""
    limit = CONNECT_TIMEOUT * 1000 - 100  # milliseconds
    late = f"date(0,ms),sub(txn.began) ge {limit}"
    words = f"%[date(0,ms),sub(txn.began),div({limit}),bool,iif(504 Gateway Time-out,502 Bad Gateway)]"
    refused = "{ status 503 } !{ var(txn.answered) -m found } { srv_id -m found }"
    return [
        f"http-error status 503 content-type text/html lf-string {quoted(_page(words))}",
        *(
            f"http-error status {status} content-type text/html string {quoted(_page(f'{status} {text}'))}"
            for status, text in ((400, "Bad Request"), (502, "Bad Gateway"), (504, "Gateway Time-out"))
        ),
        "http-request return status 503 content-type text/html hdr Server awselb/2.0 string "
        + quoted(_page("503 Service Temporarily Unavailable"))
        # A process that goes because of a reload counts no servers, and still serves the connections that it has.
        + " if { var(txn.group) -m found } !{ var(txn.group),nbsrv gt 0 } !{ stopping }",
        "http-request return status 503 content-type text/html hdr Server awselb/2.0 string "
        + quoted(_page("503 Service Temporarily Unavailable"))
        + " unless { var(txn.group) -m found }",
        f"http-after-response set-status 504 reason 'Gateway Time-out' if {refused} {{ {late} }}",
        f"http-after-response set-status 502 reason 'Bad Gateway' if {refused}",
        "http-after-response set-header Server awselb/2.0 unless { var(txn.answered) -m found }",
    ]


def _page(text: str) -> str:
    return f"<html><head><title>{text}</title></head><body><center><h1>{text}</h1></center></body></html>"


def _sticky_cookie() -> list[str]:
    value = "'AWSALBTG=%[var(txn.group),regsub(^tg-,)]; Max-Age=%[var(txn.sticky)]; Path=/'"
    return [f"http-response add-header Set-Cookie {value} if {{ var(txn.sticky) -m found }}"]


# -- target groups -----------------------------------------------------------------------------------------------------


def _group(group: TargetGroup) -> Group:
    check = group.health_check
    port = "" if check.port == "traffic-port" else f" port {int(check.port)}"
    tls = " check-ssl verify none" if check.protocol in {"HTTPS", "TLS"} else ""
    options = f"check{port}{tls}"
    thresholds = f"rise {check.healthy_threshold} fall {check.unhealthy_threshold}"
    return Group(
        arn=group.arn,
        id=short_id(group.arn),
        mode="http" if group.protocol in {"HTTP", "HTTPS"} else "tcp",
        check=check,
        check_lines=_check_lines(check),
        check_options=f"{options} inter {check.interval}s {thresholds}",
        probe_options=f"{options} inter 250ms rise 1 fall 1",
        lines=_balancing(group),
        server_options=_server_options(group),
    )


def _check_lines(check: HealthCheck) -> tuple[str, ...]:
    if check.protocol not in {"HTTP", "HTTPS"}:
        return ()
    if not re.fullmatch(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*", check.matcher):
        raise _unrepresentable(f"the matcher {check.matcher!r} is not a list of HTTP statuses")
    return (
        "option httpchk",
        f"http-check send meth GET uri {quoted(check.path)} ver HTTP/1.1 hdr Host health-check.lab "
        "hdr User-Agent ELB-HealthChecker/2.0 hdr Accept-Encoding 'gzip, compressed'",
        f"http-check expect status {check.matcher}",
    )


def _balancing(group: TargetGroup) -> tuple[str, ...]:
    algorithm = ALGORITHMS.get(group.attributes.get("load_balancing.algorithm.type", ""), "roundrobin")
    lines = [f"balance {algorithm}"]
    attributes = group.attributes
    if attributes.get("stickiness.enabled") == "true" and attributes.get("stickiness.type") == "lb_cookie":
        seconds = int(attributes.get("stickiness.lb_cookie.duration_seconds", "86400"))
        lines.append(f"cookie AWSALB insert indirect nocache dynamic maxlife {seconds}s")
        lines.append(f"dynamic-cookie-key {short_id(group.arn)}")
    return tuple(lines)


def _server_options(group: TargetGroup) -> str:
    slow = int(group.attributes.get("slow_start.duration_seconds", "0") or 0)
    return (" ssl verify none" if group.protocol == "HTTPS" else "") + (f" slowstart {slow}s" if slow else "")


# -- the whole ---------------------------------------------------------------------------------------------------------


def plan(balancer: LoadBalancer, groups: Mapping[str, TargetGroup], address: str, netns: str) -> Plan:
    """What a load balancer needs of HAProxy; `groups` are all target groups by ARN, those that do not exist left out.

    Raises StageFailed (LB-UNREPRESENTABLE) for what the lab cannot do.
    """
    files: dict[str, str] = {}
    frontends = tuple(_frontend(balancer, listener, files) for listener in sorted(balancer.listeners, key=_port))
    used = forwarded_to([rule for listener in balancer.listeners for rule in listener.rules])
    return Plan(
        id=short_id(balancer.arn),
        name=balancer.name,
        address=address,
        netns=netns,
        idle_timeout=int(balancer.attributes.get("idle_timeout.timeout_seconds", "60")),
        client_keep_alive=int(balancer.attributes.get("client_keep_alive.seconds", "3600")),
        frontends=frontends,
        groups=tuple(_group(groups[arn]) for arn in used if arn in groups),
        files=files,
    )


def _port(listener: Listener) -> int:
    return listener.port


def slots_for(targets: int) -> int:
    """How many slots a target group needs, so that it can double without a reload."""
    slots = MIN_SLOTS
    while slots < 2 * targets:
        slots *= 2
    return slots


def digest(wanted: Plan, slots: Slots, salt: str = "") -> str:
    """Identifies everything that takes a reload to change; `salt` is what else the processes depend on."""
    counts = sorted((arn, len(found)) for arn, found in slots.items())
    return hashlib.sha256(repr((wanted, sorted(wanted.files.items()), counts, salt)).encode()).hexdigest()[:32]


def render(
    wanted: Plan, slots: Slots, *, identity: str, directory: Path, run_socket: Path, access_log: Path, file_limit: int
) -> str:
    """The configuration file, with the targets that hold the slots now; `identity` is its digest."""
    servers = sum(2 * len(found) + PROBES for found in slots.values()) + len(wanted.frontends)
    return _template().render(
        plan=_placed(wanted, directory),
        digest=identity,
        slots=slots,
        socket=run_socket,
        access_log=access_log,
        state_file=directory / "servers.state",
        maxconn=max(100, min(4000, (file_limit - servers - 200) // FILES_PER_CONNECTION)),
        connect_timeout=CONNECT_TIMEOUT,
        probes=PROBES,
        nowhere=NOWHERE,
    )


def _placed(wanted: Plan, directory: Path) -> Any:
    """The plan with the names of its files made absolute."""

    def place(text: str) -> str:
        for name in wanted.files:
            text = re.sub(rf"(?<=(?:crt|ile) ){re.escape(name)}(?= |$)", str(directory / name), text)
        return text

    frontends = [
        Frontend(f.name, f.port, f.mode, place(f.tls), tuple(place(line) for line in f.lines)) for f in wanted.frontends
    ]
    return {**wanted.__dict__, "frontends": frontends}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(  # noqa: S701 - it writes no HTML
        loader=jinja2.PackageLoader("chaosctl.lab"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template("load_balancer.cfg.j2")


# -- at run time -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A line of `show stat`. `healthy` is None for servers without a check; `check` is L7OK, L4CON, L7STS/503, ..."""

    backend: str
    name: str
    status: str
    check: str
    code: str
    healthy: bool | None
    passed: bool  # at least one check was good since it was forced down


@dataclass(frozen=True)
class Admin:
    """A line of `show servers state`: where a slot points to, and what was ordered for it."""

    backend: str
    name: str
    address: str
    state: str  # ready, drain or maint


class Runtime:
    """The runtime socket of one HAProxy. Raises Unreachable (LB-SOCKET) when nobody answers there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, *commands: str) -> str:
        """Answers to `commands`, one after the other."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(RUNTIME_TIMEOUT)
                connection.connect(str(self._path))
                connection.sendall((";".join(commands) + "\n").encode())
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
        except OSError as error:
            raise Unreachable(
                "a load balancer of the lab does not answer",
                code="LB-SOCKET",
                why=f"{self._path}: {error}",
                remedy="run `chaosctl lab status`; its supervisor starts it again",
            ) from error

    def do(self, commands: Sequence[str]) -> None:
        """Run commands, a few at a time: a line has a limited length."""
        for start in range(0, len(commands), 20):
            self.ask(*commands[start : start + 20])

    def identity(self) -> str:
        """The digest of the configuration that runs."""
        lines = [line.partition(": ") for line in self.ask("show info").splitlines()]
        return next((value.strip() for key, _, value in lines if key.lower() == "description"), "")

    def servers(self) -> list[Server]:
        """Every server with its health."""
        header, *lines = self.ask("show stat -1 4 -1").strip().splitlines()
        names = {name: index for index, name in enumerate(header.lstrip("# ").split(","))}
        return [_server(line.split(","), names) for line in lines if line]

    def admins(self) -> tuple[list[Admin], str]:
        """What was ordered for each server, and the text that a new process can start from."""
        text = self.ask("show servers state")
        rows = [line.split() for line in text.splitlines()[2:] if line.strip()]
        return [Admin(row[1], row[3], f"{row[4]}:{row[18]}", _ordered(int(row[6]))) for row in rows], text


def _server(row: Sequence[str], names: Mapping[str, int]) -> Server:
    def field(name: str) -> str:
        return row[names[name]]

    health, rise = field("check_health"), field("check_rise")
    return Server(
        backend=field("pxname"),
        name=field("svname"),
        status=field("status"),
        check=field("check_status").lstrip("* "),
        code=field("check_code"),
        healthy=int(health) >= int(rise) if health and rise else None,
        passed=bool(health) and int(health) > 0,
    )


def _ordered(admin_state: int) -> str:
    if admin_state & 0x01:
        return "maint"
    return "drain" if admin_state & 0x08 else "ready"
