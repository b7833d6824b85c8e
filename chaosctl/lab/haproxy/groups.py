"""A target group: how traffic is spread over its servers, and how they are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chaosctl.lab.desired import HealthCheck, TargetGroup
from chaosctl.lab.haproxy.words import quoted, short_id, unrepresentable

ALGORITHMS = {"least_outstanding_requests": "leastconn", "weighted_random": "random"}


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


def backend(group: TargetGroup) -> Group:
    """The target group, without its targets."""
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
        raise unrepresentable(f"the matcher {check.matcher!r} is not a list of HTTP statuses")
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
