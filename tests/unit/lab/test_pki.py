import base64
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from chaosctl.lab import pki
from chaosctl.lab.pki import Identity, KeyPair, Pki
from tests.unit.lab.examples import CLUSTER, INSTANCE

LOOPBACK = "127.128.0.2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Pki(tmp_path_factory.mktemp("pki") / "pki")
    authority.ensure((*pki.identities(CLUSTER, LOOPBACK), *pki.node_identities(INSTANCE)))
    return authority


def certificate(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def test_api_server_may_serve_everywhere_it_is_reached(made: Pki) -> None:
    names = pki.subject_names(certificate(made.pair("apiserver")))

    assert {LOOPBACK, "10.0.10.3", "172.20.0.1", "kubernetes.default.svc", "127.0.0.1"} <= set(names)


def test_webhooks_are_served_at_the_address_of_aws(made: Pki) -> None:
    assert pki.subject_names(certificate(made.pair("aws"))) == ("169.254.170.24",)


def test_kubelet_is_a_node_of_its_name(made: Pki) -> None:
    subject = certificate(made.pair(f"kubelet-{INSTANCE.id}")).subject.rfc4514_string()

    assert subject == "CN=system:node:ip-10-0-10-20.us-west-2.compute.internal,O=system:nodes"


def test_server_certificate_is_accepted_by_a_strict_client(made: Pki) -> None:
    store = Store([certificate(made.ca)])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("kubernetes.default.svc"))

    assert verifier.verify(certificate(made.pair("apiserver")), [])


def test_only_the_owner_can_read_anything(made: Pki) -> None:
    modes = {file.stat().st_mode & 0o777 for file in made.directory.iterdir()}

    assert modes == {0o600}
    assert made.directory.stat().st_mode & 0o777 == 0o700


def test_ensure_again_changes_nothing(made: Pki) -> None:
    before = {file: file.stat().st_mtime_ns for file in made.directory.iterdir()}
    made.ensure(pki.identities(CLUSTER, LOOPBACK))

    assert {file: file.stat().st_mtime_ns for file in made.directory.iterdir()} == before


def test_a_new_name_makes_a_new_certificate(tmp_path: Path) -> None:
    authority = Pki(tmp_path)
    authority.ensure([Identity("web", "web", names=("a.example",))])
    authority.ensure([Identity("web", "web", names=("a.example", "10.0.0.1"))])

    assert set(pki.subject_names(certificate(authority.pair("web")))) == {"a.example", "10.0.0.1"}


def test_kubeconfig_carries_what_it_needs(made: Pki) -> None:
    config = json.loads(made.kubeconfig("https://127.128.0.2:443", "admin"))
    user = config["users"][0]["user"]

    assert config["clusters"][0]["cluster"]["server"] == "https://127.128.0.2:443"
    assert base64.b64decode(user["client-key-data"]) == made.pair("admin").key.read_bytes()


def test_addresses_of_the_well_known_services() -> None:
    assert pki.service_address("172.20.0.0/16") == "172.20.0.1"
    assert pki.dns_address("172.20.0.0/16") == "172.20.0.10"
