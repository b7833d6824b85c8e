import json
from pathlib import Path

from chaosctl.lab import control_plane
from chaosctl.lab.layout import Layout
from tests.unit.lab.examples import CLUSTER

TOOLS = {name: Path("/tools") / name for name in control_plane.MEMORY}


def flags(argv: tuple[str, ...]) -> dict[str, str]:
    pairs = (argument.removeprefix("--").split("=", 1) for argument in argv[1:])
    return {pair[0]: pair[1] for pair in pairs}


def test_api_server_signs_tokens_as_the_issuer_of_the_cluster(tmp_path: Path) -> None:
    given = flags(control_plane.api_server(Layout(tmp_path), CLUSTER, TOOLS).argv)

    assert given["service-account-issuer"] == CLUSTER.issuer
    assert given["api-audiences"].startswith("https://kubernetes.default.svc,")


def test_everything_runs_in_the_network_of_the_vpc(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    programs = (
        control_plane.store(layout, CLUSTER, TOOLS),
        control_plane.api_server(layout, CLUSTER, TOOLS),
        *control_plane.controllers(layout, CLUSTER, TOOLS),
    )

    assert {program.netns for program in programs} == {layout.vpc_netns("vpc-1")}
    assert {program.group for program in programs} == {"cluster:demo"}


def test_no_secret_is_on_a_command_line(tmp_path: Path) -> None:
    argv = control_plane.api_server(Layout(tmp_path), CLUSTER, TOOLS).argv

    assert not [word for word in argv if "BEGIN" in word or "password" in word]


def test_tokens_are_verified_by_the_labs_aws() -> None:
    config = json.loads(control_plane.token_webhook("demo", Path("/pki/ca.crt")))

    server = config["clusters"][0]["cluster"]["server"]
    assert server == "https://169.254.170.24/chaosctl/clusters/demo/authenticate"


def test_access_policies_are_bound_to_their_groups() -> None:
    objects = control_plane.bootstrap_objects(CLUSTER, "Q0E=")
    bound = {
        item["subjects"][0]["name"]: item["roleRef"]["name"] for item in objects if item["kind"] == "ClusterRoleBinding"
    }

    assert bound["chaosctl:AmazonEKSClusterAdminPolicy"] == "cluster-admin"
    assert bound["chaosctl:AmazonEKSViewPolicy"] == "view"


def test_pods_are_admitted_when_pod_identity_is_down() -> None:
    webhook = control_plane.bootstrap_objects(CLUSTER, "Q0E=")[-1]["webhooks"][0]

    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["clientConfig"]["url"].endswith("/clusters/demo/mutate-pods")
