"""The end of a container without warning."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from chaosctl.chaos.agent.act import Act
from chaosctl.chaos.agent.container import Container


class Crash(Act):
    """SIGKILL to the main process, which nothing inside the container could send to it."""

    def __init__(self, task: Mapping[str, Any], container: Container, resources: ExitStack) -> None:
        ended = os.pidfd_open(container.main)
        signal.pidfd_send_signal(ended, signal.SIGKILL)
        select.select([ended], [], [], 5.0)
        self.over = f"process {container.main} was killed"

    def proof(self) -> str:
        return self.over
