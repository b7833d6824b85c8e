"""Scenarios: faults in order or at once, what must hold before, and what users may notice. In YAML, with a schema.

The schema is shipped as scenarios/schema.json, for editors; `# yaml-language-server: $schema=...` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chaosctl.adapters import yaml_text
from chaosctl.chaos.experiment import Aim, Budgets, Mode
from chaosctl.chaos.faults import SINGLE
from chaosctl.errors import ChaosctlError, UsageProblem

SHIPPED = Path(__file__).parent / "scenarios"
SCHEMA = SHIPPED / "schema.json"


class Part(BaseModel):
    """A table of a scenario; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Steady(Part):
    """The steady state that each step begins with: ready pods, healthy targets, clean traffic."""

    seconds: float = Field(5.0, gt=0, description="clean traffic before anything is broken")
    within: float = Field(60.0, gt=0, description="how long to wait for it")


class Recovery(Part):
    """A budget for each recovery clock, in seconds from the acknowledged fault, or the undo of one that is held."""

    replacements: float = Field(120.0, gt=0)
    targets: float = Field(120.0, gt=0)
    traffic: float = Field(120.0, gt=0)


class BudgetsOf(Part):
    """What users may notice; what is left out is taken from the scenario, or from chaosctl.toml."""

    success_percent: float | None = Field(None, ge=0, le=100, description="requests that must succeed")
    downtime_seconds: float | None = Field(None, ge=0, description="time without a good answer")
    latency_seconds: float | None = Field(None, gt=0, description="within which 99 % of the good answers must come")
    recovery_seconds: float | Recovery | None = Field(None, description="one figure for all clocks, or one for each")


class BlastRadius(Part):
    """More than the guard rails allow by themselves."""

    consent: bool = Field(False, description="more than half of the ready pods, or the last one (--yes-really)")
    ignore_pdb: bool = Field(False, description="delete although a PodDisruptionBudget is violated")


class FaultOf(Part):
    """One fault: which, to how many, and what else it can be told (`with`)."""

    fault: str | None = Field(None, description="as `chaosctl chaos list` names it")
    mode: Mode = Field(Mode.GRACEFUL, description="of pod-kill")
    count: int | None = Field(None, ge=1, description="how many pods; one, when nothing is said")
    percent: float | None = Field(None, gt=0, le=100, description="how many of the ready pods")
    options: dict[str, Any] = Field(default_factory=dict, alias="with")

    @model_validator(mode="after")
    def _known(self) -> FaultOf:
        if self.fault is not None and self.fault not in SINGLE:
            raise ValueError(f"there is no fault {self.fault}; there are {', '.join(SINGLE)}")
        if self.count is not None and self.percent is not None:
            raise ValueError("count and percent both say how many")
        if self.fault is not None:
            try:
                SINGLE[self.fault].told(self.options)
            except ChaosctlError as error:
                raise ValueError(error.why) from error
        return self


class StepOf(FaultOf):
    """A fault, or several `together`; each step is gated, observed and judged by itself."""

    name: str = ""
    together: tuple[FaultOf, ...] = Field((), description="faults that are injected at once")
    budgets: BudgetsOf = BudgetsOf()
    blast_radius: BlastRadius | None = None
    observe: float | None = Field(None, ge=0, description="seconds to watch after the fault, at least")
    expect_alarms: tuple[str, ...] = Field((), description="alarms that have to go off, and to be over again")

    @model_validator(mode="after")
    def _one_or_many(self) -> StepOf:
        if (self.fault is None) == (not self.together) or any(part.fault is None for part in self.together):
            raise ValueError("a step has either a `fault`, or faults `together`")
        return self

    @property
    def title(self) -> str:
        """What the table calls it."""
        return self.name or self.fault or " + ".join(str(part.fault) for part in self.together)


class Scenario(Part):
    """A scenario file."""

    name: str
    about: str = ""
    seed: int | None = Field(None, ge=0, description="chooses victims; left out: another one each time")
    rate: float | None = Field(None, gt=0, le=2000, description="requests a second on each of two streams")
    observe: float | None = Field(None, ge=0, description="seconds to watch after each fault, at least")
    steady: Steady | None = None
    budgets: BudgetsOf = BudgetsOf()
    blast_radius: BlastRadius = BlastRadius()
    steps: tuple[StepOf, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Step:
    """A step as the command carries it out. None: as chaosctl.toml says."""

    title: str
    aim: Aim
    budgets: Mapping[str, Any]
    observe: float | None = None
    alarms: tuple[str, ...] = ()


def steps(scenario: Scenario, seed: int, *, consent: bool = False, ignore_pdb: bool = False) -> tuple[Step, ...]:
    """The steps with their aims; the n-th one chooses by `seed` + n, the m-th of its parts by that + m.

    The flags add to what the scenario consents to.
    """
    made = []
    for number, step in enumerate(scenario.steps):
        radius = step.blast_radius or scenario.blast_radius
        allowed = BlastRadius(consent=radius.consent or consent, ignore_pdb=radius.ignore_pdb or ignore_pdb)
        observe = scenario.observe if step.observe is None else step.observe
        aim, budgets = _aim(step, seed + number, allowed), _budgets(scenario, step)
        made.append(Step(step.title, aim, budgets, observe, step.expect_alarms))
    return tuple(made)


def _aim(step: StepOf, seed: int, allowed: BlastRadius) -> Aim:
    if step.fault is not None:
        return _single(step, seed, allowed)
    parts = tuple(_single(part, seed + number, allowed) for number, part in enumerate(step.together))
    return Aim(seed, consent=allowed.consent, ignore_pdb=allowed.ignore_pdb, fault="together", parts=parts)


def _single(part: FaultOf, seed: int, allowed: BlastRadius) -> Aim:
    return Aim(
        seed=seed,
        mode=part.mode,
        count=part.count,
        percent=part.percent,
        fault=str(part.fault),
        options=part.options,
        consent=allowed.consent,
        ignore_pdb=allowed.ignore_pdb,
    )


def _budgets(scenario: Scenario, step: StepOf) -> dict[str, Any]:
    """Fields of Budgets that the scenario sets; the step's own win."""
    return {**_fields(scenario.budgets), **_fields(step.budgets)}


def _fields(given: BudgetsOf) -> dict[str, Any]:
    told: dict[str, Any] = given.model_dump(exclude_none=True)
    recovery = told.get("recovery_seconds")
    if isinstance(recovery, dict):
        del told["recovery_seconds"]
        told |= {f"{clock}_seconds": seconds for clock, seconds in recovery.items()}
    elif recovery is not None:  # a step's one figure replaces what the scenario says of single clocks
        told |= dict.fromkeys(("replacements_seconds", "targets_seconds", "traffic_seconds"))
    return told


def budgets_of(defaults: Budgets, given: Mapping[str, Any]) -> Budgets:
    """The defaults with what a step sets."""
    return Budgets(**{**vars(defaults), **given})


def load(name: str) -> Scenario:
    """The scenario in the file of this name, or the shipped one. Raises UsageProblem (CHAOS-SCENARIO)."""
    path = Path(name)
    if not path.is_file() and (SHIPPED / f"{name}.yaml").is_file():
        path = SHIPPED / f"{name}.yaml"
    try:
        return parse(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise _no_scenario(name, str(error)) from error


def parse(text: str, source: str) -> Scenario:
    """The scenario that the YAML says. Raises UsageProblem (CHAOS-SCENARIO), which names every mistake."""
    try:
        return Scenario.model_validate(yaml_text.read(text))
    except yaml_text.NotYaml as error:
        raise _no_scenario(source, str(error)) from error
    except ValidationError as error:
        mistakes = "\n".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise _no_scenario(source, mistakes) from error


def shipped() -> dict[str, Scenario]:
    """Those that come with the package, by the name under which `chaosctl chaos run` finds them."""
    return {path.stem: load(str(path)) for path in sorted(SHIPPED.glob("*.yaml"))}


def schema() -> dict[str, Any]:
    """JSON schema of a scenario file; `with` is described for each fault."""
    made = Scenario.model_json_schema()
    rules = []
    for name, fault in SINGLE.items():
        options = fault.options.model_json_schema()
        options.pop("description", None)
        told = {"properties": {"with": options}}
        rules.append({"if": {"properties": {"fault": {"const": name}}, "required": ["fault"]}, "then": told})
    for part in ("FaultOf", "StepOf"):
        made["$defs"][part]["properties"]["fault"] = {"enum": list(SINGLE), "description": "as `chaos list` names it"}
        made["$defs"][part]["allOf"] = rules
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _no_scenario(source: str, why: str) -> UsageProblem:
    return UsageProblem(
        f"{source} is not a scenario",
        code="CHAOS-SCENARIO",
        why=why,
        remedy="see docs/chaos.md; `chaosctl chaos list` names the shipped ones and the faults",
    )
