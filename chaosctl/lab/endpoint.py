"""The lab's AWS as its clients see it: where it answers, whether it does, and what leads an AWS SDK there.

kubectl asks for a token at each call: what only starts, stops or mends a lab is not imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from chaosctl.errors import Unreachable
from chaosctl.events import Emit
from chaosctl.lab.layout import AWS_ENDPOINT, Layout
from chaosctl.waiting import TimedOut, wait_until

RESTART_SECONDS = 20.0  # for the supervisor to start an AWS again that was killed; 2 s in practice


class Endpoint:
    """Where the AWS of one lab answers. `wanted_port` counts until the lab was started once; None: it has been."""

    def __init__(self, layout: Layout, wanted_port: int | None = None) -> None:
        self._layout, self._wanted_port = layout, wanted_port

    @property
    def address(self) -> str:
        """Address and port on this machine."""
        return f"{self._layout.loopback(AWS_ENDPOINT)}:{self.port}"

    @property
    def url(self) -> str:
        """What an SDK takes as the URL of AWS."""
        return f"http://{self.address}"

    @property
    def port(self) -> int:
        """Of the running lab, whatever the settings say by now."""
        try:
            return int(json.loads(self.parameters.read_text())["aws_port"])
        except (OSError, ValueError, KeyError):
            if self._wanted_port is None:
                raise
            return self._wanted_port

    @property
    def parameters(self) -> Path:
        """The file of what a lab was started with; there as long as the lab is."""
        return self._layout.root / "lab.json"

    def exists(self) -> bool:
        """Whether the lab was started and not removed since, however it is now."""
        return self.parameters.exists()

    def running(self) -> bool:
        """Whether the lab's AWS answers; that of another lab at the same address does not count."""
        root = str(self._layout.root)
        try:
            with closing(HTTPConnection(self._layout.loopback(AWS_ENDPOINT), self.port, timeout=5)) as connection:
                connection.request("GET", "/chaosctl/health")
                answer = connection.getresponse()
                said = json.loads(answer.read())
                return answer.status == HTTPStatus.OK and said.get("lab", root) == root
        except (OSError, HTTPException, ValueError, KeyError):
            return False

    def answers(self, emit: Emit) -> bool:
        """Whether there is a lab to work with; one that was just killed gets the time to come back.

        Raises Unreachable (LAB-DIED) when there is one that nobody starts again.
        """
        if not self.exists():
            return False
        if self.running():
            return True
        from chaosctl.lab.supervisor import Supervisor

        if Supervisor(self._layout).running():
            with suppress(TimedOut):
                return wait_until(
                    lambda: (self.running(), ""),
                    "the lab's AWS, which starts again",
                    timeout=RESTART_SECONDS,
                    emit=emit,
                )
        raise Unreachable(
            "the lab does not run",
            code="LAB-DIED",
            why=f"it was started, in {self._layout.root}, but its processes were ended",
            remedy="`chaosctl lab start` starts it again with all that was deployed; `chaosctl lab stop` removes it",
        )

    def account_id(self) -> str:
        """The twelve digits of the lab's AWS account."""
        return str(self._operator()["Arn"].split(":")[4])

    def environment(self, region: str, domain: str = "") -> dict[str, str]:
        """Target.aws_env of the lab: its address and its operator's keys. `domain` is the app's own, if it has one."""
        operator = self._operator()
        return {
            **undiverted(os.environ, self._layout, region, domain),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": operator["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": operator["SecretAccessKey"],
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _operator(self) -> dict[str, str]:
        operator: dict[str, str] = json.loads((self._layout.aws / "operator.json").read_text())
        return operator


def undiverted(environment: Mapping[str, str], layout: Layout, region: str, domain: str = "") -> dict[str, str]:
    """What takes the effect from everything in `environment` that would lead an AWS SDK away from the lab.

    Empty counts as not set for all of them: profiles, session tokens, endpoints of single services, FIPS. The lab's own
    addresses are exempt from proxies; the internet is reached through them as before.
    """
    direct = ["127.0.0.0/8", layout.loopback(AWS_ENDPOINT), f".{region}.elb.amazonaws.com", domain]
    no_proxy = ",".join(filter(None, [environment.get("no_proxy") or environment.get("NO_PROXY"), *direct]))
    return {
        **{name: "" for name in environment if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
