"""Who may do what, by IAM's identity-based policies: moto itself lets anybody do anything.

Of a statement this knows Effect, (Not)Action, (Not)Resource with wildcards, and conditions on what `operations` knows.
What it cannot tell (the resource of most requests, tags in conditions) counts as met: the statement allows, or denies,
by its action alone. For Secrets Manager, where the resource is known, such a statement denies but does not allow.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from wsgiref.types import WSGIEnvironment

from moto.iam.models import iam_backends

from chaosctl.lab.aws.operations import UNKNOWN, Asked, Need, asked, named
from chaosctl.lab.aws.refusals import Refusal, Why
from chaosctl.lab.aws.signatures import Identity
from chaosctl.lab.aws.signed_requests import Caller
from chaosctl.lab.aws.world import LOCK

Document = Mapping[str, Any]
FREE = {"sts:GetCallerIdentity", "sts:GetSessionToken"}  # AWS asks nobody for a right to these
PARTIAL = r"\$\{[^}]+\}"  # a variable in a resource


def check(environ: WSGIEnvironment, body: bytes, caller: Caller) -> None:
    """Raises Refusal when the policies of whoever signed do not allow what the request asks for."""
    with LOCK:
        documents = list(_policies(caller.identity))
    assuming = caller.service == "sts" and "AssumeRole" in named(environ, body)
    if unrestricted(documents) and not assuming:
        return
    wanted = asked(environ, body, caller)
    if assuming and not _trusted(caller.identity, wanted):
        raise Refusal(Why.NOT_PERMITTED, _denial(caller.identity, wanted.needs[0], wanted, ()))
    for need in wanted.needs:
        if need.action not in FREE and not permitted(documents, need, wanted):
            raise Refusal(Why.NOT_PERMITTED, _denial(caller.identity, need, wanted, documents))


def unrestricted(documents: Sequence[Document]) -> bool:
    """Whether these are an administrator's policies: the operation need not be known then."""
    statements = [statement for document in documents for statement in _listed(document["Statement"])]
    return all(one["Effect"] == "Allow" for one in statements) and any(map(_allows_everything, statements))


def _allows_everything(statement: Mapping[str, Any]) -> bool:
    plain = statement.keys() <= {"Sid", "Effect", "Action", "Resource"}
    return plain and all("*" in _listed(statement.get(part)) for part in ("Action", "Resource"))


def permitted(documents: Sequence[Document], need: Need, wanted: Asked) -> bool:
    """What policies together say: a denial wins over any permission."""
    return _effects(documents, need, wanted) == {"Allow"}


def _effects(documents: Sequence[Document], need: Need, wanted: Asked) -> set[str]:
    return {
        statement["Effect"]
        for document in documents
        for statement in _listed(document["Statement"])
        if _applies(statement, need, wanted)
    }


def _denial(identity: Identity, need: Need, wanted: Asked, documents: Sequence[Document]) -> str:
    on = f" on resource: {need.resource}" if need.resource else ""
    denied = "Deny" in _effects(documents, need, wanted)
    reason = (
        "with an explicit deny in an identity-based policy"
        if denied
        else f"because no identity-based policy allows the {need.action} action"
    )
    return f"User: {identity.arn} is not authorized to perform: {need.action}{on} {reason}"


# --- one statement


def _applies(statement: Mapping[str, Any], need: Need, wanted: Asked) -> bool:
    if need.action.endswith(f":{UNKNOWN}") and statement["Effect"] == "Deny":
        return True  # it may be what is denied
    if not _concerns_action(statement, need.action):
        return False
    met = {_concerns_resource(statement, need.resource), _holds(statement.get("Condition") or {}, wanted.known)}
    if False in met:
        return False
    return None not in met or statement["Effect"] == "Deny" or not wanted.exact


def _concerns_action(statement: Mapping[str, Any], action: str) -> bool:
    patterns = _listed(statement.get("NotAction", statement.get("Action", ())))
    found = any(_matches(pattern.lower(), action.lower()) for pattern in patterns)
    return found is not ("NotAction" in statement)


def _concerns_resource(statement: Mapping[str, Any], resource: str | None) -> bool | None:
    """None when it cannot be told."""
    negated = "NotResource" in statement
    patterns = _listed(statement.get("NotResource", statement.get("Resource", "*")))
    if "*" in patterns:
        return not negated
    if resource is None or any(re.search(PARTIAL, pattern) for pattern in patterns):
        return None
    return any(_matches(pattern, resource) for pattern in patterns) is not negated


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    regex = "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    return re.compile(regex, re.DOTALL)


# --- conditions


def _holds(conditions: Mapping[str, Mapping[str, Any]], known: Mapping[str, str]) -> bool | None:
    """Whether all conditions are met; None when that depends on what is not known here."""
    results = {
        _compared(operator, known.get(key.lower()), [str(value) for value in _listed(values)])
        for operator, pairs in conditions.items()
        for key, values in pairs.items()
    }
    return False if False in results else None if None in results else True


def _compared(operator: str, value: str | None, patterns: Sequence[str]) -> bool | None:
    operator = operator.removesuffix("IfExists")
    plain = operator.replace("Not", "", 1)
    compare = COMPARISONS.get(plain)
    if value is None or compare is None or any(re.search(PARTIAL, pattern) for pattern in patterns):
        return None
    return any(compare(value, pattern) for pattern in patterns) is (plain == operator)


COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, pattern: value == pattern,
    "StringEqualsIgnoreCase": lambda value, pattern: value.lower() == pattern.lower(),
    "StringLike": lambda value, pattern: _matches(pattern, value),
    "ArnEquals": lambda value, pattern: _matches(pattern, value),
    "ArnLike": lambda value, pattern: _matches(pattern, value),
    "Bool": lambda value, pattern: value.lower() == pattern.lower(),
    "Null": lambda value, pattern: pattern.lower() == "false",
}


# --- roles that are assumed


def _trusted(identity: Identity, wanted: Asked) -> bool:
    """Whether the role's own policy lets this principal of its account assume it."""
    with LOCK:
        roles = {str(role.arn): role for role in iam_backends[identity.account]["aws"].roles.values()}
    role = roles.get(wanted.needs[0].resource or "")
    policy = str(role.assume_role_policy_document) if role else "{}"
    names = {"*", identity.arn, identity.principal, identity.account, f"arn:aws:iam::{identity.account}:root"}
    effects = {
        statement["Effect"]
        for statement in _listed(_document(policy).get("Statement", ()))
        if names & _principals(statement)
        and _concerns_action(statement, "sts:AssumeRole")
        and _holds(statement.get("Condition") or {}, wanted.known) is not False
    }
    return effects == {"Allow"}


def _principals(statement: Mapping[str, Any]) -> set[str]:
    said = statement.get("Principal", ())
    return set(_listed(said.get("AWS", ()) if isinstance(said, Mapping) else said))


# --- whose policies


def _policies(identity: Identity) -> Iterator[Document]:
    """Those of a user and its groups, or of the role of a session; none when that is gone meanwhile."""
    backend = iam_backends[identity.account]["aws"]
    for owner in (*backend.users.values(), *backend.roles.values()):
        if owner.arn == identity.principal:
            groups = [group for group in backend.groups.values() if owner in group.users]
            for one in (owner, *groups):
                yield from map(_document, one.policies.values())
                yield from (_document(_default(policy)) for policy in one.managed_policies.values())


def _default(policy: Any) -> str:
    return next(str(version.document) for version in policy.versions if version.is_default)


@functools.lru_cache(maxsize=1024)
def _document(text: str) -> Document:
    document: Document = json.loads(text)
    return document


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
