"""What `--json` promises, by command: the source of `chaosctl schema`. Only that command imports this.

Fields may be added at any time; none goes or changes its meaning without a new ui.render.SCHEMA in the envelope.
"""
# ruff: noqa: D101 - the fields say it

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import (
    Any,
    Literal,
    NotRequired,  # pydantic takes those of typing from Python 3.12 on only
)

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from chaosctl.adapters.acm import Certificate
from chaosctl.adapters.aws import Cluster
from chaosctl.adapters.cloudwatch import Alarm
from chaosctl.adapters.elb import LoadBalancer, TargetHealth
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.terraform_plan import AttributeChange
from chaosctl.chaos.drill import Drilled
from chaosctl.chaos.experiment import Budgets, FaultPlan, Timing, TrafficPlan
from chaosctl.chaos.outage import Latency, Outage, Span
from chaosctl.chaos.recovery import Clocks
from chaosctl.chaos.result import Kill
from chaosctl.chaos.tester import Tester
from chaosctl.findings import Level
from chaosctl.queries.costs import Item
from chaosctl.queries.drift import Difference
from chaosctl.queries.logs import Line
from chaosctl.queries.plan import ReleaseChange, RequestChange
from chaosctl.queries.setups import TradeOff, Usage
from chaosctl.queries.status import Answer, Node, PodLine, Spent, Workload
from chaosctl.report.runs import Run
from chaosctl.stages import smoke
from chaosctl.stages.rollback import RolledBack
from chaosctl.target import StandIn
from chaosctl.toolbox.toolbox import ToolReport
from chaosctl.ui.render import SCHEMA

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class StageOfUp(TypedDict):
    """A stage, as `up` reports it; stages add facts of their own."""

    changed: bool
    summary: str


class Up(TypedDict):
    url: str
    stages: dict[str, StageOfUp]
    stand_ins: list[StandIn]
    context: str


class StageAlone(StageOfUp):
    """A stage by itself."""

    stage: str


class Changes(TypedDict):
    added: int
    changed: int
    removed: int


class Infra(StageAlone):
    changes: Changes
    outputs: dict[str, Any]


class Unlocked(StageAlone):
    """The answer to `infra --unlock`."""

    unlocked: str


class Kubeconfig(StageAlone):
    file: str
    context: str


class Release(StageAlone):
    release: str
    revision: int
    pods: int


class App(Release):
    url: str


class Alarms(StageAlone):
    alarms: list[str]
    topic: str
    dashboard: str


class FigureOfTop(TypedDict):
    """A value for each of the last 15 full minutes, the oldest first; null: none was published."""

    unit: str
    last: float | None
    values: list[float | None]


class AlarmOfTop(TypedDict):
    state: str
    reason: str


class Top(TypedDict):
    until: str
    figures: dict[str, FigureOfTop]
    alarms: dict[str, AlarmOfTop]


class Finding(TypedDict):
    check: str
    level: Level
    what: str
    remedy: str
    origin: str


class Doctor(TypedDict):
    findings: list[Finding]
    counts: dict[str, int]
    seconds: float


class Resource(TypedDict):
    address: str
    type: str
    action: str
    attributes: list[AttributeChange]


class PriceTable(TypedDict):
    region: str
    collected: str


class PricesAsked(PriceTable):
    """`collected` is the date of the table; `live` names what AWS's price list gave just now instead."""

    live: list[str]


class PriceSource(PriceTable):
    source: str


class Cost(TypedDict):
    """Dollars a month."""

    before: float
    after: float
    items_before: list[Item]
    items_after: list[Item]
    currency: Literal["USD"]
    prices: PricesAsked


class Plan(TypedDict):
    different: bool
    terraform: list[Resource]
    aws: list[RequestChange]
    helm: list[ReleaseChange]
    cost: Cost


class SetUp(TypedDict):
    """What a set-up costs a month: what stands there, and what the assumed usage adds."""

    name: str
    total: float
    fixed: list[Item]
    used: list[Item]
    infra: dict[str, Any]


class Costs(TypedDict):
    currency: Literal["USD"]
    period: Literal["month"]
    setups: list[SetUp]
    usage: Usage
    trade_offs: list[TradeOff]
    prices: PriceSource


class Smoke(TypedDict):
    url: str
    passed: bool
    problems: list[str]
    routes: list[smoke.RouteCheck]
    latency: smoke.Latency
    stand_in: bool


class Stream(TypedDict):
    stream: str
    totals: dict[str, int]
    success_percent: float
    downtime: float
    longest: float
    outages: list[Outage]
    visible: float
    bound_percent: float | None
    latency: Latency | None


class Experiment(TypedDict):
    environment: str
    target: str
    aim: dict[str, Any]
    plan: FaultPlan
    traffic: TrafficPlan
    budgets: Budgets
    timing: Timing
    alarms: list[str]


class Advice(TypedDict):
    cause: str
    title: str
    because: str
    setting: str
    requests: int
    outcomes: str


class Judged(TypedDict):
    """A fault, and what came of it. `exit_status` is the program's too when there was only one."""

    verdict: str
    meaning: str
    exit_status: int
    reasons: list[str]
    notes: list[str]
    experiment: Experiment
    kills: list[Kill]
    streams: list[Stream]
    clocks: Clocks
    tester: Tester | None
    alarms: list[Drilled]
    spans: list[Span]
    advice: list[Advice]


class Carried(Judged):
    """One fault, carried out."""

    repeat: str
    journal: str
    reports: NotRequired[list[str]]


class JudgedStep(Judged):
    step: str


class RefusedStep(TypedDict):
    step: str
    verdict: str
    reasons: list[str]


class Scenario(TypedDict):
    """Several steps, carried out; the verdict is the worst of theirs."""

    verdict: str
    meaning: str
    exit_status: int
    steps: list[JudgedStep | RefusedStep]
    not_reached: list[str]
    journal: str
    reports: NotRequired[list[str]]


class Planned(TypedDict):
    """The answer to --dry-run: a plan file, of one step or of several."""

    plan: dict[str, Any]


class Undone(TypedDict):
    undone: list[str]


class Listed(TypedDict):
    fault: str
    about: str
    needs: str
    undo: str
    here: bool
    reason: str


class Shipped(TypedDict):
    name: str
    about: str
    steps: str


class Faults(TypedDict):
    faults: list[Listed]
    scenarios: list[Shipped]


class Runs(TypedDict):
    runs: list[Run]


class Nowhere(TypedDict):
    """There is no target to look at."""

    target: str
    environment: str
    cluster: None


class StageSeen(TypedDict):
    """Whether what a stage of `up` makes is there."""

    stage: str
    state: Literal["done", "incomplete", "missing", "unknown"]
    seen: str


class Seen(TypedDict):
    """What exists, and what is wrong with it; `drift` with --drift only."""

    target: str
    environment: str
    region: str
    chaosctl: str
    stages: list[StageSeen]
    cluster: Cluster | None
    nodes: list[Node]
    workloads: list[Workload]
    pods: list[PodLine]
    url: str
    answer: Answer | None
    balancer: LoadBalancer | None
    targets: list[TargetHealth]
    certificates: list[Certificate]
    alarms: list[Alarm]
    spent: Spent | None
    last_chaos: Run | None
    rolled_back: RolledBack | None
    remains: list[Leftover]
    problems: list[str]
    troubles: list[str]
    healthy: bool
    seconds: float
    drift: NotRequired[list[Difference]]


class Logs(TypedDict):
    """Lines of containers. With --follow each of `lines` is printed by itself, on a line of its own."""

    source: Literal["cloudwatch", "cluster"]
    fallback: str
    earlier: int
    repeated: int
    lines: list[Line]


class Url(TypedDict):
    url: str


class Down(TypedDict):
    left: list[Any]
    changed: bool


class LabStarted(TypedDict):
    endpoint: str


class LabStopped(TypedDict):
    left: list[Any]


class LabStatus(TypedDict):
    root: str
    running: bool
    endpoint: str
    programs: dict[str, str]
    memory_bytes: int
    left: list[str]


class LabLogs(TypedDict):
    logs: dict[str, str]


class LabLog(TypedDict):
    program: str
    lines: list[str]


class Tools(TypedDict):
    tools: list[ToolReport]


class Version(TypedDict):
    chaosctl: str
    python: str


class Error(TypedDict):
    """Why a command did not do what was asked. `code` is stable; docs/errors.md lists them."""

    code: str
    status: int
    what: str
    why: str
    remedy: str


# command -> what its `result` is. `token` prints what Kubernetes defines instead, `schema` and `chaos schema` a schema.
RESULTS: dict[str, Any] = {
    "up": Up,
    "infra": Infra | Unlocked,
    "kubeconfig": Kubeconfig,
    "controller": Release,
    "autoscaler": Release,
    "app": App,
    "alarms": Alarms,
    "doctor": Doctor,
    "plan": Plan,
    "cost": Costs,
    "smoke": Smoke,
    "chaos": Carried | Planned | Undone,
    "chaos run": Carried | Scenario | Planned,
    "chaos list": Faults,
    "chaos report": Carried,
    "chaos runs": Runs,
    "status": Seen | Nowhere,
    "logs": Logs,
    "top": Top,
    "url": Url,
    "down": Down,
    "lab start": LabStarted,
    "lab stop": LabStopped,
    "lab status": LabStatus,
    "lab env": dict[str, str],
    "lab logs": LabLogs | LabLog,
    "tools": Tools,
    "version": Version,
}


def schema(commands: Sequence[str]) -> dict[str, Any]:
    """A JSON schema (draft 2020-12) of what these commands print with --json, errors included."""
    adapters = [(name, TypeAdapter(RESULTS[name])) for name in commands] + [("error", TypeAdapter(Error))]
    refs, definitions = TypeAdapter.json_schemas(
        [(name, "serialization", adapter) for name, adapter in adapters], schema_generator=_Promised
    )
    found = {name: refs[name, "serialization"] for name, _ in adapters}
    return {
        "$schema": DIALECT,
        "title": f"chaosctl --json, schema {SCHEMA}",
        "type": "object",
        "required": ["schema", "command", "ok"],
        "properties": {"schema": {"const": SCHEMA}, "command": {"type": "string"}, "ok": {"type": "boolean"}},
        "oneOf": [
            {"required": ["error"], "properties": {"error": found.pop("error"), "ok": {"const": False}}},
            *map(partial(_answer, found), found),
        ],
        "$defs": definitions.get("$defs", {}),
    }


def _answer(found: dict[str, Any], command: str) -> dict[str, Any]:
    return {"required": ["result"], "properties": {"command": {"const": command}, "result": found[command]}}


class _Promised(GenerateJsonSchema):
    """Without what is ours: titles that repeat the name, and defaults, since everything is always there."""

    def default_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
