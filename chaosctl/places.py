"""Where things are: what ships with chaosctl, what a run must find again, and what can be had again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from chaosctl.errors import PreconditionFailed


def cache_dir() -> Path:
    """Tools and what they were made from; can be deleted at any time. CHAOSCTL_CACHE_DIR sets another place."""
    return _place("CHAOSCTL_CACHE_DIR", platformdirs.user_cache_dir)


def state_dir() -> Path:
    """What a run must find again: lab, locks, journals, undo logs. CHAOSCTL_STATE_DIR sets another place."""
    return _place("CHAOSCTL_STATE_DIR", platformdirs.user_state_dir)


def _place(variable: str, default: Callable[[str], str]) -> Path:
    try:
        return Path(os.environ.get(variable) or default("chaosctl")).absolute()
    except RuntimeError as error:
        raise PreconditionFailed(
            "you have no home directory to keep things in",
            code="NO-HOME",
            why=str(error),
            remedy="set HOME, or CHAOSCTL_STATE_DIR, CHAOSCTL_CACHE_DIR and KUBECONFIG",
        ) from error


def asset(name: str) -> Path:
    """The directory `terraform` or `helm` that ships with chaosctl: in the wheel, or beside a checkout's package."""
    package = Path(__file__).resolve().parent
    inside = package / "assets" / name
    return inside if inside.is_dir() else package.parent / name
