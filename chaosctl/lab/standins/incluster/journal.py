"""What a stand-in says: one JSON line per fact, on stderr, as the real ones do."""

from __future__ import annotations

import json
import sys
import time


def log(message: str, *, level: str = "info", **fields: object) -> None:
    """Write one line."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"level": level, "ts": stamp, "logger": "stand-in", "msg": message, **fields}
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()


def why(error: BaseException) -> tuple[str, str]:
    """(code, text) of an error; the code is AWS's or the API server's where they gave one."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", type(error).__name__)), str(error)
    return str(getattr(error, "reason", None) or type(error).__name__), str(error)
