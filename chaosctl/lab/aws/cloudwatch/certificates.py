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
        self._told: dict[tuple[str, datetime], float] = {}

    def reconcile(self) -> None:
        """A new certificate at once, also one that was imported in place of another; every one again after some time.

        What waits for its validation has no end yet.
        """
        now = self._clock()
        with LOCK:
            for account, region, backend in list(acm_backends.iter_backends()):
                metrics = metrics_of(cloudwatch_backends[account][region])
                for arn, certificate in backend._certificates.items():
                    certificate.check()
                    told = (arn, _end(certificate))
                    if certificate.status == "ISSUED" and now - self._told.get(told, 0.0) >= EVERY:
                        self._told[told] = now
                        metric = Metric.of("AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": arn})
                        metrics.put(metric, now, _days(certificate, now), "None")


def _end(certificate: Any) -> datetime:
    ends: datetime = certificate._cert.not_valid_after_utc
    return ends


def _days(certificate: Any, now: float) -> int:
    return int((_end(certificate) - datetime.fromtimestamp(now, UTC)).total_seconds() // DAY)
