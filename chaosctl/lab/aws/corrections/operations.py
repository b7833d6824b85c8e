"""Every service: which operation a request is."""

from __future__ import annotations

from typing import Any

from moto.core.responses import BaseResponse


def apply() -> None:
    """X-Amz-Target says the operation.

    moto asks for a parameter first, and takes any body for parameters: a secret, or a line of a log, in which
    `&Action=` occurs is not stored.
    """
    by_parameter = BaseResponse._get_action

    def by_target(self: Any) -> str:
        target = self.headers.get("X-Amz-Target")
        return str(target.rpartition(".")[2]) if target else by_parameter(self)

    BaseResponse._get_action = by_target
