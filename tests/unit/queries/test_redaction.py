from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.queries.redaction import diff, shown


def secret(**data: str) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "s"}, "data": data}


def pod(**env: str) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [{"env": [{"name": k, "value": v} for k, v in env.items()]}]}}


def test_a_changed_secret_is_told_but_not_shown() -> None:
    lines = diff(secret(a="b2xk", b="c2FtZQ=="), secret(a="bmV3", b="c2FtZQ=="))
    assert [line for line in lines if line[0] in "+-"] == ["-  a: (secret)", "+  a: (secret, another one)"]
    assert not any(value in "".join(lines) for value in ("b2xk", "bmV3", "c2FtZQ"))


def test_new_and_deleted_secrets_are_not_shown() -> None:
    assert "b2xk" not in "".join(diff(None, secret(a="b2xk")) + diff(secret(a="b2xk"), None))


def test_variables_that_are_secret_by_name() -> None:
    lines = diff(pod(DB_PASSWORD="old", PORT="1"), pod(DB_PASSWORD="new", PORT="2"))
    text = "".join(lines)
    assert "old" not in text and "new" not in text
    assert "another one" in text
    assert "value: '2'" in text


def test_what_kubectl_keeps_repeats_everything_and_is_left_out() -> None:
    obj = {"kind": "Secret", "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "b2xk"}}}
    assert "b2xk" not in str(shown(obj))


def test_the_same_has_no_diff() -> None:
    assert diff(pod(PORT="1"), pod(PORT="1")) == []


SECRET_KEYS = [
    "password",
    "DB_PASSWORD",
    "example.com/api-token",
    "clientSecret",
    "apiKey",
    "private_key",
    "passphrase",
]
VALUES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=20).map("s3cr".__add__)


def placed(key: str, value: str) -> list[dict[str, Any]]:
    """The same secret, wherever it may be."""
    flag = f"--{key.replace('/', '.').lower()}"
    return [
        {"kind": "ConfigMap", "data": {key: value}},
        {"kind": "Ingress", "metadata": {"annotations": {key: value}}},
        {"kind": "Any", "spec": {"deep": [{"down": {key: value}}]}},
        pod(**{key: value}),
        {"kind": "Pod", "spec": {"containers": [{"args": [f"{flag}={value}"]}]}},
        {"kind": "Pod", "spec": {"containers": [{"command": ["run", flag, value, "--verbose"]}]}},
        {"kind": "ConfigMap", "data": {"dsn": f"connect to postgres://user:{value}@db.example.com/shop today"}},
        {"kind": "Pod", "spec": {"containers": [{"args": [f"--url=https://:{value}@example.com"]}]}},
    ]


@settings(deadline=None)
@given(st.sampled_from(SECRET_KEYS), VALUES, VALUES)
def test_what_is_secret_by_its_name_or_its_place_is_never_shown(key: str, old: str, new: str) -> None:
    for before, after in zip(placed(key, old), placed(key, new), strict=True):
        text = "\n".join([*diff(before, after), *diff(None, after), *diff(before, None)])
        assert old not in text and new not in text
        assert ("another one" in text) == (old != new), "a change of a secret has to be told"
        assert diff(before, before) == []


@pytest.mark.parametrize(
    "obj",
    [
        {"spec": {"volumes": [{"secret": {"secretName": "web-tls"}}], "automountServiceAccountToken": False}},
        {"env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]},
        {"imagePullSecrets": [{"name": "registry"}], "args": ["--verbose", "--port=80", "https://example.com/a@b"]},
        {"rules": [{"resources": ["secrets"], "verbs": ["get"]}], "tokenRequests": [{"audience": "sts"}]},
        {"metadata": {"annotations": {"alb.ingress.kubernetes.io/scheme": "internal"}}},
    ],
)
def test_what_only_names_a_secret_is_shown(obj: dict[str, Any]) -> None:
    assert shown(obj) == obj
