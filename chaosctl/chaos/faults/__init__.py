"""The faults, by name."""

from __future__ import annotations

from collections.abc import Mapping

from chaosctl.chaos.faults.app_crash import AppCrash
from chaosctl.chaos.faults.bad_rollout import BadRollout
from chaosctl.chaos.faults.bigger_pods import BiggerPods
from chaosctl.chaos.faults.container_crash import ContainerCrash
from chaosctl.chaos.faults.controller_kill import ControllerKill
from chaosctl.chaos.faults.coredns_kill import CoreDnsKill
from chaosctl.chaos.faults.cpu_pressure import CpuPressure
from chaosctl.chaos.faults.dns_failure import DnsFailure
from chaosctl.chaos.faults.fault import Fault
from chaosctl.chaos.faults.health_check_path import HealthCheckPath
from chaosctl.chaos.faults.hpa_load import HpaLoad
from chaosctl.chaos.faults.memory_pressure import MemoryPressure
from chaosctl.chaos.faults.network_latency import NetworkLatency
from chaosctl.chaos.faults.network_loss import NetworkLoss
from chaosctl.chaos.faults.network_partition import NetworkPartition
from chaosctl.chaos.faults.node_drain import NodeDrain
from chaosctl.chaos.faults.node_shortage import NodeShortage
from chaosctl.chaos.faults.node_terminate import NodeTerminate
from chaosctl.chaos.faults.pod_kill import PodKill
from chaosctl.chaos.faults.rolling_restart import RollingRestart
from chaosctl.chaos.faults.scale import Scale
from chaosctl.chaos.faults.slow_cold_start import SlowColdStart
from chaosctl.chaos.faults.together import Together
from chaosctl.chaos.faults.zone_loss import ZoneLoss

# Those that a scenario can name, in the order of `chaosctl chaos list`.
SINGLE: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        PodKill(),
        ContainerCrash(),
        AppCrash(),
        SlowColdStart(),
        RollingRestart(),
        BadRollout(),
        Scale(),
        HpaLoad(),
        BiggerPods(),
        NetworkLatency(),
        NetworkLoss(),
        NetworkPartition(),
        CpuPressure(),
        MemoryPressure(),
        NodeDrain(),
        NodeTerminate(),
        NodeShortage(),
        ZoneLoss(),
        HealthCheckPath(),
        CoreDnsKill(),
        ControllerKill(),
        DnsFailure(),
    )
}
FAULTS: Mapping[str, Fault] = {**SINGLE, Together.name: Together(SINGLE)}
