"""Measuring comes before what is measured, on a machine that has both."""

from __future__ import annotations

import contextlib
import os


def come_first() -> None:
    """Be scheduled before what is measured, on a machine that has both; allowed to root only.

    Of 2 cores with a load of 12 this makes the 99th percentile of the lag 1 ms instead of 45 ms. It sleeps nearly
    always, and the kernel keeps a share of each core from real-time processes, so nothing can be starved by it.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except (OSError, AttributeError):  # not allowed, or not Linux
        with contextlib.suppress(OSError):
            os.nice(-10)
