from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.aws.conftest import Lab, MakeCluster, Network

OPERATOR = "arn:aws:iam::123456789012:user/chaosctl-operator"
ADMIN = "arn:aws:iam::123456789012:role/team/admin"
POLICIES = "arn:aws:eks::aws:cluster-access-policy/"


@pytest.fixture
def eks(lab: Lab, make_cluster: MakeCluster) -> Any:
    make_cluster()
    return lab.client("eks")


def addon(eks: Any, name: str = "coredns") -> Any:
    return eks.describe_addon(clusterName="demo", addonName=name)["addon"]


def test_an_addon_is_creating_until_it_was_observed(lab: Lab, eks: Any) -> None:
    created = eks.create_addon(clusterName="demo", addonName="coredns")["addon"]
    assert (created["status"], created["addonVersion"]) == ("CREATING", "v1.15.0-eksbuild.1")
    lab.store.addon_observed("demo", "coredns", "DEGRADED", "no node")
    assert addon(eks)["health"]["issues"][0]["message"] == "no node"
    lab.store.addon_observed("demo", "coredns", "ACTIVE")
    assert (addon(eks)["status"], addon(eks)["health"]["issues"]) == ("ACTIVE", [])


def test_an_addon_is_deleting_until_it_is_gone(lab: Lab, eks: Any) -> None:
    eks.create_addon(clusterName="demo", addonName="coredns")
    eks.delete_addon(clusterName="demo", addonName="coredns")
    lab.store.addon_observed("demo", "coredns", "ACTIVE")
    assert addon(eks)["status"] == "DELETING"
    assert lab.store.addons("demo")[0].deleting
    lab.store.addon_gone("demo", "coredns")
    assert eks.list_addons(clusterName="demo")["addons"] == []


def test_reconcilers_see_the_parsed_configuration(lab: Lab, eks: Any) -> None:
    eks.create_addon(clusterName="demo", addonName="coredns", configurationValues=json.dumps({"replicaCount": 3}))
    assert lab.store.addons("demo")[0].configuration == {"replicaCount": 3}


@pytest.mark.parametrize(
    "options",
    [
        {"addonName": "nothing"},
        {"addonName": "coredns", "addonVersion": "v0.0.1"},
        {"addonName": "coredns", "configurationValues": "["},
    ],
)
def test_bad_addons_are_refused(eks: Any, options: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        eks.create_addon(clusterName="demo", **options)


def test_an_addon_is_created_once(eks: Any) -> None:
    eks.create_addon(clusterName="demo", addonName="coredns")
    with pytest.raises(ClientError, match="ResourceInUseException"):
        eks.create_addon(clusterName="demo", addonName="coredns")


def test_an_update_of_an_addon_waits_for_the_cluster(lab: Lab, eks: Any) -> None:
    eks.create_addon(clusterName="demo", addonName="coredns")
    lab.store.addon_observed("demo", "coredns", "ACTIVE")
    update = eks.update_addon(clusterName="demo", addonName="coredns", addonVersion="v1.14.2-eksbuild.4")["update"]
    assert (update["type"], update["status"], addon(eks)["status"]) == ("AddonUpdate", "InProgress", "UPDATING")
    lab.store.addon_observed("demo", "coredns", "ACTIVE")
    assert eks.describe_update(name="demo", updateId=update["id"])["update"]["status"] == "Successful"


def test_an_addon_brings_its_pod_identity(eks: Any) -> None:
    association = {"serviceAccount": "aws-node", "roleArn": "arn:aws:iam::123456789012:role/cni"}
    created = eks.create_addon(clusterName="demo", addonName="vpc-cni", podIdentityAssociations=[association])["addon"]
    (found,) = eks.list_pod_identity_associations(clusterName="demo")["associations"]
    assert (found["namespace"], found["ownerArn"]) == ("kube-system", created["addonArn"])
    assert created["podIdentityAssociations"] == [found["associationArn"]]
    eks.delete_addon(clusterName="demo", addonName="vpc-cni")
    assert eks.list_pod_identity_associations(clusterName="demo")["associations"] == []


def test_default_versions_belong_to_the_kubernetes_version(eks: Any) -> None:
    offered = eks.describe_addon_versions(addonName="kube-proxy", kubernetesVersion="1.35")["addons"][0]
    defaults = [one["addonVersion"] for one in offered["addonVersions"] if one["compatibilities"][0]["defaultVersion"]]
    assert defaults == ["v1.35.6-eksbuild.1"]


def test_a_role_becomes_a_user_by_its_session(eks: Any) -> None:
    entry = eks.create_access_entry(clusterName="demo", principalArn=ADMIN, kubernetesGroups=["team"])["accessEntry"]
    assert entry["username"] == "arn:aws:sts::123456789012:assumed-role/admin/{{SessionName}}"
    assert eks.describe_access_entry(clusterName="demo", principalArn=ADMIN)["accessEntry"] == entry


def test_a_principal_has_one_entry(eks: Any) -> None:
    eks.create_access_entry(clusterName="demo", principalArn=ADMIN)
    with pytest.raises(ClientError, match="ResourceInUseException"):
        eks.create_access_entry(clusterName="demo", principalArn=ADMIN)


def test_an_unknown_entry_is_not_found(eks: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        eks.describe_access_entry(clusterName="demo", principalArn=ADMIN)


def test_policies_are_granted_and_taken_back(eks: Any) -> None:
    of_entry = {"clusterName": "demo", "principalArn": ADMIN}
    eks.create_access_entry(**of_entry)
    view = POLICIES + "AmazonEKSViewPolicy"
    scope = {"type": "namespace", "namespaces": ["web"]}
    eks.associate_access_policy(**of_entry, policyArn=view, accessScope=scope)
    (found,) = eks.list_associated_access_policies(**of_entry)["associatedAccessPolicies"]
    assert (found["policyArn"], found["accessScope"]) == (view, scope)
    eks.disassociate_access_policy(**of_entry, policyArn=view)
    assert eks.list_associated_access_policies(**of_entry)["associatedAccessPolicies"] == []


def test_an_unknown_policy_is_refused(eks: Any) -> None:
    eks.create_access_entry(clusterName="demo", principalArn=ADMIN)
    with pytest.raises(ClientError, match="InvalidParameterException"):
        eks.associate_access_policy(
            clusterName="demo", principalArn=ADMIN, policyArn=POLICIES + "Nothing", accessScope={"type": "cluster"}
        )


def test_the_creator_is_administrator_when_asked_for(lab: Lab, network: Network) -> None:
    lab.operator("eks").create_cluster(
        name="demo",
        roleArn="arn:aws:iam::123456789012:role/cluster",
        resourcesVpcConfig={"subnetIds": network.subnets},
        accessConfig={"authenticationMode": "API"},
    )
    of_entry = {"clusterName": "demo", "principalArn": OPERATOR}
    policies = lab.client("eks").list_associated_access_policies(**of_entry)["associatedAccessPolicies"]
    assert [policy["policyArn"] for policy in policies] == [POLICIES + "AmazonEKSClusterAdminPolicy"]


def test_a_service_account_has_one_association(eks: Any) -> None:
    asked = {
        "clusterName": "demo",
        "namespace": "kube-system",
        "serviceAccount": "controller",
        "roleArn": "arn:aws:iam::123456789012:role/controller",
    }
    first = eks.create_pod_identity_association(**asked)["association"]
    with pytest.raises(ClientError, match="ResourceInUseException"):
        eks.create_pod_identity_association(**asked)
    eks.delete_pod_identity_association(clusterName="demo", associationId=first["associationId"])
    assert eks.create_pod_identity_association(**asked)["association"]["associationId"] != first["associationId"]
