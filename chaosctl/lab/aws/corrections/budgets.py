"""Budgets: tags and subscribers, without which the provider cannot read a budget back."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse


def apply() -> None:
    """Add the operations that moto lacks, and keep the tags given at creation."""
    create = BudgetsResponse.create_budget

    def create_budget(self: BudgetsResponse) -> str:
        created: str = create(self)
        _budget(self, self._get_param("Budget")["BudgetName"]).tags = self._get_param("ResourceTags") or []
        return created

    BudgetsResponse.create_budget = create_budget
    for operation in (_list_tags_for_resource, _tag_resource, _untag_resource, _update_budget, _describe_subscribers):
        name = "describe_subscribers_for_notification" if operation is _describe_subscribers else operation.__name__[1:]
        setattr(BudgetsResponse, name, operation)


def _budget(response: BudgetsResponse, name: str) -> Budget:
    account = response._get_param("AccountId") or response.current_account
    response.backend.describe_budget(account, name)
    return response.backend.budgets[account][name]


def _tagged(response: BudgetsResponse) -> Budget:
    return _budget(response, response._get_param("ResourceARN").split("budget/", 1)[-1])


def _list_tags_for_resource(self: BudgetsResponse) -> str:
    return json.dumps({"ResourceTags": _tagged(self).tags})


def _tag_resource(self: BudgetsResponse) -> str:
    budget, new = _tagged(self), self._get_param("ResourceTags") or []
    keys = {tag["Key"] for tag in new}
    budget.tags = [tag for tag in budget.tags if tag["Key"] not in keys] + new
    return json.dumps({})


def _untag_resource(self: BudgetsResponse) -> str:
    budget, gone = _tagged(self), self._get_param("ResourceTagKeys") or []
    budget.tags = [tag for tag in budget.tags if tag["Key"] not in gone]
    return json.dumps({})


def _update_budget(self: BudgetsResponse) -> str:
    new = self._get_param("NewBudget")
    _budget(self, new["BudgetName"]).budget.update(new)
    return json.dumps({})


def _describe_subscribers(self: BudgetsResponse) -> str:
    wanted: dict[str, Any] = {k: v for k, v in self._get_param("Notification").items() if k != "NotificationState"}
    for notification in _budget(self, self._get_param("BudgetName")).notifications:
        if wanted.items() <= notification.details.items():
            return json.dumps({"Subscribers": notification.subscribers})
    return json.dumps({"Subscribers": []})
