"""Whether a body is the right one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

NO_JSON = (ValueError, RecursionError)  # what parsing raises: of other text, of bytes that are no text, of nesting


class BodyCheck:
    """A body must be JSON with at least these top-level keys.

    Without given keys, the first good answer of the run sets the pattern: its keys when it is a JSON object, valid
    JSON when it is other JSON, and anything but nothing when it is not JSON. `learnt` is told the keys, once.
    """

    def __init__(self, keys: tuple[str, ...] | None, learnt: Callable[[list[str]], None]) -> None:
        self._keys = frozenset(keys or ())
        self._json = keys is not None
        self._learning = keys is None
        self._learnt = learnt
        self._known = b""

    def __call__(self, body: bytes) -> bool:
        """A body that was found right before is right again; any other is parsed."""
        if body and body == self._known:
            return True
        if self._learning:
            self._learn(body)
        if not self._right(body):
            return False
        self._known = body
        return True

    def _learn(self, body: bytes) -> None:
        self._learning = False
        with contextlib.suppress(*NO_JSON):
            value = msgspec.json.decode(body)
            self._json = True
            self._keys = frozenset(value) if isinstance(value, dict) else frozenset()
        self._learnt(sorted(self._keys))

    def _right(self, body: bytes) -> bool:
        if not self._json:
            return bool(body)
        try:
            value = msgspec.json.decode(body)
        except NO_JSON:
            return False
        return not self._keys or (isinstance(value, dict) and self._keys <= value.keys())
