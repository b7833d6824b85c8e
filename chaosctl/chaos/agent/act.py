"""What the program can do, in general."""

from __future__ import annotations


class Cannot(Exception):
    """It cannot be done on this node, or to this container."""


class Act:
    """What is done; begun when it is made. `over` says why it has ended by itself."""

    over = ""

    def work(self, until: float) -> None:
        """Go on until then, by the monotonic clock."""
        raise NotImplementedError

    def proof(self) -> str:
        """What shows that it has an effect; empty while nothing does."""
        raise NotImplementedError
