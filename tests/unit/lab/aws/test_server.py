from __future__ import annotations

import pytest

from chaosctl.lab.aws.server import is_own_host, reads_only


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.128.0.1:4566",
        "169.254.170.24",
        "[::1]:4566",
        "localhost:4566",
        "sts.us-west-2.amazonaws.com",
        "bucket.name.s3.amazonaws.com:443",
    ],
)
def test_hosts_of_this_machine_and_of_aws(host: str) -> None:
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "10.0.0.1", "amazonaws.com.evil.example", "xamazonaws.com", "a@127.0.0.1.nip.io", "[::1", "/"],
)
def test_other_hosts(host: str) -> None:
    assert not is_own_host(host)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("DescribeVpcs", True),
        ("Query", True),
        ("GetObject", True),
        ("Listen", False),
        ("Getaway", False),
        ("Put", False),
    ],
)
def test_which_operations_only_read(operation: str, expected: bool) -> None:
    assert reads_only({"HTTP_X_AMZ_TARGET": f"X.{operation}", "REQUEST_METHOD": "POST"}, b"") is expected
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "REQUEST_METHOD": "POST"}
    assert reads_only(form, f"Action={operation}".encode()) is expected
