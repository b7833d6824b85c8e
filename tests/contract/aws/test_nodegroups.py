from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chaosctl.adapters import eks
from chaosctl.adapters.eks import Sizes
from chaosctl.adapters.inventory import Deployment
from chaosctl.events import ignore
from chaosctl.lab.aws import scaling
from tests.contract.aws.conftest import Lab, MakeCluster, Network

MakeNodegroup = Callable[..., Any]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "REPLACE_AFTER", 0.0)


def nodegroup(lab: Lab) -> Any:
    return lab.client("eks").describe_nodegroup(clusterName="demo", nodegroupName="main")["nodegroup"]


def instances(lab: Lab) -> list[Any]:
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    reservations = lab.client("ec2").describe_instances(Filters=running)["Reservations"]
    return [instance for reservation in reservations for instance in reservation["Instances"]]


def all_ready(lab: Lab) -> None:
    for instance in lab.store.instances():
        lab.store.node_observed(instance.id, ready=True)


def test_a_group_needs_an_active_cluster(lab: Lab, make_cluster: MakeCluster, network: Network) -> None:
    make_cluster(active=False)
    role = "arn:aws:iam::123456789012:role/node"
    with pytest.raises(ClientError, match="not in ACTIVE status"):
        lab.client("eks").create_nodegroup(
            clusterName="demo", nodegroupName="main", nodeRole=role, subnets=network.subnets
        )


@pytest.mark.parametrize("operation", ["list_nodegroups", "list_fargate_profiles", "list_addons"])
def test_what_a_cluster_has_cannot_be_listed_without_the_cluster(lab: Lab, operation: str) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(lab.client("eks"), operation)(clusterName="elsewhere")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_group_is_active_when_its_nodes_are_ready(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    assert make_nodegroup()["status"] == "CREATING"
    first, second = lab.store.instances()
    lab.store.node_observed(first.id, ready=True)
    assert nodegroup(lab)["status"] == "CREATING"
    lab.store.node_observed(second.id, ready=True)
    assert nodegroup(lab)["status"] == "ACTIVE"


def test_instances_are_spread_over_the_zones(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    assert {instance["Placement"]["AvailabilityZone"] for instance in instances(lab)} == {"us-west-2a", "us-west-2b"}


def test_instances_have_the_names_and_tags_of_nodes(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    for instance in instances(lab):
        address = instance["PrivateIpAddress"].replace(".", "-")
        assert instance["PrivateDnsName"] == f"ip-{address}.us-west-2.compute.internal"
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert tags["eks:cluster-name"] == "demo"
        assert tags["eks:nodegroup-name"] == "main"
        assert tags["kubernetes.io/cluster/demo"] == "owned"


def test_metadata_options_of_the_launch_template_hold(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    data = {
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "Encrypted": True}}],
    }
    template = lab.client("ec2").create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=data)
    make_nodegroup(launchTemplate={"id": template["LaunchTemplate"]["LaunchTemplateId"]})
    assert nodegroup(lab)["launchTemplate"]["version"] == "1"
    for instance in instances(lab):
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert [disk["DeviceName"] for disk in instance["BlockDeviceMappings"]] == ["/dev/xvda"]


def test_each_node_holds_two_prefixes_of_its_subnet(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    seen: list[IPv4Network] = []
    for instance in lab.store.instances():
        prefixes = [IPv4Network(prefix) for prefix in instance.pod_prefixes]
        assert len(prefixes) == 2
        assert all(prefix.prefixlen == 28 for prefix in prefixes)
        assert all(prefix.subnet_of(IPv4Network(instance.subnet.cidr)) for prefix in prefixes)
        assert not any(IPv4Address(instance.private_ip) in prefix for prefix in prefixes)
        seen += prefixes
    assert len(set(seen)) == 4


def test_a_pod_is_found_by_its_address(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    node = lab.store.instances()[1]
    pod = str(IPv4Network(node.pod_prefixes[0])[5])
    wanted = [{"Name": "addresses.private-ip-address", "Values": [pod]}]
    (eni,) = lab.client("ec2").describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    assert eni["Attachment"]["InstanceId"] == node.id
    assert [prefix["Ipv4Prefix"] for prefix in eni["Ipv4Prefixes"]] == list(node.pod_prefixes)


def test_instances_show_their_prefixes(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    shown = {one["InstanceId"]: one["NetworkInterfaces"][0]["Ipv4Prefixes"] for one in instances(lab)}
    for node in lab.store.instances():
        assert [prefix["Ipv4Prefix"] for prefix in shown[node.id]] == list(node.pod_prefixes)


def test_a_terminated_instance_is_replaced_under_a_new_name(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    before = {instance.id: instance for instance in lab.store.instances()}
    victim = next(iter(before.values()))
    lab.client("ec2").terminate_instances(InstanceIds=[victim.id])
    assert len(lab.store.instances()) == 1
    lab.scaling.reconcile()
    lab.scaling.reconcile()
    (replacement,) = (instance for instance in lab.store.instances() if instance.id not in before)
    assert replacement.subnet == victim.subnet
    assert replacement.private_dns_name != victim.private_dns_name


def test_a_stopped_instance_is_replaced(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    victim = lab.store.instances()[0].id
    lab.client("ec2").stop_instances(InstanceIds=[victim])
    lab.scaling.reconcile()
    lab.scaling.reconcile()
    running = {instance["InstanceId"] for instance in instances(lab)}
    assert len(running) == 2
    assert victim not in running


def test_a_change_of_size_is_an_update_in_progress(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    all_ready(lab)
    eks = lab.client("eks")
    update = eks.update_nodegroup_config(
        clusterName="demo", nodegroupName="main", scalingConfig={"minSize": 1, "maxSize": 4, "desiredSize": 3}
    )["update"]
    assert update["status"] == "InProgress"
    assert len(lab.store.instances()) == 3
    all_ready(lab)
    assert eks.describe_update(name="demo", updateId=update["id"])["update"]["status"] == "Successful"


def test_sizes_follow_the_auto_scaling_group(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    group = make_nodegroup()["resources"]["autoScalingGroups"][0]["name"]
    lab.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)
    lab.scaling.reconcile()
    assert nodegroup(lab)["scalingConfig"]["desiredSize"] == 4
    assert len(instances(lab)) == 4


def test_the_fullest_zone_shrinks_first(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    group = make_nodegroup(scalingConfig={"minSize": 1, "maxSize": 4, "desiredSize": 4})
    name = group["resources"]["autoScalingGroups"][0]["name"]
    lab.client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    assert {instance["Placement"]["AvailabilityZone"] for instance in instances(lab)} == {"us-west-2a", "us-west-2b"}


def test_a_new_release_replaces_one_node_at_a_time(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    all_ready(lab)
    before = {instance.id for instance in lab.store.instances()}
    eks = lab.client("eks")
    update = eks.update_nodegroup_version(clusterName="demo", nodegroupName="main", releaseVersion="1.36.4-1")["update"]
    lab.scaling.reconcile()
    assert len(before & {instance.id for instance in lab.store.instances()}) == 1
    lab.scaling.reconcile()
    assert len(before & {instance.id for instance in lab.store.instances()}) == 1  # its replacement is not ready yet
    for _ in range(4):
        all_ready(lab)
        lab.scaling.reconcile()
    assert not before & {instance.id for instance in lab.store.instances()}
    assert eks.describe_update(name="demo", updateId=update["id"])["update"]["status"] == "Successful"


def test_a_deleted_group_is_deleting_until_its_nodes_left(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    all_ready(lab)
    nodes = lab.store.instances()
    eks = lab.client("eks")
    eks.delete_nodegroup(clusterName="demo", nodegroupName="main")
    lab.scaling.reconcile()
    assert lab.store.instances() == []
    assert nodegroup(lab)["status"] == "DELETING"
    for node in nodes:
        lab.store.node_observed(node.id, ready=False)
    lab.scaling.reconcile()
    assert eks.list_nodegroups(clusterName="demo")["nodegroups"] == []


def test_a_group_leaves_nothing_in_its_subnets(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    lab.client("eks").delete_nodegroup(clusterName="demo", nodegroupName="main")
    ec2 = lab.client("ec2")
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    assert lab.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_the_role_of_the_nodes_gets_an_entry(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    eks, role = lab.client("eks"), "arn:aws:iam::123456789012:role/node"
    entry = eks.describe_access_entry(clusterName="demo", principalArn=role)["accessEntry"]
    assert (entry["type"], entry["kubernetesGroups"]) == ("EC2_LINUX", ["system:nodes"])
    eks.delete_nodegroup(clusterName="demo", nodegroupName="main")
    lab.scaling.reconcile()
    assert eks.list_access_entries(clusterName="demo")["accessEntries"] == []


def test_a_cluster_with_groups_is_not_deleted(lab: Lab, make_nodegroup: MakeNodegroup) -> None:
    make_nodegroup()
    with pytest.raises(ClientError, match="ResourceInUseException"):
        lab.client("eks").delete_cluster(name="demo")


@pytest.mark.parametrize("wanted", [Sizes(3, 4, 3), Sizes(1, 1, 1), Sizes(1, 4, 2)])
def test_chaosctl_resizes_a_group_in_one_request(
    lab: Lab, make_nodegroup: MakeNodegroup, monkeypatch: pytest.MonkeyPatch, wanted: Sizes
) -> None:
    monkeypatch.setattr(eks, "POLL_SECONDS", 0.01)
    make_nodegroup(tags={"chaosctl:cluster": "demo"})
    all_ready(lab)
    (group,) = eks.node_groups(lab.aws, Deployment("demo", {"chaosctl:cluster": "demo"}))
    assert group.sizes == Sizes(1, 4, 2)
    with ready_as_they_come(lab):
        eks.resize(lab.aws, group, wanted, ignore)
    assert nodegroup(lab)["status"] == "ACTIVE"
    assert nodegroup(lab)["scalingConfig"] == {
        "minSize": wanted.least,
        "maxSize": wanted.most,
        "desiredSize": wanted.desired,
    }
    assert list(eks.node_groups(lab.aws, Deployment("demo", {"chaosctl:cluster": "another"}))) == []


@contextmanager
def ready_as_they_come(lab: Lab) -> Iterator[None]:
    """What the reconcilers do: nodes get ready, groups settle."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            all_ready(lab)
            lab.scaling.reconcile()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
