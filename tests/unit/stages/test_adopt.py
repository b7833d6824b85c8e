from __future__ import annotations

from chaosctl.adapters.terraform_messages import PlannedChange
from chaosctl.stages.adopt import adoptable


def test_what_would_be_created_and_exists_is_adopted() -> None:
    planned = [PlannedChange("aws_vpc.main", "create"), PlannedChange("aws_eip.nat", "create")]
    assert adoptable(planned, {"aws_vpc.main": "vpc-1"}) == {"aws_vpc.main": "vpc-1"}


def test_what_terraform_knows_or_does_not_want_is_left_alone() -> None:
    planned = [PlannedChange("aws_vpc.main", "update")]
    assert adoptable(planned, {"aws_vpc.main": "vpc-1", 'aws_subnet.public["us-west-2c"]': "subnet-3"}) == {}
