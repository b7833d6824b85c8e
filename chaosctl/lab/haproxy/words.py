"""What a configuration is written with: names, quoted words, and the error for what it cannot say."""

from __future__ import annotations

import re

from chaosctl.errors import StageFailed


def short_id(arn: str) -> str:
    """The 16 hex digits that end the ARN of a load balancer or a target group."""
    return arn.rsplit("/", 1)[-1]


def quoted(text: str) -> str:
    """One word of HAProxy's configuration. Raises StageFailed (LB-UNREPRESENTABLE) for what no word can hold."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise unrepresentable(f"a control character in {text!r}")
    return "'" + text.replace("'", "'\\''") + "'"


def unrepresentable(why: str) -> StageFailed:
    """The error for what an elbv2 object asks, and HAProxy or the lab cannot do."""
    return StageFailed(
        "the load balancer cannot be made real",
        code="LB-UNREPRESENTABLE",
        why=why,
        remedy="change the listener, its rules or the target group",
    )
