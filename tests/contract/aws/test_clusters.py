from __future__ import annotations

import base64

import pytest
from botocore.exceptions import ClientError

from tests.contract.aws.conftest import Lab, MakeCluster, Network


def status(lab: Lab, name: str = "demo") -> str:
    return str(lab.client("eks").describe_cluster(name=name)["cluster"]["status"])


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def test_a_new_cluster_is_creating_until_it_was_observed(lab: Lab, make_cluster: MakeCluster) -> None:
    created = make_cluster(active=False)
    assert created["status"] == "CREATING"
    assert "endpoint" not in created
    lab.store.cluster_observed("demo", "ACTIVE", endpoint="https://127.128.0.2", ca_pem=b"pem")
    cluster = lab.client("eks").describe_cluster(name="demo")["cluster"]
    assert (cluster["status"], cluster["endpoint"]) == ("ACTIVE", "https://127.128.0.2")
    assert base64.b64decode(cluster["certificateAuthority"]["data"]) == b"pem"


def test_what_was_asked_for_is_kept(lab: Lab, make_cluster: MakeCluster, network: Network) -> None:
    cluster = make_cluster(
        version="1.35",
        upgradePolicy={"supportType": "STANDARD"},
        deletionProtection=True,
        logging={"clusterLogging": [{"types": ["audit", "api"], "enabled": True}]},
    )
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}
    assert cluster["deletionProtection"] is True
    assert cluster["logging"]["clusterLogging"][0] == {"types": ["api", "audit"], "enabled": True}
    assert cluster["resourcesVpcConfig"]["vpcId"] == network.vpc


def test_the_default_version_is_the_latest(make_cluster: MakeCluster) -> None:
    assert make_cluster()["version"] == "1.36"


def test_reconcilers_see_the_cluster(lab: Lab, make_cluster: MakeCluster, network: Network) -> None:
    cluster = make_cluster()
    seen = lab.store.clusters()[0]
    assert (seen.name, seen.vpc_id, seen.address) == ("demo", network.vpc, "10.0.1.3")
    assert cluster["identity"]["oidc"]["issuer"].endswith(seen.hex_id)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"version": "1.19"}, "InvalidParameterException"),
        ({"roleArn": "nobody"}, "InvalidParameterException"),
        ({"resourcesVpcConfig": {"subnetIds": ["subnet-1"]}}, "InvalidParameterException"),
        ({"resourcesVpcConfig": {}}, "InvalidParameterException"),
    ],
)
def test_bad_clusters_are_refused(make_cluster: MakeCluster, options: dict[str, object], expected: str) -> None:
    with pytest.raises(ClientError) as refused:
        make_cluster(**options)
    assert code(refused) == expected


def test_subnets_must_be_in_two_zones(make_cluster: MakeCluster, network: Network) -> None:
    with pytest.raises(ClientError, match="two different AZs"):
        make_cluster(resourcesVpcConfig={"subnetIds": network.subnets[:1]})


def test_a_name_is_taken_once(make_cluster: MakeCluster) -> None:
    make_cluster()
    with pytest.raises(ClientError) as refused:
        make_cluster()
    assert code(refused) == "ResourceInUseException"


def test_an_unknown_cluster_is_not_found(lab: Lab) -> None:
    with pytest.raises(ClientError) as refused:
        lab.client("eks").describe_cluster(name="nothing")
    assert code(refused) == "ResourceNotFoundException"


def test_a_cluster_is_deleting_until_it_is_gone(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster()
    assert lab.client("eks").delete_cluster(name="demo")["cluster"]["status"] == "DELETING"
    assert status(lab) == "DELETING"
    assert lab.store.clusters()[0].deleting
    lab.store.cluster_gone("demo")
    assert lab.client("eks").list_clusters()["clusters"] == []


def test_what_comes_late_does_not_revive_a_deleted_cluster(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster()
    lab.client("eks").delete_cluster(name="demo")
    lab.store.cluster_observed("demo", "ACTIVE", endpoint="https://127.128.0.2")
    assert status(lab) == "DELETING"


def test_a_living_cluster_is_never_gone(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster()
    lab.store.cluster_gone("demo")
    assert status(lab) == "ACTIVE"


def test_its_security_group_comes_and_goes_with_it(lab: Lab, make_cluster: MakeCluster) -> None:
    group = make_cluster()["resourcesVpcConfig"]["clusterSecurityGroupId"]
    ec2 = lab.client("ec2")
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert rules[0]["UserIdGroupPairs"][0]["GroupId"] == group
    lab.client("eks").delete_cluster(name="demo")
    lab.store.cluster_gone("demo")
    with pytest.raises(ClientError, match=r"InvalidGroup\.NotFound"):
        ec2.describe_security_groups(GroupIds=[group])


def test_a_protected_cluster_is_not_deleted(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster(deletionProtection=True)
    eks = lab.client("eks")
    with pytest.raises(ClientError, match="deletion protection"):
        eks.delete_cluster(name="demo")
    update = eks.update_cluster_config(name="demo", deletionProtection=False)["update"]
    assert update["type"] == "DeletionProtectionUpdate"
    assert eks.delete_cluster(name="demo")["cluster"]["status"] == "DELETING"


def test_configuration_changes_are_updates(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster()
    eks = lab.client("eks")
    access = {"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.7/32"]}
    update = eks.update_cluster_config(name="demo", resourcesVpcConfig=access)["update"]
    assert eks.describe_update(name="demo", updateId=update["id"])["update"]["status"] == "Successful"
    assert eks.list_updates(name="demo")["updateIds"] == [update["id"]]
    cluster = eks.describe_cluster(name="demo")["cluster"]
    assert cluster["resourcesVpcConfig"]["publicAccessCidrs"] == ["203.0.113.7/32"]


def test_logs_are_switched_one_by_one(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster(logging={"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]})
    eks = lab.client("eks")
    eks.update_cluster_config(name="demo", logging={"clusterLogging": [{"types": ["api"], "enabled": False}]})
    logging = eks.describe_cluster(name="demo")["cluster"]["logging"]["clusterLogging"]
    assert logging[0] == {"types": ["audit"], "enabled": True}


def test_versions_go_up_one_at_a_time(lab: Lab, make_cluster: MakeCluster) -> None:
    make_cluster(version="1.34")
    eks = lab.client("eks")
    with pytest.raises(ClientError, match="Unsupported Kubernetes minor version update"):
        eks.update_cluster_version(name="demo", version="1.36")
    eks.update_cluster_version(name="demo", version="1.35")
    assert eks.describe_cluster(name="demo")["cluster"]["version"] == "1.35"


def test_versions_come_with_their_support_dates(lab: Lab) -> None:
    found = lab.client("eks").describe_cluster_versions(defaultOnly=True)["clusterVersions"]
    assert [version["clusterVersion"] for version in found] == ["1.36"]
    assert found[0]["endOfStandardSupportDate"].date().isoformat() == "2027-08-02"


def test_everything_can_be_tagged(lab: Lab, make_cluster: MakeCluster) -> None:
    arn = make_cluster(tags={"a": "1"})["arn"]
    eks = lab.client("eks")
    eks.tag_resource(resourceArn=arn, tags={"b": "2"})
    eks.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
