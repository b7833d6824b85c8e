"""Kubernetes objects as text that may be shown: what is secret in them is replaced, and differences of it are said.

Secret is every value of a Secret, what has a name that tells it (a key of a ConfigMap, an annotation, an environment
variable, an argument), and the credentials in a URL. A name of something secret (`secretName`, `secretKeyRef`) is not.
"""

from __future__ import annotations

import copy
import difflib
import re
from typing import Any

from chaosctl.adapters import yaml_text
from chaosctl.adapters.kube import Object

SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|api_?-?key|private_?-?key|access_?-?key", re.IGNORECASE
)
# Fields of Kubernetes and of its controllers that only name something secret, or say how it is handled.
NO_SECRET = re.compile(
    r"^(secretName|secretRef|secretKeyRef|secrets|imagePullSecrets|tokenExpirationSeconds|tokenRequests|keepTLSSecret|"
    r"automountServiceAccountToken|serviceAccountToken|enableSecretsEncryption)$"
)
FLAG = re.compile(r"^(--?[\w.-]+)(=)(.+)$", re.DOTALL)
URL_CREDENTIALS = re.compile(r"(\w[\w+.-]*://[^\s:/@]*:)([^\s/@]+)(@)")
HIDDEN, HIDDEN_NEW = "(secret)", "(secret, another one)"
KEPT_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # repeats the whole object, secrets included


def diff(before: Object | None, after: Object | None) -> list[str]:
    """The lines of a unified diff, without a heading; empty when both are the same."""
    old, new = shown(before), shown(after, other=before)
    lines = difflib.unified_diff(_yaml(old), _yaml(new), n=2, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++"))]


def shown(obj: Object | None, *, other: Object | None = None) -> Object | None:
    """A copy without secrets. With `other`, a secret that is not the same in that one is marked."""
    if obj is None:
        return None
    result = copy.deepcopy(obj)
    (result.get("metadata", {}).get("annotations") or {}).pop(KEPT_APPLIED, None)
    if result.get("kind") == "Secret":
        for table in ("data", "stringData"):
            values, others = result.get(table) or {}, (other or {}).get(table) or {}
            values.update({key: _mark(value, others.get(key, value)) for key, value in values.items()})
        return result
    redacted: Object = _redacted(result, result if other is None else other)
    return redacted


def _mark(value: Any, other: Any) -> str:
    return HIDDEN if value == other else HIDDEN_NEW


def _redacted(node: Any, other: Any) -> Any:
    """`node` without what is secret in it; `other` stands in its place in the object that it is compared with."""
    if isinstance(node, list):
        beside = other if isinstance(other, list) else []
        return _arguments([(item, beside[i] if i < len(beside) else item) for i, item in enumerate(node)])
    if isinstance(node, dict):
        others = other if isinstance(other, dict) else node
        if isinstance(node.get("name"), str) and SECRET_NAME.search(node["name"]) and "value" in node:
            return {**node, "value": _mark(node["value"], others.get("value", node["value"]))}
        return {key: _of_key(str(key), value, others.get(key, value)) for key, value in node.items()}
    return _text(node, other) if isinstance(node, str) else node


def _of_key(key: str, value: Any, other: Any) -> Any:
    """What has a name that tells of a secret; a table under such a name is looked at entry by entry."""
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if plain and SECRET_NAME.search(key) and not NO_SECRET.match(key):
        return _mark(value, other)
    return _redacted(value, other)


def _arguments(pairs: list[tuple[Any, Any]]) -> list[Any]:
    """Items of a list, which may be the arguments of a program: --password=x, or --password and then x."""
    result, secret_follows = [], False
    for item, other in pairs:
        if secret_follows and isinstance(item, str) and not item.startswith("-"):
            result.append(_mark(item, other))
        else:
            result.append(_redacted(item, other))
        secret_follows = isinstance(item, str) and item.startswith("-") and "=" not in item and _tells(item)
    return result


def _tells(flag: str) -> bool:
    return bool(SECRET_NAME.search(flag))


def _text(text: str, other: Any) -> str:
    """A string: an argument with its value, or anything that may hold a URL with a password."""
    flag = FLAG.match(text)
    if flag and _tells(flag[1]):
        return f"{flag[1]}={_mark(text, other)}"
    # What is not the same differs anyway, unless only the password did: then it has to be said.
    hidden = URL_CREDENTIALS.sub(rf"\1{HIDDEN}\3", text)
    if (
        hidden != text
        and isinstance(other, str)
        and other != text
        and URL_CREDENTIALS.sub(rf"\1{HIDDEN}\3", other) == hidden
    ):
        return URL_CREDENTIALS.sub(rf"\1{HIDDEN_NEW}\3", text)
    return hidden


def _yaml(obj: Object | None) -> list[str]:
    return [] if obj is None else yaml_text.written(obj).splitlines()
