"""EC2 instances, as far as their life is concerned."""

from __future__ import annotations

from chaosctl.adapters.aws import Aws, AwsRefused


class Instances:
    """The instances of one account and region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def state(self, instance: str) -> str:
        """pending, running, shutting-down, terminated ...; empty when AWS knows no such instance."""
        try:
            answer = self._aws.call("ec2", "describe_instances", InstanceIds=[instance])
        except AwsRefused as error:
            if error.not_found:
                return ""
            raise
        found = [one for reservation in answer["Reservations"] for one in reservation["Instances"]]
        return str(found[0]["State"]["Name"]) if found else ""

    def terminate(self, instance: str) -> None:
        """Terminate it; returns when that was acknowledged."""
        self._aws.call("ec2", "terminate_instances", InstanceIds=[instance])
