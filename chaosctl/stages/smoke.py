"""The stage that looks at the app as a user does: is it right, and is it quick enough?"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from chaosctl.adapters.http import Reply, Served, Site
from chaosctl.config import SmokeSettings
from chaosctl.errors import CheckFailed, Unreachable
from chaosctl.events import Emit, Warned
from chaosctl.stages import certificate, entrance
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context, StageResult
from chaosctl.waiting import TimedOut, heartbeat, wait_until

STAND_IN = "chaosctl-stand-in"  # the Server header of the lab's backend
REDIRECTS = (301, 302, 307, 308)
PLAIN_SECONDS = 3.0  # a port that is closed by dropping packets answers never
NEW_SECONDS = 90.0  # a new load balancer's name takes a while to resolve everywhere
SETTLE_SECONDS = 15.0  # AWS shows a listener's new rules some seconds before all of the load balancer goes by them
BALANCER = "awselb/"  # begins the Server header of what a load balancer answers by itself


@dataclass(frozen=True)
class RouteCheck:
    """One route. `problem` is empty when it is right; milliseconds, `connect` with the name lookup."""

    path: str
    status: int
    connect_ms: float
    total_ms: float
    problem: str


@dataclass(frozen=True)
class Latency:
    """Response times in milliseconds of `requests` requests, of which `failed` got no 200."""

    requests: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    limit_ms: float

    @property
    def problem(self) -> str:
        """What is wrong with it, or empty."""
        if self.failed:
            return f"{self.failed} of {self.requests} requests were not answered with 200"
        if self.p95_ms > self.limit_ms:
            return f"p95 is {self.p95_ms:.0f} ms, the limit is {self.limit_ms:.0f} ms"
        return ""


@dataclass(frozen=True)
class Security:
    """How HTTPS was served: `hsts` is the header's value, `plain` what HTTP on port 80 is.

    That is redirected, closed, refused (an answer that is not the app's), or served; empty when nobody looked, since
    HTTPS is on another port than 443.
    """

    certificate: Served
    hsts: str
    plain: str

    @property
    def problem(self) -> str:
        """What is wrong with it, or empty."""
        return "http:// is served too, instead of being redirected to https://" if self.plain == "served" else ""


@dataclass(frozen=True)
class SmokeResult:
    """What was seen. `stand_in`: the lab's backend answered, not the real one; `security` is None for HTTP."""

    url: str
    routes: tuple[RouteCheck, ...]
    latency: Latency
    stand_in: bool
    security: Security | None = None

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong; empty when it passed."""
        found = [f"{r.path}: {r.problem}" for r in self.routes if r.problem]
        found += [self.security.problem] if self.security and self.security.problem else []
        return found + ([self.latency.problem] if self.latency.problem else [])

    @property
    def summary(self) -> str:
        """One line."""
        right = sum(not r.problem for r in self.routes)
        latency = self.latency
        times = f"p50 {latency.p50_ms:.1f}, p95 {latency.p95_ms:.1f}, p99 {latency.p99_ms:.1f} ms"
        over = f"{latency.requests} requests" + (f", {self.security.certificate.version}" if self.security else "")
        return f"{right} of {len(self.routes)} routes right, {times} over {over}"


@dataclass(frozen=True)
class Smoke:
    """Checks the routes and the response times."""

    name: str = "smoke"

    def describe(self) -> str:
        """What it is going to do."""
        return "check the routes and the response times"

    def run(self, context: Context) -> StageResult:
        """Measure; raises CheckFailed when something is wrong."""
        url = app_url(context)
        trust = context.target.ca_file
        result = measure(url, context.settings.smoke, context.emit, patience=NEW_SECONDS, ca_file=trust)
        if result.problems:
            raise CheckFailed(
                f"{url} does not pass the smoke checks",
                code="SMOKE-FAILED",
                why="\n".join(result.problems),
                remedy="`chaosctl smoke` runs them again, `chaosctl status` shows pods and targets",
            )
        return StageResult(False, result.summary, as_data(result))


def app_url(context: Context) -> str:
    """Where the deployed app is."""
    settings = context.settings
    return settings.url or entrance.require_url(Access(context).kube, settings.namespace, settings.release)


def as_data(result: SmokeResult) -> dict[str, Any]:
    """For --json."""
    return {
        "url": result.url,
        "passed": not result.problems,
        "problems": result.problems,
        "routes": [vars(r) for r in result.routes],
        "latency": vars(result.latency),
        "stand_in": result.stand_in,
        "security": _security_data(result.security) if result.security else None,
    }


def _security_data(found: Security) -> dict[str, Any]:
    shown = found.certificate
    return {
        "certificate": {**vars(shown), "not_after": shown.not_after.isoformat()},
        "hsts": found.hsts,
        "plain": found.plain,
    }


def measure(
    url: str, settings: SmokeSettings, emit: Emit, *, patience: float = 0, ca_file: Path | None = None
) -> SmokeResult:
    """Check the routes, then time `settings.requests` requests; over https, what secures them too.

    Certificates are verified against the system's authorities and those in `ca_file`.
    Raises CheckFailed when nobody has answered after `patience` seconds. For the first of them, an answer that is the
    load balancer's own does not count yet.
    """
    site = Site(url, ca_file=ca_file)
    try:
        _wait_for_answer(site, next(iter(settings.routes)), emit, patience)
        replies = {path: _fresh(site, path) for path in settings.routes}
        routes = tuple(_check(path, reply, settings.routes[path]) for path, reply in replies.items())
        with heartbeat("response times", emit):
            latency = _time(site, settings)
        stand_in = any(reply.headers.get("server", "").startswith(STAND_IN) for reply in replies.values())
        security = _security(site, next(iter(replies)), next(iter(replies.values())))
        if security:
            _warn_of_its_end(security.certificate, emit)
        return SmokeResult(site.url, routes, latency, stand_in, security)
    finally:
        site.close()


def _security(site: Site, path: str, reply: Reply) -> Security | None:
    if site.served is None:
        return None
    hsts = reply.headers.get("strict-transport-security", "")
    return Security(site.served, hsts, _plain(urlsplit(site.url + path)))


def _plain(url: SplitResult) -> str:
    """What port 80 does, for something that is on port 443."""
    if url.port not in (None, 443):
        return ""
    site = Site(f"http://{url.hostname}", timeout=PLAIN_SECONDS)
    try:
        reply = site.get(url.path)
    except Unreachable:
        return "closed"
    finally:
        site.close()
    if reply.status in REDIRECTS and reply.headers.get("location", "").startswith("https://"):
        return "redirected"
    return "refused" if _refuses(reply) else "served"


def _refuses(reply: Reply) -> bool:
    """Whether nobody serves it there. A 500 or 504, and a 503 of the app's own, have got through to the app."""
    return 400 <= reply.status < 500 or (reply.status == 503 and _by_balancer(reply))


def _by_balancer(reply: Reply) -> bool:
    return reply.headers.get("server", "").startswith(BALANCER)


def _warn_of_its_end(served: Served, emit: Emit) -> None:
    soon = certificate.ends_soon(served.not_after, renewed=False)
    if soon:
        emit(Warned(f"the certificate for {', '.join(served.names)}: {soon}", "`chaosctl status` says who renews it"))


def _wait_for_answer(site: Site, path: str, emit: Emit, patience: float) -> None:
    settled = time.monotonic() + min(patience, SETTLE_SECONDS)

    def answers() -> tuple[bool, str]:
        try:
            reply = _fresh(site, path)  # what is connected stays with the rules of before
        except Unreachable as error:
            return False, error.why
        settles = _by_balancer(reply) and time.monotonic() < settled
        return not settles, f"the load balancer itself answers with {reply.status}"

    try:
        wait_until(answers, f"{site.url} to answer", timeout=patience, emit=emit, interval=0.5)
    except TimedOut as late:
        raise CheckFailed(
            f"nobody answers at {site.url}",
            code="SMOKE-NO-ANSWER",
            why=late.detail,
            remedy="see with `chaosctl status` whether it is deployed and healthy",
        ) from None


def _fresh(site: Site, path: str) -> Reply:
    """Over a connection of its own, so that connecting is measured too."""
    site.close()
    return site.get(path)


def _check(path: str, reply: Reply, keys: Sequence[str]) -> RouteCheck:
    return RouteCheck(
        path=path,
        status=reply.status,
        connect_ms=round((reply.dns + reply.connect) * 1000, 2),
        total_ms=round(reply.total * 1000, 2),
        problem=_problem(reply, keys),
    )


def _problem(reply: Reply, keys: Sequence[str]) -> str:
    if reply.status != 200:
        return f"status {reply.status} instead of 200"
    if not keys:
        return ""
    try:
        body = json.loads(reply.body)
    except ValueError:
        return f"not JSON: {reply.body[:60]!r}"
    if not isinstance(body, dict):
        return "not a JSON object"
    missing = [key for key in keys if key not in body]
    return f"the JSON lacks {', '.join(missing)}" if missing else ""


def _time(site: Site, settings: SmokeSettings) -> Latency:
    replies = [_attempt(site, path) for path in _cycle(list(settings.routes), settings.requests)]
    times = sorted(r.total * 1000 for r in replies if r is not None and r.status == 200)
    return Latency(
        requests=len(replies),
        failed=len(replies) - len(times),
        p50_ms=percentile(times, 50),
        p95_ms=percentile(times, 95),
        p99_ms=percentile(times, 99),
        limit_ms=settings.limit_ms,
    )


def _cycle(paths: Sequence[str], count: int) -> list[str]:
    return [paths[i % len(paths)] for i in range(count)]


def _attempt(site: Site, path: str) -> Reply | None:
    try:
        return site.get(path)
    except Unreachable:
        return None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least `percent` % of the values do not exceed; 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
