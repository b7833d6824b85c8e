"""From an Ingress to what AWS should hold."""

import pytest

from chaosctl.lab.standins.controller import model
from tests.unit.standins.ingress import CERTIFICATE, PREFIX, built, ingress


def test_names_are_those_of_the_real_controller() -> None:
    stack = built()
    assert stack.name.startswith("k8s-chaoticb-chaoticb-")
    assert len(stack.name) == 32
    assert stack.target_groups[0].name.startswith("k8s-chaoticb-app-")


def test_names_differ_between_clusters() -> None:
    other = model.build(ingress(), model.any_port, "cluster-2", {})
    assert other.name != built().name
    assert other.target_groups[0].name != built().target_groups[0].name


def test_defaults() -> None:
    stack = built()
    assert (stack.scheme, stack.inbound_cidrs, stack.id) == (
        "internal",
        ("0.0.0.0/0",),
        "chaotic-backend/chaotic-backend",
    )
    assert [(listener.protocol, listener.port) for listener in stack.listeners] == [("HTTP", 80)]
    assert stack.target_groups[0].check["HealthCheckIntervalSeconds"] == 15


def test_tags_name_cluster_stack_and_owner() -> None:
    tags = built({"tags": "team=a, owner=other"}).tags
    assert tags == {
        "team": "a",
        "owner": "me",
        "elbv2.k8s.aws/cluster": "cluster-1",
        "ingress.k8s.aws/stack": "chaotic-backend/chaotic-backend",
    }


def test_everything_goes_to_the_service_and_the_rest_is_not_found() -> None:
    stack = built()
    (listener,), (group,) = stack.listeners, stack.target_groups
    assert listener.default == model.NotFound()
    assert listener.rules == (
        model.Rule(1, [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}], model.Forward(group.name)),
    )


def test_https_redirects_http() -> None:
    stack = built(
        {"certificate-arn": CERTIFICATE, "listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]', "ssl-redirect": "443"}
    )
    http, https = stack.listeners
    assert (http.default, http.rules) == (model.RedirectToHttps(443), ())
    assert (https.certificates, len(https.rules)) == ((CERTIFICATE,), 1)


def test_listener_attributes_go_to_the_listener_that_they_name() -> None:
    key = "routing.http.response.strict_transport_security.header_value"
    given = {"certificate-arn": CERTIFICATE, "listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]'}
    http, https = built({**given, "listener-attributes.HTTPS-443": f"{key}=max-age=60; preload"}).listeners
    assert (http.attributes, https.attributes) == ({}, {key: "max-age=60; preload"})


def test_a_service_used_twice_is_one_target_group() -> None:
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in ("/a", "/b")]
    stack = built(rules=[{"http": {"paths": paths}}])
    assert len(stack.target_groups) == 1
    assert [rule.priority for rule in stack.listeners[0].rules] == [1, 2]


def test_exact_before_prefix_and_long_before_short() -> None:
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    kinds = [("/", "Prefix"), ("/a", "Prefix"), ("/long/one", "Prefix"), ("/a", "Exact")]
    paths = [{"path": path, "pathType": kind, "backend": backend} for path, kind in kinds]
    rules = built(rules=[{"host": "x.example", "http": {"paths": paths}}]).listeners[0].rules
    assert [rule.conditions[1]["PathPatternConfig"]["Values"] for rule in rules] == [
        ["/a"],
        ["/long/one", "/long/one/*"],
        ["/a", "/a/*"],
        ["/*"],
    ]
    assert rules[0].conditions[0]["HostHeaderConfig"]["Values"] == ["x.example"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scheme", "sideways"),
        ("target-type", "lambda"),
        ("target-type", "instance"),
        ("healthcheck-path", "health"),
        ("healthcheck-interval-seconds", "1"),
        ("healthcheck-interval-seconds", "ten"),
        ("healthcheck-timeout-seconds", "15"),
        ("healthy-threshold-count", "1"),
        ("success-codes", "fine"),
        ("listen-ports", "80"),
        ("listen-ports", "[]"),
        ("listen-ports", '[{"HTTP": 0}]'),
        ("listen-ports", '[{"HTTP": 80}, {"HTTP": 80}]'),
        ("listen-ports", '[{"TCP": 80}]'),
        ("ssl-redirect", "443"),
        ("inbound-cidrs", "everybody"),
        ("target-group-attributes", "deregistration_delay"),
        ("tags", "=x"),
        ("load-balancer-name", "x" * 33),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(model.BadIngress, match=PREFIX + name):
        built({name: value})


def test_https_needs_a_certificate() -> None:
    with pytest.raises(model.BadIngress, match="certificate-arn"):
        built({"listen-ports": '[{"HTTPS": 443}]'})


@pytest.mark.parametrize(
    ("service", "port"), [("other", {"number": 80}), ("app", {"number": 81}), ("app", {"name": "x"})]
)
def test_a_service_that_is_not_there(service: str, port: dict[str, object]) -> None:
    with pytest.raises(model.BadIngress, match=f"the service {service}"):
        built(defaultBackend={"service": {"name": service, "port": port}})


def test_what_is_ignored_is_said() -> None:
    assert model.ignored(ingress({"wafv2-acl-arn": "x", "scheme": "internal"})) == [PREFIX + "wafv2-acl-arn"]
