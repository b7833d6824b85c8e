from __future__ import annotations

from typing import Any

from chaosctl.stages.redaction import diff, shown


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
