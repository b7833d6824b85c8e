"""Rules of listeners: conditions and priorities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import ELBClientError, InvalidConditionValueError, PriorityInUseError, RuleNotFoundError
from moto.elbv2.models import ELBv2Backend, FakeAction
from moto.elbv2.responses import ELBV2Response

from chaosctl.lab.aws.corrections.elbv2.listeners import listener_of
from chaosctl.lab.aws.corrections.elbv2.replace import replace


def apply() -> None:
    """Regular expressions in conditions failed, transforms were dropped, priorities could not be swapped."""
    host, path, header = (
        getattr(ELBv2Backend, f"_validate_{field}_condition")
        for field in ("host_header", "path_pattern", "http_header")
    )
    validate_actions = ELBv2Backend._validate_actions

    def unless_regex(validate: Callable[..., None], config: str) -> Callable[..., None]:
        def check(self: Any, condition: Mapping[str, Any]) -> None:
            patterns = condition.get(config, {}).get("RegexValues")
            if patterns is None:
                validate(self, condition)
            elif not patterns:
                raise InvalidConditionValueError("A condition value must be specified")

        return check

    def actions_validated(self: Any, actions: Sequence[FakeAction]) -> None:
        validate_actions(self, [action for action in actions if action.type != "jwt-validation"])  # unknown to moto

    replace(
        ELBv2Backend,
        _validate_host_header_condition=unless_regex(host, "HostHeaderConfig"),
        _validate_path_pattern_condition=unless_regex(path, "PathPatternConfig"),
        _validate_http_header_condition=unless_regex(header, "HttpHeaderConfig"),
        _validate_actions=actions_validated,
        set_rule_priorities=_set_rule_priorities,
    )
    replace(ELBV2Response, create_rule=_create_rule, modify_rule=_modify_rule)


def _create_rule(self: Any) -> ActionResult:
    params = self._get_params()
    rule = self.elbv2_backend.create_rule(
        listener_arn=params["ListenerArn"],
        conditions=params["Conditions"],
        priority=int(params["Priority"]),
        actions=params["Actions"],
        tags=params.get("Tags"),
    )
    rule.conditions = [_complete_condition(condition) for condition in rule.conditions]
    rule.transforms = params.get("Transforms", [])
    return ActionResult({"Rules": [rule]})


def _modify_rule(self: Any) -> ActionResult:
    params = self._get_params()
    conditions, actions = params.get("Conditions", []), params.get("Actions", [])
    if conditions or actions:
        rule = self.elbv2_backend.modify_rule(params["RuleArn"], conditions, actions)
    else:
        rule = self.elbv2_backend.describe_rules(None, [params["RuleArn"]])[0]
    rule.conditions = [_complete_condition(condition) for condition in rule.conditions]
    if str(params.get("ResetTransforms", "")).lower() == "true":
        rule.transforms = []
    elif params.get("Transforms"):
        rule.transforms = params["Transforms"]
    return ActionResult({"Rules": [rule]})


def _complete_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    """AWS tells the values of hosts and paths twice, in the old place and in the new one, wherever they were given."""
    config = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}.get(condition["Field"])
    if config is None:
        return dict(condition)
    values = condition.get("Values") or condition.get(config, {}).get("Values")
    return {**condition, "Values": values, config: {"Values": values}} if values else dict(condition)


def _set_rule_priorities(self: Any, rule_priorities: Sequence[Mapping[str, Any]]) -> list[Any]:
    wanted = {entry["RuleArn"]: int(entry["Priority"]) for entry in rule_priorities}
    rules = self.describe_rules(None, list(wanted))
    if any(rule.is_default for rule in rules):
        raise ELBClientError("OperationNotPermitted", "Default rule priority cannot be modified")
    if not rules:
        raise RuleNotFoundError()
    others = listener_of(self, rules[0].listener_arn)._non_default_rules.values()
    taken = [wanted.get(rule.arn, int(rule.priority)) for rule in others]
    if len(taken) != len(set(taken)):
        raise PriorityInUseError()
    for rule in rules:
        rule.priority = wanted[rule.arn]
    return list(rules)
