"""CloudWatch Logs' filter patterns: terms, and comparisons of JSON members.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. Regular expressions, patterns in
brackets and IS are not understood here, and refused: a filter that quietly matches everything would be a lie.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Matches = Callable[[str], bool]
Test = Callable[[Any], bool]

TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')
TOKEN = re.compile(r'\s*(?:(\(|\)|&&|\|\||!=|<=|>=|=|<|>)|"((?:[^"\\]|\\.)*)"|([^\s()&|=!<>"]+))')
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class InvalidPattern(Exception):
    """No pattern, or one that is not understood here; the text says which."""


def compiled(pattern: str) -> Matches:
    """Whether a message matches. Raises InvalidPattern."""
    text = pattern.strip()
    if text.startswith("{") and text.endswith("}"):
        test = _Parser(text[1:-1]).parsed()
        return lambda message: test(_parsed(message))
    if text.startswith(("[", "%")):
        raise InvalidPattern(f"the lab's AWS does not know this kind of pattern: {pattern}")
    return _terms(text)


def _terms(text: str) -> Matches:
    wanted: dict[str, list[str]] = {"": [], "-": [], "?": []}
    position = 0
    while position < len(text):
        match = TERM.match(text, position)
        if match is None:
            raise InvalidPattern(f"a quote is not closed in {text}")
        wanted[match[1]].append(_unescaped(match[2]) if match[2] is not None else match[3])
        position = match.end()

    def matches(message: str) -> bool:
        if any(term in message for term in wanted["-"]):
            return False
        if wanted[""] or not wanted["?"]:
            return all(term in message for term in wanted[""])  # AWS ignores ?terms beside others
        return any(term in message for term in wanted["?"])

    return matches


def _parsed(message: str) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


class _Parser:
    """or := and ("||" and)*, and := atom ("&&" atom)*, atom := "(" or ")" | $.member comparison value."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, bool]] = []  # and whether it was quoted
        position = 0
        while position < len(text.rstrip()):
            match = TOKEN.match(text, position)
            if match is None:
                raise InvalidPattern(f"cannot read {text[position:]}")
            self._tokens.append((_unescaped(match[2]), True) if match[2] is not None else (match[1] or match[3], False))
            position = match.end()

    def parsed(self) -> Test:
        test = self._any()
        if self._tokens:
            raise InvalidPattern(f"unexpected {self._tokens[0][0]}")
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._accept("||"):
            tests.append(self._all())
        return lambda record: any(test(record) for test in tests)

    def _all(self) -> Test:
        tests = [self._atom()]
        while self._accept("&&"):
            tests.append(self._atom())
        return lambda record: all(test(record) for test in tests)

    def _atom(self) -> Test:
        if self._accept("("):
            test = self._any()
            if not self._accept(")"):
                raise InvalidPattern("a parenthesis is not closed")
            return test
        (selector, _), (comparison, _), (value, quoted) = self._next(), self._next(), self._next()
        if not selector.startswith("$.") or comparison not in COMPARISONS or "[" in selector:
            raise InvalidPattern(f"the lab's AWS does not know this comparison: {selector} {comparison} {value}")
        return _comparison(selector[2:].split("."), comparison, value, quoted)

    def _next(self) -> tuple[str, bool]:
        if not self._tokens:
            raise InvalidPattern("it ends too early")
        return self._tokens.pop(0)

    def _accept(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == (token, False):
            del self._tokens[0]
            return True
        return False


def _comparison(path: list[str], comparison: str, value: str, quoted: bool) -> Test:
    number = None if quoted else _number(value)
    wildcard = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)

    def test(record: Any) -> bool:
        for member in path:
            record = record.get(member) if isinstance(record, dict) else None
        if record is None:
            return False
        if number is not None:
            return isinstance(record, (int, float)) and COMPARISONS[comparison](record, number)
        return (wildcard.fullmatch(str(record)) is not None) == (comparison == "=")

    if number is None and comparison not in ("=", "!="):
        raise InvalidPattern(f"{value} is no number")
    return test


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
