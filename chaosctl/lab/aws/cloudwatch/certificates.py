"""Publishes how many days each certificate has left, as ACM does: AWS/CertificateManager, DaysToExpiry."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.acm.models import acm_backends
from moto.cloudwatch.models import cloudwatch_backends

from chaosctl.lab.aws.cloudwatch.alarms import metrics_of
from chaosctl.lab.aws.cloudwatch.metrics import Metric
from chaosctl.lab.aws.world import LOCK

EVERY = 600.0  # seconds; ACM does so twice a day
DAY = 86400.0


class Certificates:
    """A `Reconciler`."""

    name = "metrics of certificates"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}

    def reconcile(self) -> None:
        """A new certificate at once, every one again after some time."""
        now = self._clock()
        with LOCK:
            for account, region, backend in list(acm_backends.iter_backends()):
                metrics = metrics_of(cloudwatch_backends[account][region])
                for arn, certificate in backend._certificates.items():
                    if now - self._told.get(arn, 0.0) >= EVERY:
                        self._told[arn] = now
                        metric = Metric.of("AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": arn})
                        metrics.put(metric, now, _days(certificate, now), "None")


def _days(certificate: Any, now: float) -> int:
    ends: datetime = certificate._cert.not_valid_after_utc
    return int((ends - datetime.fromtimestamp(now, UTC)).total_seconds() // DAY)
