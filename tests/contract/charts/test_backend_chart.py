"""helm/chaotic-backend: the properties that users depend on, for every target."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosctl.adapters import process
from chaosctl.lab.standins.backend import Backend, Moods
from chaosctl.lab.standins.controller import model
from tests.contract.charts.conftest import Objects, Render

CHART = "chaotic-backend"
TARGETS = [None, "lab", "aws"]
CERTIFICATE = 'ingress.certificateArn="arn:aws:acm:us-west-2:123456789012:certificate/1"'


@pytest.fixture(params=TARGETS)
def objects(render: Render, request: pytest.FixtureRequest) -> Objects:
    return render(CHART, target=request.param)


def pod_of(objects: Objects) -> dict[str, Any]:
    return dict(objects["Deployment"]["spec"]["template"]["spec"])


def annotations_of(objects: Objects) -> dict[str, str]:
    found: dict[str, str] = objects["Ingress"]["metadata"]["annotations"]
    return {name.removeprefix(model.PREFIX): value for name, value in found.items()}


@pytest.mark.parametrize("target", ["lab", "aws"])
def test_lint(helm: str, charts: Path, target: str) -> None:
    process.run([helm, "lint", "--strict", charts / CHART, "-f", charts / "values" / target / f"{CHART}.yaml"])


def test_the_hpa_owns_the_number_of_pods(objects: Objects, render: Render) -> None:
    assert "replicas" not in objects["Deployment"]["spec"]
    hpa = objects["HorizontalPodAutoscaler"]["spec"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (3, 15)
    fixed = render(CHART, "autoscaling.enabled=false")
    assert fixed["Deployment"]["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in fixed


def test_defaults_are_those_of_the_mission(render: Render) -> None:
    objects = render(CHART)
    resources = pod_of(objects)["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    targets = [metric["resource"]["target"] for metric in objects["HorizontalPodAutoscaler"]["spec"]["metrics"]]
    assert [target["averageUtilization"] for target in targets] == [70, 80]


def test_a_budget_that_crashed_pods_cannot_block(objects: Objects) -> None:
    spec = objects["PodDisruptionBudget"]["spec"]
    assert (spec["minAvailable"], spec["unhealthyPodEvictionPolicy"]) == (2, "AlwaysAllow")


def test_hardened(objects: Objects) -> None:
    for pod in (pod_of(objects), objects["Pod"]["spec"]):
        context, container = pod["securityContext"], pod["containers"][0]["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1000)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["readOnlyRootFilesystem"] is True
        assert container["allowPrivilegeEscalation"] is False
        assert container["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is False


def test_the_image_runs_its_own_command(objects: Objects) -> None:
    assert not {"command", "args"} & pod_of(objects)["containers"][0].keys()


def test_the_service_account_exists(objects: Objects) -> None:
    assert objects["ServiceAccount"]["metadata"]["name"] == pod_of(objects)["serviceAccountName"]


def test_probes_use_real_routes(objects: Objects) -> None:
    container = pod_of(objects)["containers"][0]
    backend = Backend(Moods(0, 1e9), "pod")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert backend.answer(container[probe]["httpGet"]["path"])[0] == 200


def test_a_pod_serves_until_the_load_balancer_has_let_go(objects: Objects) -> None:
    pod = pod_of(objects)
    sleeps = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    attributes = annotations_of(objects)["target-group-attributes"]
    delay = int(attributes.removeprefix("deregistration_delay.timeout_seconds="))
    assert sleeps >= delay
    assert pod["terminationGracePeriodSeconds"] >= sleeps + 15


def test_rollouts_never_have_fewer_pods(objects: Objects) -> None:
    assert objects["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_spread_over_zones_and_nodes(objects: Objects) -> None:
    spread = {item["topologyKey"]: item for item in pod_of(objects)["topologySpreadConstraints"]}
    assert spread.keys() == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(item["matchLabelKeys"] == ["pod-template-hash"] for item in spread.values())


def test_selectors_find_the_pods(objects: Objects) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert objects["Service"]["spec"]["selector"].items() <= labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert not objects["Service"]["spec"]["selector"].items() <= objects["Pod"]["metadata"]["labels"].items()


def test_the_controller_accepts_the_ingress(objects: Objects) -> None:
    stack = model.build(objects["Ingress"], _port_of(objects), "cluster", {})
    assert [(listener.protocol, listener.port) for listener in stack.listeners] == [("HTTP", 80)]
    assert stack.target_groups[0].check["HealthCheckPath"] == "/health/ready"
    assert model.ignored(objects["Ingress"]) == []


def test_a_certificate_turns_on_tls_and_redirects(render: Render) -> None:
    objects = render(CHART, CERTIFICATE)
    http, https = model.build(objects["Ingress"], _port_of(objects), "cluster", {}).listeners
    assert http.default == model.RedirectToHttps(443)
    assert https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    assert https.attributes == {"routing.http.response.strict_transport_security.header_value": "max-age=31536000"}
    assert model.ignored(objects["Ingress"]) == []


def test_secrets_are_named_and_never_there(render: Render) -> None:
    objects = render(
        CHART, 'secrets={"DATABASE_SECRET":"shop/database"}', 'networkPolicy={"enabled":true,"from":["10.0.0.0/20"]}'
    )
    environment = pod_of(objects)["containers"][0]["env"]
    assert {"name": "DATABASE_SECRET", "value": "shop/database"} in environment
    egress = objects["NetworkPolicy"]["spec"]["egress"]
    assert [rule["ports"][0]["port"] for rule in egress] == [53, 443, 80]


def test_inbound_cidrs_and_tags_reach_the_controller(render: Render) -> None:
    objects = render(CHART, 'ingress.inboundCidrs=["10.0.0.0/8","192.0.2.0/24"]', 'ingress.tags={"chaosctl:x":"y"}')
    stack = model.build(objects["Ingress"], _port_of(objects), "cluster", {})
    assert stack.inbound_cidrs == ("10.0.0.0/8", "192.0.2.0/24")
    assert stack.tags["chaosctl:x"] == "y"


def _port_of(objects: Objects) -> model.TargetPort:
    service = objects["Service"]
    return model.port_finder({service["metadata"]["name"]: service}.get)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("nonsense=1", "nonsense"),
        ("replicaCount=-1", "replicaCount"),
        ('image.pullPolicy="Sometimes"', "pullPolicy"),
        ('image.digest="sha256:short"', "digest"),
        ("service.port=70000", "port"),
        ('ingress.inboundCidrs=["everybody"]', "inboundCidrs"),
        ('ingress.scheme="sideways"', "scheme"),
        ('probes.liveness.path="health"', "path"),
        ('resources.requests.cpu="lots"', "cpu"),
        ("podDisruptionBudget.minAvailable=0", "minAvailable"),
        ("podSecurityContext.runAsNonRoot=false", "runAsNonRoot"),
        ('tests.runtime="ruby"', "runtime"),
        ("ingress.healthCheck.timeoutSeconds=10", "timeoutSeconds must be less"),
        ("terminationGracePeriodSeconds=30", "terminationGracePeriodSeconds must be more"),
        ("autoscaling.minReplicas=16", "minReplicas"),
        ("rollout.maxSurge=0", "maxSurge"),
    ],
)
def test_nonsense_is_refused(template: Callable[..., process.Completed], values: str, complaint: str) -> None:
    done = template(CHART, values)
    assert done.status != 0
    assert complaint in done.stderr


def test_every_value_is_in_the_schema_and_used(charts: Path) -> None:
    values = yaml.safe_load((charts / CHART / "values.yaml").read_text())
    text = "\n".join(path.read_text() for path in (charts / CHART / "templates").rglob("*.*"))
    unused = [key for key in values if not re.search(rf"\.Values\.{key}\b", text)]
    assert unused == []


@pytest.mark.parametrize(("target", "program"), [("lab", "python3"), ("aws", "node")])
def test_the_test_pod_uses_what_the_image_has(render: Render, target: str, program: str) -> None:
    objects = render(CHART, target=target)
    command = objects["Pod"]["spec"]["containers"][0]["command"]
    assert command[0] == program
    assert objects["Pod"]["spec"]["containers"][0]["image"] == pod_of(objects)["containers"][0]["image"]
    if program == "python3":
        ast.parse(command[2])


def test_network_policy_admits_the_load_balancer_only(render: Render) -> None:
    objects = render(CHART, 'networkPolicy={"enabled":true,"from":["10.0.0.0/20"]}')
    (rule,) = objects["NetworkPolicy"]["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "10.0.0.0/20"}}]
