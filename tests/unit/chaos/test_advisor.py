"""Six misconfigurations, each told as the run that it leads to; each must be named, with a setting that avoids it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos.advisor import Advice, Cause, advise, attribute
from chaosctl.chaos.experiment import Budgets, Mode
from chaosctl.chaos.settings import AppSettings
from chaosctl.chaos.timeline import Timeline
from tests.unit.chaos.story import FAULT, SOUND, Failures, Story, killed


def advice(story: Story, failures: Failures, latency: float = 0.005) -> Advice:
    (found,) = advise(Timeline.of(story.told(failures, latency)))
    return found


def test_nothing_failed_nothing_to_advise() -> None:
    assert advise(Timeline.of(killed().told())) == ()


def test_a_pre_stop_that_is_too_short() -> None:
    story = Story(replace(SOUND, pre_stop=0.0)).leaves(0.05, 1, 1.0).arrives(0.1, 4, 3.0).target(2.6, 1, "draining")
    found = advice(story, {(0.1, 2.4): ("both", "status", 502)})
    assert found.cause is Cause.PRE_STOP
    assert found.setting == "preStopSleepSeconds: 4"
    assert "web-1" in found.because and "preStop sleeps 0 s" in found.because
    assert found.requests == 230 and found.outcomes == "230 status 502"


def test_a_pod_that_is_gone_long_before_the_load_balancer_lets_it_go() -> None:
    """Seen with the real controller, whose leader was on the node that was drained: the next one takes 15 s to lead."""
    story = Story(replace(SOUND, pre_stop=1.0)).leaves(0.05, 1, 1.5).arrives(0.1, 4, 3.0).target(9.0, 1, "draining")
    found = advice(story, {(1.2, 8.9): ("both", "timeout", 0)})
    assert found.cause is Cause.PRE_STOP
    assert found.setting == "preStopSleepSeconds: 10"


def test_no_readiness_gate() -> None:
    """A rollout: new pods are Ready at once, old ones go, and the balancer has not looked at the new ones yet."""
    story = Story(replace(SOUND, gates=()))
    for number in (1, 2, 3):
        story.arrives(number - 0.9, number + 3, number - 0.5).leaves(number - 0.4, number, number + 11.0)
        story.target(number - 0.2, number, "draining").target(number - 0.1, number + 3, "initial")
    for number in (4, 5, 6):
        story.target(6.0 + number / 10, number, "healthy")
    found = advice(story, {(3.0, 6.3): ("both", "status", 503)})
    assert found.cause is Cause.NO_GATE
    assert "pod-readiness-gate-inject=enabled" in found.setting


def test_a_deregistration_delay_that_is_too_short() -> None:
    settings = replace(SOUND, balancer=replace(SOUND.balancer, deregistration_delay=0.0))  # type: ignore[type-var]
    story = Story(settings).leaves(0.05, 1, 12.0).arrives(0.1, 4, 3.0).target(0.6, 1, "").target(2.9, 4, "healthy")
    found = advice(story, {(0.1, 0.5): ("both", "closed", 0)}, latency=0.4)
    assert found.cause is Cause.DEREGISTRATION
    assert found.setting == "ingress.deregistrationDelaySeconds: 2"
    assert "The delay is 0 s" in found.because


def test_kept_alive_connections_that_the_app_closes_first() -> None:
    story = killed()
    found = advice(story, {(20.0, 20.01): ("reused", "reset", 0), (31.0, 31.01): ("reused", "status", 502)})
    assert found.cause is Cause.KEEP_ALIVE
    assert "keep-alive" in found.setting and "65 s" in found.setting


def test_a_cold_start_that_readiness_does_not_see() -> None:
    settings = replace(SOUND, readiness=replace(SOUND.readiness, path="/health/live"))  # type: ignore[type-var]
    found = advice(killed(settings), {(3.0, 9.0): ("both", "status", 503)})
    assert found.cause is Cause.COLD_START
    assert found.setting == "probes.readiness.path: /health/ready"
    assert "web-4" in found.because


def test_a_crash_that_is_noticed_late() -> None:
    story = killed(replace(SOUND, readiness=SOUND.liveness))
    story.pod(25.0, 2, ready=False, contained=False, restarts=1, trouble="web: Error")
    found = advice(story, {(17.0, 25.0): ("both", "status", 500)})
    assert found.cause is Cause.CRASH
    assert found.setting == "probes.readiness: {periodSeconds: 1, failureThreshold: 1}"
    assert "web-2" in found.because


def test_the_probe_need_not_be_quicker_than_the_budget_asks_for() -> None:
    """Ten seconds are allowed; a tenth of one passes until the load balancer has heard, the probe waits two itself."""
    story = killed(replace(SOUND, readiness=SOUND.liveness))
    story.experiment = replace(story.experiment, budgets=Budgets(downtime_seconds=10.0))
    story.pod(25.0, 2, ready=False, contained=False, trouble="not ready")
    found = advice(story, {(17.0, 25.1): ("both", "status", 500)})
    assert found.setting == "probes.readiness: {periodSeconds: 1, failureThreshold: 7}"
    assert "Even the quickest" not in found.because


def test_what_no_probe_can_save_is_said() -> None:
    story = killed(replace(SOUND, readiness=SOUND.liveness)).pod(25.0, 2, ready=False, contained=False, trouble="x")
    assert "Even the quickest probe takes up to 3 s" in advice(story, {(17.0, 25.0): ("both", "status", 500)}).because


def test_errors_of_a_new_version_are_no_crash() -> None:
    story = Story().arrives(0.1, 4, 3.0).target(3.5, 4, "healthy")
    rolled = [replace(e_, pod=replace(e_.pod, owner_uid="rs-2")) if isinstance(e_, e.PodSeen) and e_.pod.name == "web-4"
              else e_ for e_ in story.events]  # fmt: skip
    story.events[:] = rolled
    for failure in (("both", "status", 500), ("both", "body", 200)):
        found = advice(story, {(5.0, 9.0): failure})
        assert (found.cause, found.setting) == (Cause.BAD_VERSION, "")
        assert "web-4" in found.because


def test_errors_that_no_pod_explains_are_said_to_be_unknown() -> None:
    """A pod of the same version came, and none crashed; and what a pod answered was not cut off by another's end."""
    for when in ((5.0, 9.0), (10.2, 11.9), (25.0, 26.0)):
        found = advice(killed(), {when: ("both", "status", 500)})
        assert found.cause is Cause.UNKNOWN
        assert "no pod was seen crashing" in found.because


@pytest.mark.parametrize(("idle", "named", "said"), [(120.0, "125 s", "keeps them for 120 s"),
                                                     (None, "65 s", "assumed to keep them for 60 s")])  # fmt: skip
def test_how_long_the_load_balancer_keeps_connections_is_read_or_said_to_be_assumed(
    idle: float | None, named: str, said: str
) -> None:
    settings = replace(SOUND, balancer=replace(SOUND.balancer, idle_timeout=idle))  # type: ignore[type-var]
    found = advice(killed(settings), {(20.0, 20.01): ("reused", "reset", 0)})
    assert found.cause is Cause.KEEP_ALIVE
    assert named in found.setting and said in found.because


def test_a_kill_without_grace_is_no_fault_of_pre_stop() -> None:
    story = Story(mode=Mode.FORCED).pod(0.05, 1, "DELETED").arrives(0.1, 4, 3.0).target(1.5, 1, "draining")
    found = advice(story, {(0.0, 1.4): ("new", "timeout", 0)})
    assert found.cause is Cause.KILLED
    assert found.setting == ""  # the health check is as fast as can be


def test_a_pod_whose_node_is_gone_is_dead_long_before_kubernetes_says_so() -> None:
    story = Story()
    plan = replace(story.experiment.plan, fault="node-terminate")
    story.experiment = replace(story.experiment, plan=plan)
    story.target(12.0, 1, "unhealthy").leaves(30.0, 1, 35.0).arrives(30.1, 4, 34.0).target(34.5, 4, "healthy")
    found = advice(story, {(0.2, 11.9): ("both", "timeout", 0)})
    assert found.cause is Cause.KILLED
    assert "web-1" in found.because and "11.9 s" in found.because


def cut_off(settings: AppSettings = SOUND) -> Story:
    """A pod is behind a partition for 20 seconds: readiness notices, the load balancer a little later."""
    story = Story(settings)
    plan = replace(story.experiment.plan, fault="network-partition", held=True)
    story.experiment = replace(story.experiment, plan=plan)
    story.events.append(e.Lifted(FAULT + 20.0, "what the helpers of network-partition did has ended"))
    story.pod(2.5, 1, ready=False, contained=False, trouble="not ready").target(2.8, 1, "draining")
    return story.pod(21.0, 1, ready=True, contained=True, trouble="").target(21.5, 1, "healthy")


def test_a_pod_behind_a_partition_has_not_crashed() -> None:
    slow = replace(SOUND, balancer=replace(SOUND.balancer, interval=15.0))  # type: ignore[type-var]
    found = advice(cut_off(slow), {(0.1, 2.9): ("both", "timeout", 0)}, latency=2.0)
    assert found.cause is Cause.NETWORK
    assert found.setting.startswith("ingress.healthCheck:") and "web-1" in found.because and "4.9 s" in found.because
    assert advice(cut_off(), {(0.1, 2.9): ("both", "status", 504)}).setting == ""


@pytest.mark.parametrize(
    ("when", "failure"),
    [((1.0, 2.0), ("both", "status", 500)), ((24.0, 24.5), ("both", "timeout", 0))],
)
def test_an_answer_or_what_comes_later_is_not_for_the_partition(
    when: tuple[float, float], failure: tuple[str, str, int]
) -> None:
    """The pod itself said 500; or long after the partition another pod restarts."""
    story = cut_off().pod(24.3, 2, ready=False, contained=False, restarts=1, trouble="web: Error")
    assert advice(story, {when: failure}).cause is Cause.CRASH


def test_all_pods_at_once_leave_nobody_to_serve() -> None:
    story = Story()
    for number in (1, 2, 3):
        story.leaves(0.05, number, 11.0).target(0.4, number, "draining")
    found = advice(story.arrives(0.1, 4, 5.0).target(5.0, 4, "healthy"), {(1.0, 5.0): ("both", "status", 503)})
    assert found.cause is Cause.NO_CAPACITY


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [("unsent", Cause.TESTER), ("dns", Cause.ENTRANCE), ("refused", Cause.ENTRANCE), ("body", Cause.UNKNOWN)],
)
def test_what_pods_and_targets_do_not_explain(outcome: str, cause: Cause) -> None:
    assert advice(killed(), {(25.0, 26.0): ("new", outcome, 0)}).cause is cause


def test_every_failed_request_has_one_cause_and_those_before_the_fault_none() -> None:
    line = Timeline.of(killed().told({(-5.0, -4.0): ("new", "reset", 0), (20.0, 22.0): ("both", "body", 200)}))
    assert len(attribute(line)) == 200


def test_without_settings_it_still_says_why() -> None:
    story = Story(None).leaves(0.05, 1, 1.0).arrives(0.1, 4, 3.0).target(2.6, 1, "draining")
    assert advice(story, {(0.1, 2.4): ("both", "status", 502)}).cause is Cause.PRE_STOP
