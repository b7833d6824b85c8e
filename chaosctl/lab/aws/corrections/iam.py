"""IAM: AWS's managed policies, one by one instead of all 1,400 at once."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend

ASKING = (
    "attach_group_policy",
    "attach_role_policy",
    "attach_user_policy",
    "get_policy",
    "get_policy_version",
    "list_policy_versions",
)


def apply() -> None:
    """Load a managed policy when somebody names it.

    Without them every attachment fails; loading all costs a second, 60 MB, and 20 MB in every saved state.
    """
    for name in ASKING:
        setattr(IAMBackend, name, _loading(getattr(IAMBackend, name)))


def _loading(method: Any) -> Any:
    def wrapper(self: IAMBackend, *args: Any, **named: Any) -> Any:
        for value in (*args, *named.values()):
            if isinstance(value, str) and ":iam::aws:policy/" in value and value not in self.managed_policies:
                load(self, value)
        return method(self, *args, **named)

    return wrapper


def load(backend: IAMBackend, arn: str) -> None:
    """Make one of AWS's managed policies known; does nothing when there is no such policy."""
    name = arn.rsplit("/", 1)[-1]
    key = f'\n "{name}":'
    start = aws_managed_policies_data.find(key)
    if start < 0:
        return
    data, _ = json.JSONDecoder().raw_decode(aws_managed_policies_data, start + len(key))
    policy = AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, data)
    if policy.arn == arn:
        backend.managed_policies[arn] = policy
