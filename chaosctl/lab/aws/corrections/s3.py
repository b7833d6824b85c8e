"""S3: what the bucket of a Terraform state needs."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket, FakeDeleteMarker


def apply() -> None:
    """Apply all of them."""
    FakeBucket.get_permission = _permission
    # DeleteObjects on a key with a delete marker answers 500, which is retried for minutes: a lock file leaves one.
    FakeDeleteMarker.dispose = _dispose


def _permission(bucket: FakeBucket, action: str, resource: str) -> Any:
    # moto ignores conditions: a bucket that denies insecure transport answers 403 to everything.
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(bucket.policy)
    document["Statement"] = [statement for statement in document["Statement"] if not _about_transport(statement)]
    if not document["Statement"]:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)


def _about_transport(statement: dict[str, Any]) -> bool:
    # The lab's endpoint never leaves this machine, so that its transport counts as secure.
    condition = statement.get("Condition", {}).get("Bool", {})
    return statement.get("Effect") == "Deny" and str(condition.get("aws:SecureTransport", "")).lower() == "false"


def _dispose(marker: FakeDeleteMarker, garbage: bool = False) -> None:
    """A delete marker holds no data."""
