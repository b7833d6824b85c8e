"""Metric math, as far as alarms need it: arithmetic, comparisons, FILL, IF, SUM, AVG, MIN and MAX of series."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence

Series = Mapping[int, float]  # values by the beginning of their period, in seconds since the epoch
Value = float | dict[int, float] | list["Value"]

ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
REDUCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "MIN": min,
    "MAX": max,
    "AVG": lambda values: sum(values) / len(values),
}


class Unsupported(Exception):
    """An expression that the lab cannot evaluate."""


def evaluate(expression: str, series: Mapping[str, Series], periods: Sequence[int]) -> dict[int, float]:
    """The series of an expression over others by their id; `periods` are all that there could be.

    A period in which one of the series of an operation has no value, or a division is by zero, has none in the result.
    Raises Unsupported.
    """
    try:
        tree = ast.parse(expression.replace("^", "**"), mode="eval").body
        result = _value(tree, {name: dict(found) for name, found in series.items()}, periods)
    except (SyntaxError, KeyError, TypeError, ValueError) as error:
        raise Unsupported(f"{expression}: {error}") from error
    if isinstance(result, list):
        raise Unsupported(f"{expression}: it has more than one series as its result")
    return result if isinstance(result, dict) else dict.fromkeys(periods, result)


def _value(node: ast.expr, series: Mapping[str, dict[int, float]], periods: Sequence[int]) -> Value:
    def of(part: ast.expr) -> Value:
        return _value(part, series, periods)

    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return series[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combined(operator.mul, of(operand), -1.0)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(ARITHMETIC[type(op)], of(left), of(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            compare = COMPARISONS[type(op)]
            return _combined(lambda a, b: float(compare(a, b)), of(left), of(right))
        case ast.List(elts=parts):
            return [of(part) for part in parts]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, [of(argument) for argument in arguments], periods)
    raise ValueError(f"{ast.unparse(node)} is not supported by the lab")


def _combined(operation: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        return operation(left, right)
    if isinstance(left, list) or isinstance(right, list):
        raise ValueError("arrays of series are only for SUM, AVG, MIN and MAX")
    times = left if isinstance(left, dict) else right
    found: dict[int, float] = {}
    assert isinstance(times, dict)
    for at in times:
        a, b = _at(left, at), _at(right, at)
        if a is not None and b is not None and not (operation is operator.truediv and b == 0):
            found[at] = operation(a, b)
    return found


def _at(value: float | dict[int, float], at: int) -> float | None:
    return value.get(at) if isinstance(value, dict) else value


def _call(name: str, arguments: list[Value], periods: Sequence[int]) -> Value:
    match name, arguments:
        case "FILL", [dict() as series, float() as filler]:
            return {at: series.get(at, filler) for at in periods}
        case "IF", [condition, yes, no] if not isinstance(yes, list) and not isinstance(no, list):
            return _chosen(condition, yes, no, periods)
        case _, [list() as several] if name in REDUCTIONS and all(isinstance(one, dict) for one in several):
            return _reduced(REDUCTIONS[name], [one for one in several if isinstance(one, dict)])
    raise ValueError(f"{name} of these arguments is not supported by the lab")


def _chosen(
    condition: Value, yes: float | dict[int, float], no: float | dict[int, float], periods: Sequence[int]
) -> dict[int, float]:
    found = {}
    for at in periods:
        holds = _at(condition, at) if not isinstance(condition, list) else None
        chosen = None if holds is None else _at(yes if holds else no, at)
        if chosen is not None:
            found[at] = chosen
    return found


def _reduced(reduce: Callable[[Sequence[float]], float], several: Sequence[dict[int, float]]) -> dict[int, float]:
    times = sorted({at for one in several for at in one})
    return {at: reduce([one[at] for one in several if at in one]) for at in times}
