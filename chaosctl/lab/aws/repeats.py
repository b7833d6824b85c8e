"""A request that an SDK sends again is answered as it was the first time, not carried out twice.

SDKs send a request again when its answer does not reach them, as happens when the whole machine is busy.
What it created exists by then, and Terraform would fail on that. The attempts of one call have one invocation id.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from wsgiref.types import WSGIEnvironment

log = logging.getLogger(__name__)

KEPT = 1000  # answers; a second attempt follows within seconds
FIRST = re.compile(r"attempt=1\b")

Answer = tuple[str, list[tuple[str, str]], bytes]  # status, headers, body


class Repeats:
    """The latest answers to requests that changed something. Not thread-safe: it is used under the world's lock."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def earlier(self, environ: WSGIEnvironment) -> Answer | None:
        """What this call was answered before; None when this is its first attempt, or none got through to us."""
        if FIRST.search(environ.get("HTTP_AMZ_SDK_REQUEST", "attempt=1")):
            return None
        found = self._answers.get(environ.get("HTTP_AMZ_SDK_INVOCATION_ID", ""))
        if found:
            log.warning(
                "%s %s came again (%s): its answer had not arrived",
                environ["REQUEST_METHOD"],
                environ.get("HTTP_X_AMZ_TARGET") or environ.get("PATH_INFO"),
                environ["HTTP_AMZ_SDK_REQUEST"],
            )
        return found

    def keep(self, environ: WSGIEnvironment, answer: Answer) -> None:
        """Remember an answer, in case it does not arrive. One that asks for another attempt is no answer."""
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID", "")
        if call and answer[0].startswith("2"):
            self._answers[call] = answer
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
