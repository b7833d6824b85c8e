"""The faults, by name."""

from __future__ import annotations

from collections.abc import Mapping

from chaosctl.chaos.faults.fault import Fault
from chaosctl.chaos.faults.pod_kill import PodKill

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (PodKill(),)}
