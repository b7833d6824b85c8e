"""Alarm drills: every alarm of a deployment in the lab goes off, is over again, and reaches a subscriber."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.contract.aws.subscriber import Received, subscriber
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
CLUSTER = "chaotic-backend-cluster"
PATIENCE = 600  # seconds for an alarm
MEASURED = logging.getLogger(__name__)  # what docs/observability.md tells: `--log-cli-level=INFO` shows it


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, Received]]:
    with subscriber() as listening:
        yield listening


@pytest.fixture(scope="module")
def user(newcomer: User, told: tuple[str, Received]) -> User:
    (newcomer.home / "chaosctl.toml").write_text(f'[infra]\nalarm_endpoints = ["{told[0]}"]\n')
    return newcomer


def wait_for(user: User, alarm: str, state: str) -> None:
    """Wait until the alarm is in that state."""
    cloudwatch, begun = user.aws("cloudwatch"), time.monotonic()
    while True:
        [found] = cloudwatch.describe_alarms(AlarmNames=[f"{CLUSTER}/{alarm}"])["MetricAlarms"]
        if found["StateValue"] == state:
            seconds = time.monotonic() - begun
            MEASURED.info("%s: %s after %.0f s, since %s", alarm, state, seconds, found["StateUpdatedTimestamp"])
            return
        assert time.monotonic() - begun < PATIENCE, found["StateReason"]
        time.sleep(1)


def hear(told: tuple[str, Received], *changes: tuple[str, str]) -> None:
    """Wait until the subscriber was told of these: alarm and state."""
    seen: set[tuple[str, str]] = set()
    while not set(changes) <= seen:
        envelope = told[1].get(timeout=60)
        if envelope["Type"] == "Notification":
            message = json.loads(envelope["Message"])
            seen.add((message["AlarmName"].partition("/")[2], message["NewStateValue"]))


def test_the_scenario_sees_seven_alarms_go_off_and_be_over(user: User, told: tuple[str, Received]) -> None:
    result = user.json("chaos", "run", "alarms", timeout=4500)
    assert result["verdict"] == "PASS", result
    drilled = {alarm["name"]: alarm for step in result["steps"] for alarm in step["alarms"]}
    MEASURED.info("%s", drilled)
    of_app = {"5xx", "latency", "few-targets", "unhealthy-targets", "crash-loop", "unready-pods"}
    assert set(drilled) == {*of_app, "few-nodes"}
    assert all(alarm["went_off"] and alarm["was_over"] for alarm in drilled.values())
    hear(told, *((name, state) for name in drilled for state in ("ALARM", "OK")))


@contextmanager
def frozen_kubelet(user: User) -> Iterator[None]:
    """The kubelet of one node says nothing any more; its supervisor sees a process that runs."""
    [node, *_] = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"]
    unit = f"LAB_UNIT={node['spec']['providerID'].rpartition('/')[2]}.kubelet".encode()
    mark = f"LAB_OF_CHAOSCTL={user.state}/lab".encode()
    [pid] = [
        int(directory.name)
        for directory in Path("/proc").glob("[0-9]*")
        if {unit, mark} <= set(_words(directory / "environ"))
        and Path(os.fsdecode(_words(directory / "cmdline")[0])).name == "kubelet"
    ]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _words(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().split(b"\0")
    except OSError:  # a process that has ended meanwhile
        return [b""]


def test_a_node_whose_kubelet_is_silent(user: User, told: tuple[str, Received]) -> None:
    wait_for(user, "node-not-ready", "OK")
    with frozen_kubelet(user):
        wait_for(user, "node-not-ready", "ALARM")
    wait_for(user, "node-not-ready", "OK")
    hear(told, ("node-not-ready", "ALARM"), ("node-not-ready", "OK"))
    user.chaosctl("app")  # ends only when every pod is ready again


def pem(days: int) -> dict[str, bytes]:
    """A certificate that somebody made, and its key, as ImportCertificate takes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "drill.example.com")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("drill.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unencrypted = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"Certificate": made.public_bytes(Encoding.PEM), "PrivateKey": key.private_bytes(*unencrypted)}


def test_a_certificate_near_its_end(user: User, told: tuple[str, Received]) -> None:
    """Imported with 20 days left, served, and replaced under the same ARN, as the runbook has it."""
    acm, settings = user.aws("acm"), user.home / "chaosctl.toml"
    arn = acm.import_certificate(**pem(20))["CertificateArn"]
    settings.write_text(f'{settings.read_text()}[tls]\ncertificate_arn = "{arn}"\n')
    user.chaosctl("app")
    user.chaosctl("alarms")
    wait_for(user, "certificate", "ALARM")
    assert any("it ends on" in trouble for trouble in user.json("status")["troubles"])
    acm.import_certificate(CertificateArn=arn, **pem(200))
    wait_for(user, "certificate", "OK")
    hear(told, ("certificate", "ALARM"), ("certificate", "OK"))


def test_down_leaves_none_of_it(user: User) -> None:
    done = user.json("down", "--yes")
    assert done["left"] == []
