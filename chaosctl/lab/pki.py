"""Authorities with their keys and certificates, and kubeconfigs made from them. Files are 0600, directories 0700."""

from __future__ import annotations

import base64
import datetime
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chaosctl.lab.desired import Cluster, Instance
from chaosctl.lab.layout import AWS_IN_VPC, Layout

LIFETIME = datetime.timedelta(days=3650)  # a lab is thrown away long before
CLOCK_SKEW = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class Identity:
    """Whom a certificate names. `names` are DNS names and addresses it may serve as."""

    file: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: Path
    key: Path


def service_address(service_cidr: str) -> str:
    """Address of the service `kubernetes`: the first one of the range."""
    return str(IPv4Network(service_cidr)[1])


def dns_address(service_cidr: str) -> str:
    """Address of the service `kube-dns`: the tenth one, as in EKS."""
    return str(IPv4Network(service_cidr)[10])


def identities(cluster: Cluster, loopback: str) -> tuple[Identity, ...]:
    """Every identity of a control plane. `loopback` is where this machine reaches its API server."""
    served = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        cluster.address,
        loopback,
        service_address(cluster.service_cidr),
    )
    return (
        Identity("apiserver", "kube-apiserver", names=served),
        Identity("admin", "chaosctl-lab", "system:masters"),
        Identity("kubelet-client", "kube-apiserver-kubelet-client"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy", "system:node-proxier"),
        Identity("front-proxy", "front-proxy-client"),
        Identity("aws", "chaosctl-lab-aws", names=(AWS_IN_VPC,)),
    )


def node_identities(instance: Instance) -> tuple[Identity, ...]:
    """The client and the server identity of a kubelet."""
    name = instance.private_dns_name
    return (
        Identity(f"kubelet-{instance.id}", f"system:node:{name}", "system:nodes"),
        Identity(f"kubelet-{instance.id}-server", name, names=(name, instance.private_ip)),
    )


class Pki:
    """The certificate authority of one cluster. Not to be used from two threads at once for the same files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of(cls, layout: Layout, cluster: str) -> Pki:
        """That of the cluster named `cluster`."""
        return cls(layout.cluster(cluster) / "pki")

    @property
    def ca(self) -> KeyPair:
        """The authority itself."""
        return self.pair("ca")

    def pair(self, name: str) -> KeyPair:
        """Where certificate and key of the identity with that file name are."""
        return KeyPair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    @property
    def service_account_key(self) -> Path:
        """Private key (RSA) that signs service account tokens; `sa.pub` beside it is the public one."""
        return self.directory / "sa.key"

    @property
    def service_account_public(self) -> Path:
        """Public key of service account tokens."""
        return self.directory / "sa.pub"

    def ensure(self, identities: Iterable[Identity]) -> None:
        """Make the authority, the service account key and the certificates that are missing or name something else."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.ca.certificate.exists():
            Authority.make(self.ca, "kubernetes")
        if not self.service_account_public.exists():
            self._make_service_account_key()
        missing = [identity for identity in identities if not self._fits(identity)]
        if missing:
            authority = Authority.load(self.ca)
            for identity in missing:
                self._write(identity.file, *authority.issue(identity))

    def forget(self, identities: Iterable[Identity]) -> None:
        """Delete keys and certificates."""
        for identity in identities:
            pair = self.pair(identity.file)
            pair.certificate.unlink(missing_ok=True)
            pair.key.unlink(missing_ok=True)

    def kubeconfig(self, server: str, identity: str) -> str:
        """A kubeconfig (JSON, which is YAML) for `server`, a URL, as the identity with that file name."""
        pair = self.pair(identity)
        cluster = {"server": server, "certificate-authority-data": _encoded(self.ca.certificate)}
        user = {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}
        return kubeconfig(cluster, user)

    def _fits(self, identity: Identity) -> bool:
        pair = self.pair(identity.file)
        if not (pair.certificate.exists() and pair.key.exists()):
            return False
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        return set(identity.names) <= set(subject_names(certificate))

    def _make_service_account_key(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_private(self.service_account_key, key_pem(key))
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_private(self.service_account_public, public)

    def _write(self, file: str, certificate: x509.Certificate, key: PrivateKeyTypes) -> None:
        pair = self.pair(file)
        write_private(pair.key, key_pem(key))
        write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))


@dataclass(frozen=True)
class Authority:
    """A certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, pair: KeyPair) -> Authority:
        """The one whose files these are."""
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate(pair.certificate.read_bytes()), key)

    @classmethod
    def make(cls, pair: KeyPair, common_name: str) -> Authority:
        """A new one, in these files, whose directory must be there."""
        made = cls.new(common_name)
        write_private(pair.key, key_pem(made.key))
        write_private(pair.certificate, made.pem)
        return made

    @classmethod
    def new(cls, common_name: str) -> Authority:
        """A new one that no file holds."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        builder = _builder(name, name, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        """Its certificate, which clients have to trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, identity: Identity) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate and its new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self.certify(identity, key.public_key()), key

    def certify(
        self,
        identity: Identity,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        lifetime: datetime.timedelta = LIFETIME,
    ) -> x509.Certificate:
        """A certificate for somebody's public key."""
        subject = _name(identity.common_name, identity.organization)
        builder = _builder(subject, self.certificate.subject, key, self.key.public_key(), lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if identity.names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if identity.names:
            names = x509.SubjectAlternativeName([_general_name(name) for name in identity.names])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def authority(layout: Layout) -> Authority:
    """The lab's own, which issues what its ACM issues; made when it is not there yet."""
    pair = authority_files(layout)
    if pair.certificate.exists():
        return Authority.load(pair)
    pair.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Authority.make(pair, f"chaosctl lab {layout.tag}")


def authority_files(layout: Layout) -> KeyPair:
    """Where its certificate and its key are."""
    return KeyPair(layout.authority / "ca.crt", layout.authority / "ca.key")


def kubeconfig(cluster: dict[str, str], user: dict[str, str]) -> str:
    """A kubeconfig with one cluster, one user and one context, current, all named `lab`."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "lab", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "current-context": "lab",
        },
        indent=1,
    )


def write_private(file: Path, content: bytes | str) -> None:
    """Write a file that only its owner ever can read, whole or not at all; does nothing when it says so already."""
    data = content.encode() if isinstance(content, str) else content
    if file.exists() and file.read_bytes() == data:
        return
    partial = file.with_name(f".{file.name}.part")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
    partial.rename(file)


def subject_names(certificate: x509.Certificate) -> Sequence[str]:
    """DNS names and addresses of a certificate, as text."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer_key: ec.EllipticCurvePublicKey | None = None,
    lifetime: datetime.timedelta = LIFETIME,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key or key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority, critical=False)
    )


def _name(common_name: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        address = ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    assert isinstance(address, IPv4Address)
    return x509.IPAddress(address)


def key_pem(key: PrivateKeyTypes) -> bytes:
    """A private key as PEM, not encrypted: keep it in files of its owner alone."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
