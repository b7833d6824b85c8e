"""Putting members of moto's classes in the place of others."""

from __future__ import annotations

from typing import Any


def replace(owner: type, **members: Any) -> None:
    """From now on the class has these members."""
    for name, member in members.items():
        setattr(owner, name, member)
