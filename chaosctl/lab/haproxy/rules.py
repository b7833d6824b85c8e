"""The rules of a listener: which requests each is for, and what becomes of those."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chaosctl.lab.desired import Rule
from chaosctl.lab.haproxy.words import quoted, short_id, unrepresentable

PLACEHOLDERS = {"protocol": "%[var(txn.protocol)]", "host": "%[var(txn.host)]", "port": "%[dst_port]"}


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
    raise unrepresentable(f"conditions on {field} are unknown")


def _regexes(test: str, patterns: Sequence[str], regexes: Sequence[str]) -> list[str]:
    return [f"{test} -- {quoted(regex)}" for regex in [*(f"^{wildcard(p)}$" for p in patterns), *regexes]]


def _header(name: str) -> str:
    if not re.fullmatch(r"[!#$%&*+.^_`|~0-9A-Za-z-]+", name):
        raise unrepresentable(f"{name!r} is not the name of a header")
    return name


def _query(pair: Mapping[str, str]) -> str:
    key = wildcard(pair["Key"], any_character="[^=&]") if pair.get("Key") else "[^=&]*"
    return "query -m reg -i -- " + quoted(f"(^|&){key}={wildcard(pair['Value'], any_character='[^&]')}(&|$)")


def match(name: str, rule: Rule) -> list[str]:
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


def act(name: str, rule: Rule, files: dict[str, str]) -> list[str]:
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
