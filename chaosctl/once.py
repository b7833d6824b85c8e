"""A property that is made once, although several threads ask for it at the same time."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class once(cached_property[T_co]):  # noqa: N801, used like `property`
    """functools.cached_property with a lock for each object: from Python 3.12 that one has none.

    When making it fails, whoever waited meanwhile gets the same error: to try it for each of them, one after the other,
    would take as many times as long. Who asks later has it tried again.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> once[T_co]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T_co: ...

    def __get__(self, instance: object, owner: type[Any] | None = None) -> once[T_co] | T_co:
        """The value; the first to ask makes it."""
        if instance is None:
            return self
        assert self.attrname is not None
        values = instance.__dict__
        attempts: _Attempts = values.setdefault(f"attempts at {self.attrname}", _Attempts())
        failed = attempts.failed
        with attempts.lock:
            if self.attrname not in values:
                if attempts.error is not None and attempts.failed != failed:
                    raise attempts.error
                values[self.attrname] = self._made(instance, attempts)
            value: T_co = values[self.attrname]
            return value

    def _made(self, instance: object, attempts: _Attempts) -> T_co:
        try:
            return self.func(instance)
        except BaseException as error:
            attempts.error, attempts.failed = error, attempts.failed + 1
            raise


class _Attempts:
    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        self.failed = 0
        self.error: BaseException | None = None
