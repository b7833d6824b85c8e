"""The lab's operator: the IAM user as whom Terraform, boto3 and the token plugin act."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

USER = "chaosctl-operator"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def ensure(file: Path) -> dict[str, str]:
    """Create the user, its rights and its access key when they are not there, and write the key to `file` (0600).

    Nobody else could give them back to an operator who has shut himself out.
    """
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    if USER not in {user.name for user in backend.users.values()}:
        backend.create_user(DEFAULT_ACCOUNT_ID, USER)
    user = backend.get_user(USER)
    if ADMINISTRATOR not in user.managed_policies:
        backend.attach_user_policy(ADMINISTRATOR, USER)
    keys = user.access_keys or [backend.create_access_key(USER)]
    key = next((key for key in keys if key.status == "Active"), keys[0])
    key.status = "Active"
    written = {"AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key, "Arn": user.arn}
    _write(file, written)
    return written


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(content, stream)
    draft.replace(file)
