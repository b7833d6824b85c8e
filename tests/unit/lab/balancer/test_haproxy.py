from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import StageFailed
from chaosctl.lab.desired import HealthCheck, Listener, LoadBalancer, Rule, TargetGroup, TlsPolicy
from chaosctl.lab.haproxy import configuration as haproxy
from chaosctl.lab.haproxy import rules
from chaosctl.lab.haproxy.configuration import Plan, Slot
from chaosctl.lab.haproxy.words import quoted

PREFIX = "arn:aws:elasticloadbalancing:us-west-2:123456789012:"
A, B = PREFIX + "targetgroup/a/aaaaaaaaaaaaaaaa", PREFIX + "targetgroup/b/bbbbbbbbbbbbbbbb"
CHECK = HealthCheck("HTTP", "traffic-port", "/health/ready", 10, 5, 3, 2, "200-299")
GROUP = TargetGroup(A, "a", "vpc-1", "HTTP", 80, CHECK, 30, {}, ())


def rule(*actions: Mapping[str, Any], conditions: tuple[Mapping[str, Any], ...] = ()) -> Rule:
    return Rule("rule", 1 if conditions else None, conditions, actions)


TO_A = rule({"Type": "forward", "TargetGroupArn": A})


def plan(*rules: Rule, inbound: str = "0.0.0.0/0", groups: tuple[TargetGroup, ...] = (GROUP,), **listener: Any) -> Plan:
    found = Listener(**{"arn": "l", "port": 80, "protocol": "HTTP", "rules": rules or (TO_A,), **listener})
    admitted = ((inbound, found.port),)
    balancer = LoadBalancer("lb/1", "web", "web.example", "vpc-1", "internet-facing", {}, (found,), admitted)
    return haproxy.plan(balancer, {group.arn: group for group in groups}, "127.128.0.201", "netns")


def lines(found: Plan) -> str:
    return "\n".join(found.frontends[0].lines)


def configuration(found: Plan, slots: Mapping[str, list[Slot]]) -> str:
    places = {"directory": Path("/lb"), "run_socket": Path("/run/lb.sock"), "access_log": Path("/run/access.sock")}
    return haproxy.render(found, slots, identity="digest", file_limit=20000, **places)


@pytest.mark.parametrize(
    ("pattern", "matches", "differs"),
    [
        ("/img/*", ["/img/", "/img/a/b"], ["/img", "/x/img/a"]),
        ("/a?c", ["/abc"], ["/ac", "/abbc"]),
        ("/a.b", ["/a.b"], ["/axb"]),
        ("*.example.com", ["www.example.com"], ["example.com", "wwwxexample.com"]),
    ],
)
def test_wildcards(pattern: str, matches: list[str], differs: list[str]) -> None:
    regex = re.compile(f"^{rules.wildcard(pattern)}$")
    assert all(regex.search(text) for text in matches)
    assert not any(regex.search(text) for text in differs)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"Field": "host-header", "HostHeaderConfig": {"Values": ["A.b"]}}, ["var(txn.host) -m reg -i -- '^A\\.b$'"]),
        ({"Field": "path-pattern", "Values": ["/x"]}, ["path -m reg -- '^/x$'"]),
        ({"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/[ab]"]}}, ["path -m reg -- '^/[ab]'"]),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, ["src 10.0.0.0/8"]),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}}, ["method -m str -- 'GET'"]),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1*"]}},
            ["req.fhdr(X-A) -m reg -i -- '^1.*$'"],
        ),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "v*"}, {"Value": "w"}]}},
            ["query -m reg -i -- '(^|&)k=v[^&]*(&|$)'", "query -m reg -i -- '(^|&)[^=&]*=w(&|$)'"],
        ),
    ],
)
def test_conditions(condition: Mapping[str, Any], expected: list[str]) -> None:
    assert rules.tests(condition) == expected


@pytest.mark.parametrize("name", ["X) -m found", "a b", ""])
def test_header_names_cannot_break_out(name: str) -> None:
    with pytest.raises(StageFailed, match="LB-UNREPRESENTABLE"):
        rules.tests({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": ["1"]}})


def test_values_cannot_break_out_of_their_quotes() -> None:
    assert quoted("it's") == "'it'\\''s'"
    with pytest.raises(StageFailed, match="LB-UNREPRESENTABLE"):
        quoted("a\nbackend evil")


def test_rules_are_tried_in_order_and_only_the_first_one_counts() -> None:
    first = rule({"Type": "forward", "TargetGroupArn": B}, conditions=({"Field": "path-pattern", "Values": ["/b"]},))
    text = lines(plan(first, TO_A, groups=(GROUP, replace(GROUP, arn=B))))
    assert text.index("str(r0) if !decided r0c0") < text.index("str(r1) if !decided")


def test_weighted_forward() -> None:
    groups = [{"TargetGroupArn": A, "Weight": 80}, {"TargetGroupArn": B, "Weight": 20}]
    text = lines(plan(rule({"Type": "forward", "ForwardConfig": {"TargetGroups": groups}})))
    assert "rand(100)" in text
    assert "str(tg-aaaaaaaaaaaaaaaa)" in text
    assert "!{ var(txn.group) -m found } { var(txn.roll) -m int lt 80 }" in text
    assert "lt 100" in text
    assert "AWSALBTG)" not in text


def test_sticky_forward_looks_at_the_cookie_first() -> None:
    config = {
        "TargetGroups": [{"TargetGroupArn": A, "Weight": 1}, {"TargetGroupArn": B, "Weight": 1}],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
    }
    text = lines(plan(rule({"Type": "forward", "ForwardConfig": config})))
    assert text.index("req.cook(AWSALBTG) -m str aaaaaaaaaaaaaaaa") < text.index("rand(2)")


def test_redirect_to_https_keeps_host_path_and_query() -> None:
    config = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    text = lines(plan(rule({"Type": "redirect", "RedirectConfig": config})))
    assert "redirect location 'https://%[var(txn.host)]:443/%[path,regsub(^/,)]%[var(txn.query)]' code 301" in text


def test_fixed_response_keeps_its_body_in_a_file() -> None:
    fixed = {"StatusCode": "404", "ContentType": "text/html", "MessageBody": "two\nlines"}
    found = plan(rule({"Type": "fixed-response", "FixedResponseConfig": fixed}))
    assert list(found.files.values()) == ["two\nlines"]
    assert f"return status 404 content-type 'text/html' file {next(iter(found.files))} " in lines(found)


def test_authentication_lets_nobody_in() -> None:
    oidc = {"Type": "authenticate-oidc", "Order": 1}
    assert "return status 501" in lines(plan(rule(oidc, {"Type": "forward", "TargetGroupArn": A, "Order": 2})))


def test_security_groups_drop_and_do_not_refuse() -> None:
    assert "silent-drop" not in lines(plan())
    text = lines(plan(inbound="10.0.0.0/8"))
    assert "acl let_in src 10.0.0.0/8\ntcp-request connection silent-drop unless let_in" in text


def test_tls_takes_its_certificates_in_order_and_speaks_http2() -> None:
    found = plan(port=443, protocol="HTTPS", certificates=("first", "second"))
    assert found.frontends[0].tls == " ssl crt port-443-0.pem crt port-443-1.pem alpn h2,http/1.1"
    assert found.files == {"port-443-0.pem": "first", "port-443-1.pem": "second"}
    assert "ssl crt /lb/port-443-0.pem crt /lb/port-443-1.pem" in configuration(found, {A: []})


@pytest.mark.parametrize(
    ("protocols", "ciphers", "expected"),
    [
        (("TLSv1.3",), ("TLS_A", "TLS_B"), "ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.3 ciphersuites TLS_A:TLS_B"),
        (
            ("TLSv1.3", "TLSv1.2"),
            ("TLS_A", "ECDHE-X", "ECDHE-Y"),
            "ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.3 ciphers ECDHE-X:ECDHE-Y ciphersuites TLS_A",
        ),
        (("TLSv1.2", "TLSv1.1", "TLSv1"), ("AES",), "ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2 ciphers AES:@SECLEVEL=0"),
    ],
)
def test_a_security_policy_decides_what_is_negotiated(
    protocols: tuple[str, ...], ciphers: tuple[str, ...], expected: str
) -> None:
    found = plan(port=443, protocol="HTTPS", certificates=("pem",), tls=TlsPolicy(protocols, ciphers))
    assert found.frontends[0].tls == f" ssl crt port-443-0.pem {expected} alpn h2,http/1.1"


def test_listener_attributes_become_headers_of_every_answer() -> None:
    prefix = "routing.http.response."
    given = {
        f"{prefix}strict_transport_security.header_value": "max-age=60; 100%",
        f"{prefix}x_frame_options.header_value": "",
        f"{prefix}server.enabled": "false",
    }
    text = lines(plan(attributes=given))
    assert "http-after-response set-header strict-transport-security 'max-age=60; 100%%'" in text
    assert "x-frame-options" not in text
    assert text.index("set-header Server") < text.index("del-header Server")


def test_tls_without_a_certificate_is_told() -> None:
    with pytest.raises(StageFailed, match="no certificate"):
        plan(port=443, protocol="HTTPS")


def test_the_health_check_is_as_configured() -> None:
    text = configuration(plan(), {A: [Slot("10.0.1.5:8080", on=True), Slot(haproxy.NOWHERE, on=False)]})
    assert "http-check expect status 200-299" in text
    assert "uri '/health/ready'" in text
    assert "server s1 10.0.1.5:8080 namespace netns check inter 10s rise 3 fall 2\n" in text
    assert "server s2 0.0.0.0:1 namespace netns check inter 10s rise 3 fall 2 disabled\n" in text
    assert "timeout check 5s" in text


def test_nothing_is_retried() -> None:
    assert "retries 0" in configuration(plan(), {A: []})


def test_targets_do_not_change_what_takes_a_reload() -> None:
    found = plan()
    before, after = {A: [Slot(haproxy.NOWHERE, on=False)]}, {A: [Slot("10.0.1.5:80", on=True)]}
    assert haproxy.digest(found, before) == haproxy.digest(found, after)
    assert haproxy.digest(found, before) != haproxy.digest(found, {A: before[A] * 2})
    assert haproxy.digest(found, before) != haproxy.digest(plan(inbound="10.0.0.0/8"), before)


@pytest.mark.parametrize(("targets", "slots"), [(0, 8), (4, 8), (5, 16), (15, 32)])
def test_there_is_room_for_twice_the_targets(targets: int, slots: int) -> None:
    assert haproxy.slots_for(targets) == slots
