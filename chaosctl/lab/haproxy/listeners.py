"""A listener: who is let in, TLS, its rules, headers, and the answers that a load balancer gives by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chaosctl.lab.desired import Listener, LoadBalancer, TlsPolicy
from chaosctl.lab.haproxy.rules import act, forwarded_to, match
from chaosctl.lab.haproxy.words import quoted, short_id, unrepresentable

CONNECT_TIMEOUT = 10  # seconds; that of an application load balancer, after which it answers 504

# Listener attributes that set a header of every answer.
HEADER_ATTRIBUTE = re.compile(r"routing\.http\.response\.(\w+)\.header_value")
WEAK_PROTOCOLS = {"TLSv1", "TLSv1.1"}


@dataclass(frozen=True)
class Frontend:
    """A listener. `lines` are what comes after `bind`, `tls` what is added to it."""

    name: str
    port: int
    mode: str
    tls: str
    lines: tuple[str, ...]


def frontend(balancer: LoadBalancer, listener: Listener, files: dict[str, str]) -> Frontend:
    """The listener; certificates and bodies that its lines name are added to `files`."""
    http = listener.protocol in {"HTTP", "HTTPS"}
    if not http and listener.protocol not in {"TCP", "TLS"}:
        raise unrepresentable(f"listeners of protocol {listener.protocol} are not supported by the lab")
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
        raise unrepresentable(f"the listener on port {listener.port} has no certificate that is issued")
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
    matches = [line for name, rule in named for line in match(name, rule)]
    acts = [line for name, rule in named for line in act(name, rule, files)]
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
        f"http-after-response set-header {known[1].replace('_', '-')} {quoted(value.replace('%', '%%'))}"
        for known, value in found
        if known and value
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
