"""The EKS operations: those that moto lacks, and those that it gets wrong. Parameters in, results out."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import unquote

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.eks.exceptions import InvalidParameterException, ResourceInUseException
from moto.eks.models import paginated_list
from moto.eks.responses import EKSResponse
from moto.sts.models import sts_backends

from chaosctl.lab.aws.eks import addons, versions
from chaosctl.lab.aws.eks.access import POLICIES, POLICY_ARN, AccessEntry, creator_entry
from chaosctl.lab.aws.eks.models import LabCluster, LabEKSBackend, enabled_logs, log_setup

CREATE_OPTIONS = ("accessConfig", "upgradePolicy", "zonalShiftConfig", "deletionProtection")
UPDATE_KINDS = {  # member of UpdateClusterConfig -> (attribute of the cluster, type of the update)
    "resourcesVpcConfig": ("resources_vpc_config", "EndpointAccessUpdate"),
    "accessConfig": ("access_config", "AccessConfigUpdate"),
    "upgradePolicy": ("upgrade_policy", "UpgradePolicyUpdate"),
    "zonalShiftConfig": ("zonal_shift_config", "ZonalShiftConfigUpdate"),
}


class LabEKSResponse(EKSResponse):
    """One method for each operation, named as botocore names it."""

    eks_backend: LabEKSBackend

    def _params(self, *names: str) -> dict[str, Any]:
        return {name: self._get_param(name) for name in names}

    @property
    def _cluster(self) -> LabCluster:
        cluster: LabCluster = self.eks_backend.describe_cluster(self._get_param("name"))
        return cluster

    def _page(self, key: str, items: list[str]) -> ActionResult:
        page, token = paginated_list(items, self._get_int_param("maxResults", 100), self._get_param("nextToken"))
        return ActionResult({key: page, "nextToken": token})

    # --- clusters

    def create_cluster(self) -> ActionResult:
        """CREATING at once; ACTIVE when the lab's control plane answers."""
        cluster = self.eks_backend.add_cluster(
            self._params(*CREATE_OPTIONS),
            name=self._get_param("name"),
            version=self._get_param("version"),
            role_arn=self._get_param("roleArn"),
            resources_vpc_config=self._get_param("resourcesVpcConfig"),
            kubernetes_network_config=self._get_param("kubernetesNetworkConfig"),
            logging=self._get_param("logging"),
            client_request_token=self._get_param("clientRequestToken"),
            tags=self._get_param("tags"),
            encryption_config=self._get_param("encryptionConfig"),
            remote_network_config=self._get_param("remoteNetworkConfig"),
        )
        if cluster.access_config["bootstrapClusterCreatorAdminPermissions"]:
            creator = self._creator()
            cluster.access_entries[creator] = creator_entry(self.eks_backend, cluster.name, creator)
        return ActionResult({"cluster": cluster})

    def _creator(self) -> str:
        sts = sts_backends[self.current_account][self.partition]
        session = sts.get_assumed_role_from_access_key(self.access_key)
        return str(session.role_arn if session else sts.get_caller_identity(self.access_key, self.region)[1])

    def update_cluster_config(self) -> ActionResult:
        """One kind of change in each call, as in EKS."""
        cluster = self._cluster
        for member, (attribute, kind) in UPDATE_KINDS.items():
            if asked := self._get_param(member):
                setattr(cluster, attribute, {**(getattr(cluster, attribute) or {}), **asked})
                return self._updated(cluster, kind, asked)
        if logging := self._get_param("logging"):
            cluster.logging = log_setup(enabled_logs(logging, enabled_logs(cluster.logging)))
            return self._updated(cluster, "LoggingUpdate", logging)
        protection = self._get_param("deletionProtection")
        if protection is not None:
            cluster.deletion_protection = bool(protection)
            return self._updated(cluster, "DeletionProtectionUpdate", {"DeletionProtection": protection})
        raise InvalidParameterException(clusterName=cluster.name, message="No changes needed for the cluster")

    def update_cluster_version(self) -> ActionResult:
        """One minor version up at a time. The lab's binaries stay what they are."""
        cluster, wanted = self._cluster, self._get_param("version")
        if wanted not in versions.KUBERNETES or not 0 <= _minor(wanted) - _minor(cluster.version) <= 1:
            raise InvalidParameterException(
                clusterName=cluster.name,
                message=f"Unsupported Kubernetes minor version update from {cluster.version} to {wanted}",
            )
        cluster.version = wanted
        return self._updated(cluster, "VersionUpdate", {"Version": wanted, "PlatformVersion": "eks.1"})

    def _updated(self, cluster: LabCluster, kind: str, params: dict[str, Any], pending_on: str = "") -> ActionResult:
        return ActionResult({"update": cluster.start_update(kind, params, pending_on)})

    def describe_update(self) -> ActionResult:
        """InProgress or Successful."""
        update = self.eks_backend.find(self._get_param("name"), "updates", self._get_param("updateId"), "update")
        return ActionResult({"update": update})

    def list_updates(self) -> ActionResult:
        """Ids of all changes."""
        return self._page("updateIds", list(self._cluster.updates))

    def list_insights(self) -> ActionResult:
        """The lab has no upgrade insights."""
        return ActionResult({"insights": [], "cluster": self._cluster.name})

    def describe_cluster_versions(self) -> ActionResult:
        """Versions with their support dates."""
        asked = self.querystring.get("clusterVersions") or list(versions.KUBERNETES)
        found = [_version_information(versions.KUBERNETES[name]) for name in asked if name in versions.KUBERNETES]
        if self._get_bool_param("defaultOnly"):
            found = [version for version in found if version["defaultVersion"]]
        return ActionResult({"clusterVersions": found})

    # --- node groups

    def create_nodegroup(self) -> ActionResult:
        """CREATING at once; ACTIVE when its nodes are ready."""
        group = self.eks_backend.add_nodegroup(
            self._params("updateConfig", "nodeRepairConfig"),
            cluster_name=self._get_param("name"),
            nodegroup_name=self._get_param("nodegroupName"),
            node_role=self._get_param("nodeRole"),
            subnets=self._get_param("subnets"),
            scaling_config=self._get_param("scalingConfig"),
            disk_size=self._get_int_param("diskSize"),
            instance_types=self._get_param("instanceTypes"),
            ami_type=self._get_param("amiType"),
            remote_access=self._get_param("remoteAccess"),
            labels=self._get_param("labels"),
            taints=self._get_param("taints"),
            tags=self._get_param("tags"),
            client_request_token=self._get_param("clientRequestToken"),
            launch_template=self._get_param("launchTemplate"),
            capacity_type=self._get_param("capacityType"),
            version=self._get_param("version"),
            release_version=self._get_param("releaseVersion"),
        )
        return ActionResult({"nodegroup": group})

    def update_nodegroup_config(self) -> ActionResult:
        """A change of size is InProgress until the nodes are ready."""
        super().update_nodegroup_config()
        cluster, name = self._cluster, self._get_param("nodegroupName")
        group = cluster.nodegroups[name]
        asked = {
            key: value
            for key, value in self._params("labels", "taints", "scalingConfig", "updateConfig").items()
            if value
        }
        if "scalingConfig" in asked:
            group.resize()
        return self._updated(cluster, "ConfigUpdate", asked, "" if group.settled else name)

    def update_nodegroup_version(self) -> ActionResult:
        """Instances that start from now on follow it; those that run are replaced a few at a time."""
        cluster, name = self._cluster, self._get_param("nodegroupName")
        group = self.eks_backend.describe_nodegroup(cluster.name, name)
        group.version = self._get_param("version") or cluster.version
        default_release = versions.KUBERNETES[group.version].release
        group.release_version = self._get_param("releaseVersion") or default_release
        group.relaunch_from(self._get_param("launchTemplate"))
        params = {"Version": group.version, "ReleaseVersion": group.release_version}
        return self._updated(cluster, "VersionUpdate", params, name if group.outdated() else "")

    # --- add-ons

    def describe_addon_versions(self) -> ActionResult:
        """Add-ons for one or all Kubernetes versions."""
        wanted = self._get_param("kubernetesVersion")
        return ActionResult({"addons": addons.catalogue(self._get_param("addonName"), wanted)})

    def describe_addon_configuration(self) -> ActionResult:
        """Any configuration is accepted, so its schema is the most general one."""
        params = self._params("addonName", "addonVersion")
        return ActionResult({**params, "configurationSchema": '{"type": "object"}', "podIdentityConfiguration": []})

    def create_addon(self) -> ActionResult:
        """CREATING at once; ACTIVE when it was observed in the cluster."""
        cluster = self.eks_backend.require_active(self._get_param("name"))
        addon = addons.create(self.eks_backend, cluster, self._params(*addons.MEMBERS))
        for asked in self._get_param("podIdentityAssociations") or []:
            self._associate_addon(cluster, addon, asked)
        return ActionResult({"addon": addon})

    def _associate_addon(self, cluster: LabCluster, addon: dict[str, Any], asked: dict[str, Any]) -> None:
        namespace = versions.ADDON_NAMESPACES.get(addon["addonName"], "kube-system")
        association = self._associate(cluster, namespace, asked["serviceAccount"], asked["roleArn"])
        association["ownerArn"] = addon["addonArn"]
        addon["podIdentityAssociations"].append(association["associationArn"])

    def _addon(self) -> dict[str, Any]:
        addon: dict[str, Any] = self.eks_backend.find(
            self._get_param("name"), "addons", self._get_param("addonName"), "addon"
        )
        return addon

    def describe_addon(self) -> ActionResult:
        """Its observed status."""
        return ActionResult({"addon": self._addon()})

    def update_addon(self) -> ActionResult:
        """Version, role or configuration."""
        addon, cluster = self._addon(), self._cluster
        asked = {
            key: value
            for key, value in self._params("addonVersion", "serviceAccountRoleArn", "configurationValues").items()
            if value is not None
        }
        addons.update(cluster, addon, asked)
        associations = self._get_param("podIdentityAssociations")
        if associations is not None:
            addons.drop_associations(cluster, addon)
            for association in associations:
                self._associate_addon(cluster, addon, association)
        return self._updated(cluster, "AddonUpdate", asked, addon["addonName"] if addon["status"] != "ACTIVE" else "")

    def delete_addon(self) -> ActionResult:
        """DELETING until it has left the cluster."""
        addon = self._addon()
        addon["status"] = "DELETING"
        addons.drop_associations(self._cluster, addon)
        return ActionResult({"addon": addon})

    def list_addons(self) -> ActionResult:
        """Names."""
        return self._page("addons", list(self._cluster.addons))

    # --- access entries

    def create_access_entry(self) -> ActionResult:
        """Who, as which user, in which groups."""
        cluster, principal = self._cluster, self._get_param("principalArn")
        if cluster.access_config["authenticationMode"] == "CONFIG_MAP":
            raise InvalidParameterException(
                clusterName=cluster.name,
                message="The cluster's authentication mode must be API or API_AND_CONFIG_MAP",
            )
        if principal in cluster.access_entries:
            raise ResourceInUseException(
                clusterName=cluster.name,
                message="The specified access entry resource is already in use on this cluster.",
            )
        entry = AccessEntry(
            self.eks_backend,
            cluster.name,
            principal,
            groups=self._get_param("kubernetesGroups"),
            username=self._get_param("username"),
            kind=self._get_param("type") or "STANDARD",
            tags=self._get_param("tags"),
        )
        cluster.access_entries[principal] = entry
        return ActionResult({"accessEntry": entry})

    def _entry(self) -> AccessEntry:
        principal = unquote(self._get_param("principalArn"))
        entry: AccessEntry = self.eks_backend.find(self._get_param("name"), "access_entries", principal, "access entry")
        return entry

    def describe_access_entry(self) -> ActionResult:
        """The entry without its policies."""
        return ActionResult({"accessEntry": self._entry()})

    def update_access_entry(self) -> ActionResult:
        """Groups and user name."""
        entry = self._entry()
        if (groups := self._get_param("kubernetesGroups")) is not None:
            entry.kubernetes_groups = groups
        entry.username = self._get_param("username") or entry.username
        entry.modified_at = utcnow()
        return ActionResult({"accessEntry": entry})

    def delete_access_entry(self) -> ActionResult:
        """From now on its principal is refused."""
        entry = self._entry()
        del self._cluster.access_entries[entry.principal_arn]
        return EmptyResult()

    def list_access_entries(self) -> ActionResult:
        """ARNs of all principals, or of those with one policy."""
        policy = self._get_param("associatedPolicyArn")
        entries = self._cluster.access_entries
        return self._page("accessEntries", [arn for arn in entries if not policy or policy in entries[arn].policies])

    def list_access_policies(self) -> ActionResult:
        """The policies that the lab's cluster knows."""
        return ActionResult({"accessPolicies": [{"name": name, "arn": POLICY_ARN + name} for name in POLICIES]})

    def associate_access_policy(self) -> ActionResult:
        """Grant a policy; granting it again changes its scope."""
        entry = self._entry()
        scope = self._get_param("accessScope") or {}
        policy = entry.associate(self._get_param("policyArn"), {"type": "cluster", "namespaces": [], **scope})
        return ActionResult({**self._whose(entry), "associatedAccessPolicy": policy})

    def disassociate_access_policy(self) -> ActionResult:
        """Take a policy back."""
        self._entry().policies.pop(unquote(self._get_param("policyArn")), None)
        return EmptyResult()

    def list_associated_access_policies(self) -> ActionResult:
        """All policies of one entry."""
        entry = self._entry()
        return ActionResult({**self._whose(entry), "associatedAccessPolicies": list(entry.policies.values())})

    def _whose(self, entry: AccessEntry) -> dict[str, str]:
        return {"clusterName": entry.cluster_name, "principalArn": entry.principal_arn}

    # --- Pod Identity

    def create_pod_identity_association(self) -> ActionResult:
        """Pods of the service account that are admitted from now on get the role."""
        cluster = self._cluster
        association = self._associate(
            cluster, self._get_param("namespace"), self._get_param("serviceAccount"), self._get_param("roleArn")
        )
        association["tags"] = self._get_param("tags") or {}
        association["targetRoleArn"] = self._get_param("targetRoleArn")
        association["disableSessionTags"] = bool(self._get_param("disableSessionTags"))
        return ActionResult({"association": association})

    def _associate(self, cluster: LabCluster, namespace: str, account: str, role_arn: str) -> dict[str, Any]:
        for known in cluster.pod_identities.values():
            if (known["namespace"], known["serviceAccount"]) == (namespace, account):
                raise ResourceInUseException(
                    clusterName=cluster.name, message=f"Association already exists: {known['associationId']}"
                )
        association_id, now = f"a-{uuid.uuid4().hex[:17]}", utcnow()
        association = {
            "clusterName": cluster.name,
            "namespace": namespace,
            "serviceAccount": account,
            "roleArn": role_arn,
            "associationArn": self.eks_backend.arn(f"podidentityassociation/{cluster.name}/{association_id}"),
            "associationId": association_id,
            "tags": {},
            "createdAt": now,
            "modifiedAt": now,
            "disableSessionTags": False,
        }
        cluster.pod_identities[association_id] = association
        return association

    def _association(self) -> dict[str, Any]:
        association: dict[str, Any] = self.eks_backend.find(
            self._get_param("name"), "pod_identities", self._get_param("associationId"), "association"
        )
        return association

    def describe_pod_identity_association(self) -> ActionResult:
        """One association."""
        return ActionResult({"association": self._association()})

    def update_pod_identity_association(self) -> ActionResult:
        """Role and session tags."""
        association = self._association()
        for key in ("roleArn", "targetRoleArn", "disableSessionTags"):
            if (value := self._get_param(key)) is not None:
                association[key] = value
        association["modifiedAt"] = utcnow()
        return ActionResult({"association": association})

    def delete_pod_identity_association(self) -> ActionResult:
        """From now on its pods get no new credentials."""
        association = self._association()
        del self._cluster.pod_identities[association["associationId"]]
        return ActionResult({"association": association})

    def list_pod_identity_associations(self) -> ActionResult:
        """All, or those of one namespace or service account."""
        wanted = self._params("namespace", "serviceAccount")
        found = [
            association
            for association in self._cluster.pod_identities.values()
            if all(value in (None, association[key]) for key, value in wanted.items())
        ]
        return ActionResult({"associations": found})

    # --- tags

    def tag_resource(self) -> ActionResult:
        """Of anything in EKS."""
        self.eks_backend.tags_of(self._extract_arn_from_path()).update(self._get_param("tags"))
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        """Of anything in EKS."""
        tags = self.eks_backend.tags_of(self._extract_arn_from_path())
        for key in self.querystring.get("tagKeys", []):
            tags.pop(key, None)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        """Of anything in EKS."""
        return ActionResult({"tags": self.eks_backend.tags_of(self._extract_arn_from_path())})


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _version_information(version: versions.KubernetesVersion) -> dict[str, Any]:
    standard = utcnow() < version.standard_until.replace(tzinfo=None)
    return {
        "clusterVersion": version.version,
        "clusterType": "eks",
        "defaultPlatformVersion": "eks.1",
        "defaultVersion": version.version == versions.DEFAULT_VERSION,
        "releaseDate": version.released,
        "endOfStandardSupportDate": version.standard_until,
        "endOfExtendedSupportDate": version.extended_until,
        "status": "standard-support" if standard else "extended-support",
        "versionStatus": "STANDARD_SUPPORT" if standard else "EXTENDED_SUPPORT",
        "kubernetesPatchVersion": version.patch,
    }
