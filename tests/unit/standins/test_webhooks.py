"""Admission: over real TLS, on a free port."""

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chaosctl.lab.standins.controller import web
from chaosctl.lab.standins.controller.cluster import Cluster
from chaosctl.lab.standins.incluster.kube import Api
from tests.unit.standins.ingress import SERVICE, ingress

Call = Callable[[str, dict[str, Any]], dict[str, Any]]


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = serialization.Encoding.PEM
    (tmp_path / "tls.crt").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    plain = serialization.NoEncryption()
    (tmp_path / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return tmp_path


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(Api("http://nobody", str, None), lambda: None)
    cluster.services.put(SERVICE)
    spec = {"targetType": "ip", "serviceRef": {"name": "app", "port": "http"}}
    cluster.bindings.put({"metadata": {"namespace": "chaotic-backend", "name": "tgb"}, "spec": spec})
    return cluster


@pytest.fixture
def call(certificates: Path, cluster: Cluster) -> Iterator[Call]:
    reviews: dict[str, web.Review] = {
        "/pod": lambda request: web.with_gates(cluster, request),
        "/ingress": lambda request: web.checked(lambda obj: obj["spec"].get("ingressClassName") == "alb", request),
    }
    hooks = web.Webhooks(reviews, certificates, 0)
    hooks.start()
    context = ssl.create_default_context(cafile=str(certificates / "tls.crt"))

    def call(path: str, request: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"request": {"uid": "u", "namespace": "chaotic-backend", **request}}).encode()
        url = f"https://localhost:{hooks.port}{path}"
        with urlopen(Request(url, body), context=context, timeout=5) as answer:
            response: dict[str, Any] = json.load(answer)["response"]
        assert response["uid"] == "u"
        return response

    yield call
    hooks.stop()


def test_a_pod_of_the_service_gets_its_gate(call: Call) -> None:
    pod = {"metadata": {"labels": {"app": "x"}}, "spec": {"readinessGates": [{"conditionType": "other"}]}}
    response = call("/pod", {"object": pod})
    (patch,) = json.loads(base64.b64decode(response["patch"]))
    assert [gate["conditionType"] for gate in patch["value"]] == ["other", "target-health.elbv2.k8s.aws/tgb"]


def test_another_pod_stays_as_it_is(call: Call) -> None:
    response = call("/pod", {"object": {"metadata": {"labels": {"app": "y"}}, "spec": {}}})
    assert response == {"uid": "u", "allowed": True}


def test_nonsense_is_refused_with_its_reason(call: Call) -> None:
    response = call("/ingress", {"object": ingress({"scheme": "sideways"})})
    assert response["allowed"] is False
    assert "sideways" in response["status"]["message"]


def test_an_ingress_may_come_before_its_service(call: Call) -> None:
    backend = {"service": {"name": "not-yet", "port": {"number": 80}}}
    assert call("/ingress", {"object": ingress(defaultBackend=backend)})["allowed"]


def test_what_is_ignored_is_a_warning(call: Call) -> None:
    assert "wafv2" in call("/ingress", {"object": ingress({"wafv2-acl-arn": "x"})})["warnings"][0]


def test_other_classes_are_not_our_business(call: Call) -> None:
    other = ingress({"scheme": "sideways"}, ingressClassName="nginx")
    assert call("/ingress", {"object": other})["allowed"]


def test_a_bug_is_seen(call: Call) -> None:
    response = call("/pod", {"object": {}})
    assert (response["allowed"], response["status"]["code"]) == (False, 500)
