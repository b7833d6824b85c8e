"""The authority that the lab's ACM issues with."""

from __future__ import annotations

from chaosctl.lab.pki import Authority

_authority: Authority | None = None


def use(authority: Authority) -> None:
    """Issue with this one from now on."""
    global _authority
    _authority = authority


def authority() -> Authority:
    """The one in use; without `use`, one that lives no longer than this process."""
    global _authority
    if _authority is None:
        _authority = Authority.new("chaosctl lab")
    return _authority
