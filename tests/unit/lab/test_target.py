from pathlib import Path

from chaosctl.lab.layout import Layout
from chaosctl.lab.target import undiverted

HOSTILE = {"AWS_PROFILE": "nonsense", "AWS_ENDPOINT_URL_S3": "http://elsewhere", "AWS_SESSION_TOKEN": "x", "HOME": "/h"}


def test_nothing_of_the_users_aws_settings_is_left(tmp_path: Path) -> None:
    env = undiverted(HOSTILE, Layout(tmp_path), "us-west-2")
    assert {env[name] for name in HOSTILE if name.startswith("AWS_")} == {""}
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert "HOME" not in env


def test_the_labs_addresses_are_exempt_from_proxies_beside_the_users_own(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    env = undiverted({"NO_PROXY": "intra.example"}, layout, "us-west-2")
    assert env["NO_PROXY"] == env["no_proxy"]
    assert env["NO_PROXY"].split(",")[0] == "intra.example"
    assert layout.loopback(0) in env["NO_PROXY"].split(",")
