"""What `terraform ... -json` says, line by line: progress becomes events, the rest is kept for the result.

Format: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.events import Emit, ResourceProgress, Warned

AWS_CODE = re.compile(r"\bapi error ([\w.]+):|\b([A-Z]\w+Exception):")
AUTHORS_BUSINESS = ("deprecated",)  # warnings about how terraform/ is written, which its tests show, not users' concern
PHASES = {
    "apply_start": "started",
    "apply_progress": "running",
    "apply_complete": "done",
    "apply_errored": "failed",
}


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning. `address` is the resource's, or empty; `where` is file:line, or empty."""

    severity: str
    summary: str
    detail: str = ""
    address: str = ""
    where: str = ""

    @property
    def aws_code(self) -> str:
        """The name of the AWS error behind it, such as VpcLimitExceeded, or empty."""
        found = AWS_CODE.search(f"{self.summary}\n{self.detail}")
        return next(filter(None, found.groups()), "") if found else ""

    def __str__(self) -> str:
        place = self.address or self.where
        return "\n".join(filter(None, (f"{place}: {self.summary}" if place else self.summary, self.detail.strip())))


@dataclass(frozen=True)
class Changes:
    """How many resources were, or would be, added, changed, removed and imported."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    imported: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.imported)

    def __str__(self) -> str:
        named = {"added": self.added, "changed": self.changed, "removed": self.removed, "imported": self.imported}
        return ", ".join(f"{count} {what}" for what, count in named.items() if count) or "no changes"


@dataclass(frozen=True)
class PlannedChange:
    """What a plan would do to one resource: create, update, replace, delete, import, ..."""

    address: str
    action: str


class Messages:
    """Reads the lines of one command. Use it as the `on_line` of `process.stream`."""

    def __init__(self, emit: Emit) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.planned: list[PlannedChange] = []
        self.drifted: list[PlannedChange] = []
        self.changes = Changes()
        self.outputs: dict[str, Any] = {}
        self.plain: list[str] = []  # lines that are not JSON: a crash, or a complaint before -json is in force
        self._emit = emit
        self._under_way: dict[str, tuple[str, float]] = {}
        self._last = ""

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that are errors, each once."""
        return list(dict.fromkeys(d for d in self.diagnostics if d.severity == "error"))

    def doing(self) -> str:
        """What is under way right now, the longest first, for people."""
        if not self._under_way:
            return self._last
        (address, (action, since)), *more = sorted(self._under_way.items(), key=lambda item: item[1][1])
        others = f" and {len(more)} more" if more else ""
        return f"{action} {address} for {time.monotonic() - since:.0f} s{others}"

    def __call__(self, line: str) -> None:
        """Take one line in."""
        message = _parsed(line)
        if message is None:
            self.plain.append(line)
            return
        kind = str(message.get("type", ""))
        if kind in PHASES:
            self._progress(PHASES[kind], message["hook"])
        elif kind == "diagnostic":
            self._diagnostic(message["diagnostic"])
        elif kind in ("planned_change", "resource_drift"):
            change = PlannedChange(message["change"]["resource"]["addr"], message["change"]["action"])
            (self.planned if kind == "planned_change" else self.drifted).append(change)
        elif kind == "change_summary":
            self._summary(message["changes"])
        elif kind == "outputs":
            self.outputs = values(message["outputs"])
        elif kind == "refresh_start":
            self._last = f"comparing {message['hook']['resource']['addr']}"

    def _progress(self, phase: str, hook: Mapping[str, Any]) -> None:
        address, action = hook["resource"]["addr"], hook["action"]
        if action == "read":
            return
        if phase in ("done", "failed"):
            self._under_way.pop(address, None)
        else:
            self._under_way.setdefault(address, (action, time.monotonic()))
        self._emit(ResourceProgress(address, action, phase, float(hook.get("elapsed_seconds", 0))))

    def _diagnostic(self, found: Mapping[str, Any]) -> None:
        place = found.get("range") or {}
        diagnostic = Diagnostic(
            severity=found["severity"],
            summary=found["summary"],
            detail=found.get("detail", ""),
            address=found.get("address", ""),
            where=f"{place['filename']}:{place['start']['line']}" if place else "",
        )
        known = diagnostic in self.diagnostics
        self.diagnostics.append(diagnostic)
        if diagnostic.severity == "warning" and not known and not _for_authors(diagnostic):
            self._emit(Warned(f"Terraform: {diagnostic}"))

    def _summary(self, counts: Mapping[str, Any]) -> None:
        self.changes = Changes(counts["add"], counts["change"], counts["remove"], counts.get("import", 0))


def values(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of Terraform's outputs by name; those that a plan cannot know yet are left out."""
    return {name: output["value"] for name, output in outputs.items() if "value" in output}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except json.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None


def _for_authors(diagnostic: Diagnostic) -> bool:
    return any(word in diagnostic.summary.lower() for word in AUTHORS_BUSINESS)
