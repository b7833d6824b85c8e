"""Listeners: their certificates, security policy and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.acm.models import acm_backends
from moto.elbv2.exceptions import DuplicateListenerError, ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeListener
from moto.elbv2.ssl_policies import SSL_POLICIES

from chaosctl.lab.aws.corrections.elbv2.replace import replace

# Those of the answer. Source: API_ListenerAttribute of the elbv2 API; the mTLS header names are left out.
LISTENER_DEFAULTS = {
    **{
        f"routing.http.response.{header}.header_value": ""
        for header in (
            "access_control_allow_credentials",
            "access_control_allow_headers",
            "access_control_allow_methods",
            "access_control_allow_origin",
            "access_control_expose_headers",
            "access_control_max_age",
            "content_security_policy",
            "strict_transport_security",
            "x_content_type_options",
            "x_frame_options",
        )
    },
    "routing.http.response.server.enabled": "true",
}


def apply() -> None:
    """DescribeListeners told SNI certificates as well, and ModifyListener dropped them."""
    create = ELBv2Backend.create_listener
    modify = ELBv2Backend.modify_listener

    def create_listener(self: Any, load_balancer_arn: str, protocol: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        balancer = self.load_balancers.get(load_balancer_arn)
        # Looked for the port among ARNs: a second listener on the same port was accepted.
        if balancer is not None and any(str(other.port) == str(port) for other in balancer.listeners.values()):
            raise DuplicateListenerError()
        _check_tls(self, protocol, kwargs.get("ssl_policy"), [kwargs["certificate"]] if kwargs["certificate"] else [])
        listener = create(self, load_balancer_arn, protocol, port, *args, **kwargs)
        if protocol in {"HTTP", "HTTPS"}:
            listener.attributes = dict(LISTENER_DEFAULTS)  # those of a network load balancer were told
        return listener

    def modify_listener(
        self: Any,
        arn: str,
        port: Any = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        certificates: Any = None,
        actions: Any = None,
    ) -> Any:
        _check_tls(self, protocol, ssl_policy, [c["CertificateArn"] for c in certificates or []], changed=arn)
        # Knew HTTP, HTTPS and TCP only.
        known = protocol if protocol in (None, "HTTP", "HTTPS", "TCP") else "TCP"
        listener = modify(self, arn, port, known, ssl_policy, certificates or [], actions or [])
        if protocol in {"TLS", "UDP", "TCP_UDP"}:
            listener.protocol = protocol
            listener.certificates = [c["CertificateArn"] for c in certificates or []] or listener.certificates
        return listener

    replace(ELBv2Backend, create_listener=create_listener, modify_listener=modify_listener)
    replace(
        ELBv2Backend,
        add_listener_certificates=_add_certificates,
        remove_listener_certificates=_remove_certificates,
        describe_listener_certificates=lambda self, arn: _all_certificates(listener_of(self, arn)),
    )
    replace(ELBv2Backend, modify_listener_attributes=_modify_listener_attributes)
    replace(FakeListener, sni_certificates=(), rules=property(_ordered_rules))


def _check_tls(
    backend: Any, protocol: str | None, policy: str | None, certificates: Sequence[str], changed: str = ""
) -> None:
    """AWS refuses a policy that it does not know, a certificate that is not issued, and HTTPS without any."""
    if policy and policy not in SSL_POLICIES:
        raise ELBClientError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")
    known = acm_backends[backend.account_id][backend.region_name]._certificates
    for arn in certificates:
        if ":acm:" not in arn:
            continue  # a server certificate of IAM
        if arn not in known:
            raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")
        known[arn].check()
        if known[arn].status != "ISSUED":
            raise ELBClientError(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                "and a supported key size.",
            )
    if protocol == "HTTPS" and not certificates and not (changed and listener_of(backend, changed).certificates):
        raise ELBClientError("CertificateNotFound", "A certificate must be specified for HTTPS listeners")


def _modify_listener_attributes(self: Any, listener_arn: str, attrs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Any key was taken."""
    listener = listener_of(self, listener_arn)
    for attribute in attrs:
        if attribute["Key"] not in listener.attributes:
            raise ELBClientError(
                "InvalidConfigurationRequest", f"Listener attribute key '{attribute['Key']}' is not recognized"
            )
    listener.attributes.update({attribute["Key"]: attribute.get("Value", "") for attribute in attrs})
    return dict(listener.attributes)


def _ordered_rules(self: Any) -> dict[str, Any]:
    """In the order of their priority, the default last: moto's order was that of their creation."""
    ordered = sorted(self._non_default_rules.items(), key=lambda item: int(item[1].priority))
    return dict([*ordered, *((rule.arn, rule) for rule in self._default_rule.values())])


def listener_of(backend: Any, arn: str) -> Any:
    """The listener; raises what AWS answers when there is none."""
    return backend.describe_listeners(None, [arn])[0]


def _all_certificates(listener: Any) -> list[str]:
    return [*listener.certificates, *listener.sni_certificates]


def _add_certificates(self: Any, arn: str, certificates: Sequence[Mapping[str, str]]) -> list[str]:
    listener = listener_of(self, arn)
    added = [c["CertificateArn"] for c in certificates if c["CertificateArn"] not in _all_certificates(listener)]
    listener.sni_certificates = (*listener.sni_certificates, *added)
    return [c["CertificateArn"] for c in certificates]


def _remove_certificates(self: Any, arn: str, certificates: Sequence[Mapping[str, str]]) -> None:
    listener = listener_of(self, arn)
    gone = {c["CertificateArn"] for c in certificates}
    listener.sni_certificates = tuple(c for c in listener.sni_certificates if c not in gone)
