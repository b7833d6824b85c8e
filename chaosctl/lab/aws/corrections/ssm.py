"""SSM: the public parameters that name EKS's node images."""

from __future__ import annotations

from moto.core.utils import utcnow
from moto.ssm.models import Parameter, ParameterDict

from chaosctl.lab.aws.eks.versions import image_parameter


def apply() -> None:
    """Answer /aws/service/eks/optimized-ami/...: moto says that they do not exist."""
    load = ParameterDict._check_loading_status

    def check(self: ParameterDict, key: str) -> None:
        load(self, key)
        value = image_parameter(str(key or ""))
        if value is not None and not dict.__contains__(self, key):
            dict.__setitem__(self, key, [_parameter(self.account_id, key, value)])

    ParameterDict._check_loading_status = check


def _parameter(account_id: str, name: str, value: str) -> Parameter:
    return Parameter(
        account_id=account_id,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=utcnow(),
        version=1,
        data_type="aws:ec2:image" if value.startswith("ami-") else "text",
    )
