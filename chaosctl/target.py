"""Where the stages act. Stages use what a target yields and never ask which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaosctl.findings import Check


@dataclass(frozen=True)
class ChartSource:
    """A Helm chart: a directory or archive on this machine, or `name` in the repository `repo` at `version`."""

    ref: str
    repo: str | None = None
    version: str | None = None
    values: tuple[Path | Mapping[str, Any], ...] = ()  # of this target, files or not, applied after the chart's own


@dataclass(frozen=True)
class StandIn:
    """The lab's own replacement `what` that serves in place of `real`."""

    what: str
    real: str


@dataclass(frozen=True)
class Target:
    """Endpoints, credentials and values of one place to deploy to.

    aws_env              environment that makes every AWS SDK (boto3, Terraform's, the token plugin's) reach this AWS
    marks                environment of programs that may outlive chaosctl: whoever removes the target finds them by it
    terraform_variables  beside those from the settings
    charts               by release name: `aws-load-balancer-controller`, `cluster-autoscaler` and the app's
    state_bucket         S3 bucket of the Terraform state
    billed_to            who pays for what is made there: an AWS account; empty where nothing costs anything
    certificate          ARN of a certificate of ACM that the target has for its load balancers' own names, made when it
                         is asked for; empty where there can be none
    ca_file              PEM file of the authorities that users have to trust beside those of the system, or None
    checks               what `doctor` looks at besides, because only this target has it
    helper_image         what chaos helpers run in; empty: the public image
    kubeconfig, kube_context  the cluster, when it is not one that the stages made themselves (target `context`): one
                         file or several, as KUBECONFIG names them; without a context their current one
    """

    name: str
    region: str
    aws_env: Mapping[str, str]
    charts: Mapping[str, ChartSource]
    state_bucket: str
    terraform_variables: Mapping[str, Any] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    stand_ins: tuple[StandIn, ...] = ()
    billed_to: str = ""
    certificate: Callable[[], str] = lambda: ""
    ca_file: Path | None = None
    checks: tuple[Check, ...] = ()
    helper_image: str = ""
    kubeconfig: str | None = None
    kube_context: str | None = None
    release: Callable[[], None] = lambda: None  # called when `down` has proved that nothing is left
