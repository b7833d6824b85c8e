"""The targets that are not the lab: an AWS account, and a cluster that something else deployed to."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from functools import partial

from chaosctl import places
from chaosctl.adapters import http, kubeconfig
from chaosctl.adapters.aws import Aws, environment
from chaosctl.adapters.kube import DISRUPTION_BUDGETS, INGRESSES, PODS, Kube
from chaosctl.config import Settings
from chaosctl.errors import PreconditionFailed, UsageProblem
from chaosctl.events import Emit, Step
from chaosctl.findings import Check, Finding, ok, problem, warning
from chaosctl.stages import app, autoscaler, controller, entrance, examinations
from chaosctl.target import ChartSource, Target

WHAT_IS_MY_ADDRESS = "https://checkip.amazonaws.com"


def open_aws(settings: Settings, emit: Emit) -> Target:
    """The account that the usual AWS credentials belong to. Refuses another one than settings.account_id."""
    env = environment(settings.region, settings.profile)
    caller = Aws(env, settings.region).caller()
    if settings.account_id not in (None, caller.account):
        raise PreconditionFailed(
            f"these credentials belong to the AWS account {caller.account}, not to {settings.account_id}",
            code="AWS-WRONG-ACCOUNT",
            why=caller.arn,
            remedy="use the other credentials (AWS_PROFILE), or change account_id in chaosctl.toml",
        )
    emit(Step(f"AWS account {caller.account}, as {caller.arn}"))
    return Target(
        name="aws",
        region=settings.region,
        aws_env=env,
        charts=_charts(settings),
        state_bucket=f"chaosctl-state-{caller.account}-{settings.region}",
        terraform_variables={"public_access_cidrs": settings.infra.public_access_cidrs or [_own_address()]},
        billed_to=caller.account,
        checks=(
            Check("account pinned", partial(_pinned, settings, caller.account)),
            Check("own address", partial(_address, settings, env)),
        ),
    )


def _pinned(settings: Settings, account: str) -> Iterator[Finding]:
    """Other credentials by mistake are noticed only when the settings say which account is meant."""
    if settings.account_id:
        yield ok(account)
        return
    yield warning("no account is named in the settings", f'set account_id = "{account}" in chaosctl.toml')


def _address(settings: Settings, env: dict[str, str]) -> Iterator[Finding]:
    """We can reach the Kubernetes API through its public endpoint."""
    own = str(ipaddress.ip_network(_own_address()).network_address)
    cluster = examinations.described(Aws(env, settings.region), settings.cluster_name)
    yield from examinations.address_inside(own, settings.infra.public_access_cidrs, cluster)


def _charts(settings: Settings) -> dict[str, ChartSource]:
    helm = places.asset("helm")
    values = helm / "values" / "aws"
    return {
        controller.RELEASE: controller.published(settings.mirrors, values / f"{controller.RELEASE}.yaml"),
        autoscaler.RELEASE: autoscaler.published(settings.mirrors, values / f"{autoscaler.RELEASE}.yaml"),
        settings.release: ChartSource(
            str(helm / "chaotic-backend"), values=app.chart_values(settings, values / "chaotic-backend.yaml")
        ),
    }


def _own_address() -> str:
    """The network that the cluster's public endpoint is opened for: the address that AWS sees us from."""
    seen = http.get_text(WHAT_IS_MY_ADDRESS).strip()
    return str(ipaddress.ip_network(seen))


def open_kube_context(settings: Settings) -> Target:
    """A cluster named by a kubeconfig context; AWS is not asked for anything.

    The current context alone will not do: it is too easily another one than was thought of, and chaos breaks things.
    """
    if settings.kube_context is None and settings.kubeconfig is None:
        raise UsageProblem(
            "the target `context` needs to know which cluster",
            code="CONTEXT-MISSING",
            remedy="name a context with --context, or set kube_context or kubeconfig in chaosctl.toml",
        )
    files = str(settings.kubeconfig or os.pathsep.join(map(str, kubeconfig.files())))
    kube = Kube(files, settings.kube_context)
    return Target(
        name="context",
        region=settings.region,
        aws_env={},
        charts={},
        state_bucket="",
        kubeconfig=files,
        kube_context=settings.kube_context,
        checks=(
            Check("app in the context", partial(_app_found, kube, settings)),
            Check("rights for chaos", partial(_allowed, kube, settings)),
        ),
    )


def _app_found(kube: Kube, settings: Settings) -> Iterator[Finding]:
    """There are pods to break, and a place where users come in."""
    pods = kube.pods(settings.namespace, settings.app_selector)
    where = f"in namespace {settings.namespace}, labels {settings.app_selector}"
    if pods:
        yield ok(f"{sum(pod.ready for pod in pods)} of {len(pods)} pods ready {where}")
    else:
        yield problem(f"no pods {where}", "set namespace and selector (--namespace, --selector)")
    if not (settings.url or entrance.url_of(kube.get(INGRESSES, settings.release, settings.namespace))):
        yield warning(f"no Ingress {settings.namespace}/{settings.release} with an address", "set url, or give --url")


def _allowed(kube: Kube, settings: Settings) -> Iterator[Finding]:
    """What `chaos --kill-pods` asks of the API server, asked beforehand (docs/context.md has the Role)."""
    wanted = {
        f"{verb} {resource.plural}": {"verb": verb, "group": resource.group, "resource": resource.plural}
        for verb, resource in (("list", PODS), ("watch", PODS), ("delete", PODS), ("list", DISRUPTION_BUDGETS))
    } | {"get namespace kube-system": {"verb": "get", "resource": "namespaces", "name": "kube-system"}}
    refused = [said for said, asked in wanted.items() if not kube.may(asked, settings.namespace)]
    if refused:
        yield problem(f"these credentials may not {', '.join(refused)}", "docs/context.md has the Role that it takes")
    else:
        yield ok("pods may be watched and deleted")
