"""Checks what the program printed against the schema that it publishes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from chaosctl.cli import results


@cache
def _validator() -> Draft202012Validator:
    schema = results.schema(list(results.RESULTS))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def mistakes(told: Mapping[str, Any]) -> list[str]:
    """What is wrong with the JSON that a command printed, the most telling of it; empty when it is right."""
    best = best_match(_validator().iter_errors(told))
    return [] if best is None else [f"{best.json_path}: {best.message}"]
