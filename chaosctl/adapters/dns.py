"""Names of load balancers in Route 53: an alias record, and beside it a TXT record that says whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.elb import LoadBalancer

OWNER = "_chaosctl"  # label in front of the name, for the TXT record
TTL = 300  # seconds


@dataclass(frozen=True)
class Address:
    """What is at a name. `target` is the load balancer's DNS name or another value, `owner` the text of the TXT record.

    Both are empty when there is nothing.
    """

    name: str
    target: str
    owner: str


def zone(aws: Aws, name: str) -> str:
    """Id of the public hosted zone of that name, or empty when the account has none."""
    for found in aws.call("route53", "list_hosted_zones_by_name", DNSName=name)["HostedZones"]:
        if found["Name"].rstrip(".") == name and not found["Config"].get("PrivateZone"):
            return str(found["Id"]).rpartition("/")[2]
    return ""


def zone_of(aws: Aws, name: str) -> str:
    """Id of the account's public hosted zone that holds a name, the nearest one; empty when there is none."""
    zones = {
        found["Name"].rstrip("."): str(found["Id"]).rpartition("/")[2]
        for found in aws.pages("route53", "list_hosted_zones", "HostedZones")
        if not found["Config"].get("PrivateZone")
    }
    labels = name.split(".")
    above = (".".join(labels[start:]) for start in range(len(labels)))
    return next((zones[candidate] for candidate in above if candidate in zones), "")


def address(aws: Aws, zone_id: str, name: str) -> Address:
    """What the zone has at `name`."""
    held = _record(aws, zone_id, name, ("A", "AAAA", "CNAME"))
    mark = _record(aws, zone_id, f"{OWNER}.{name}", ("TXT",))
    return Address(name, _target(held) if held else "", _values(mark)[0].strip('"') if mark else "")


def point(aws: Aws, zone_id: str, name: str, balancer: LoadBalancer, owner: str) -> None:
    """Make `name` an alias of the load balancer, marked with `owner`, whatever was there."""
    alias = {"HostedZoneId": balancer.zone_id, "DNSName": balancer.dns_name, "EvaluateTargetHealth": False}
    mark = {"Name": f"{OWNER}.{name}", "Type": "TXT", "TTL": TTL, "ResourceRecords": [{"Value": f'"{owner}"'}]}
    _change(aws, zone_id, "UPSERT", mark, {"Name": name, "Type": "A", "AliasTarget": alias})


def remove(aws: Aws, zone_id: str, name: str) -> None:
    """Remove the alias and its mark; what is not there is gone already."""
    held = _record(aws, zone_id, name, ("A",))
    mark = _record(aws, zone_id, f"{OWNER}.{name}", ("TXT",))
    if found := [record for record in (held, mark) if record]:
        _change(aws, zone_id, "DELETE", *found)


def _record(aws: Aws, zone_id: str, name: str, types: tuple[str, ...]) -> Mapping[str, Any] | None:
    try:
        answer = aws.call("route53", "list_resource_record_sets", HostedZoneId=zone_id, StartRecordName=name)
    except AwsRefused as error:
        if error.not_found or error.aws_code == "NoSuchHostedZone":
            return None
        raise
    records = [r for r in answer["ResourceRecordSets"] if r["Name"].rstrip(".") == name and r["Type"] in types]
    return records[0] if records else None


def _target(record: Mapping[str, Any]) -> str:
    alias = record.get("AliasTarget")
    value: str = alias["DNSName"] if alias else _values(record)[0]
    return value.rstrip(".").lower()


def _values(record: Mapping[str, Any]) -> list[str]:
    return [held["Value"] for held in record.get("ResourceRecords") or ()] or [""]


def _change(aws: Aws, zone_id: str, action: str, *records: Mapping[str, Any]) -> None:
    changes = [{"Action": action, "ResourceRecordSet": record} for record in records]
    aws.call("route53", "change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch={"Changes": changes})
