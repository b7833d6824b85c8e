"""Container logs in the lab's CloudWatch, as a user reads them, while those who carry them are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]

LINES = 20_000
WRITER = """
import time
for number in range({lines}):
    print("line", number, "x" * (number % 40_000 if number % 1000 == 0 else 20), flush=True)
    if number % 1000 == 0:
        time.sleep(6)
"""


def kill(user: User, module: str) -> None:
    """End the process of the lab that runs a Python module, as nobody can foresee it."""
    mark = f"LAB_OF_CHAOSCTL={user.state}/lab".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
            if module.encode() in words and mark in (directory / "environ").read_bytes().split(b"\0"):
                os.kill(int(directory.name), signal.SIGKILL)
        except OSError:
            continue


def logs(user: User, *words: str) -> Any:
    return user.json("logs", *words)


def run(user: User, name: str, program: str) -> None:
    """A pod of the app's image, which has a Python, as strictly confined as the app."""
    app = json.loads(user.kubectl("-n", "chaotic-backend", "get", "deployment", "chaotic-backend", "-o", "json"))
    template = app["spec"]["template"]["spec"]
    confined = {key: template["containers"][0][key] for key in ("image", "imagePullPolicy", "securityContext")}
    spec = {
        "restartPolicy": "Never",
        "securityContext": template["securityContext"],
        "containers": [{"name": name, "command": ["python3", "-c", program], **confined}],
    }
    manifest = user.home / f"{name}.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
    user.kubectl("-n", "chaotic-backend", "create", "-f", str(manifest))


def numbers(user: User, pod: str) -> list[int]:
    found = logs(user, "--pod", pod, "--grep", "^line", "--limit", "1000000", "--since", "1h")
    assert found["source"] == "cloudwatch"
    return [int(line["text"].split()[1]) for line in found["lines"]]


def test_each_pod_is_heard_with_its_container_and_time(user: User) -> None:
    pods = json.loads(user.kubectl("-n", "chaotic-backend", "get", "pods", "-o", "json"))["items"]
    names = {pod["metadata"]["name"] for pod in pods}
    deadline = time.monotonic() + 60
    found = logs(user)
    while not names <= {line["pod"] for line in found["lines"]}:  # those whose place they took have lines too
        assert time.monotonic() < deadline, found
        found = logs(user)
    assert (found["source"], found["fallback"]) == ("cloudwatch", "")
    assert {line["container"] for line in found["lines"]} == {"backend"}


def test_nothing_is_lost_when_shipper_and_service_are_killed(user: User) -> None:
    run(user, "writer", WRITER.format(lines=LINES))
    for module in ("chaosctl.lab.shipper", "chaosctl.lab.aws", "chaosctl.lab.shipper"):
        seen = len(numbers(user, "writer"))
        deadline = time.monotonic() + 180
        while len(numbers(user, "writer")) <= seen:
            assert seen < LINES and time.monotonic() < deadline, "the writer has ended before everybody was killed"
        kill(user, module)
    user.kubectl(
        "-n", "chaotic-backend", "wait", "pod/writer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=240s"
    )
    deadline = time.monotonic() + 180
    while len(numbers(user, "writer")) < LINES:
        assert time.monotonic() < deadline
    assert sorted(numbers(user, "writer")) == list(range(LINES))


def test_last_words_of_a_pod_that_is_deleted_while_the_shipper_is_dead(user: User) -> None:
    run(user, "mortal", 'import time; print("line 1", flush=True); time.sleep(3600)')
    deadline = time.monotonic() + 60
    while numbers(user, "mortal") != [1]:
        assert time.monotonic() < deadline
    kill(user, "chaosctl.lab.shipper")
    user.kubectl("-n", "chaotic-backend", "delete", "pod", "mortal", "--now")
    assert numbers(user, "mortal") == [1]


def test_what_a_follower_sees(user: User) -> None:
    run(user, "talker", 'import time\nfor n in range(30): print("line", n, flush=True); time.sleep(0.5)')
    with user.start("logs", "--follow", "--pod", "talker", "--since", "1m", "--json") as following:
        assert following.stdout is not None
        seen = [json.loads(following.stdout.readline())["text"] for _ in range(30)]
        following.send_signal(signal.SIGINT)
        assert (following.wait(30), seen) == (0, [f"line {n}" for n in range(30)])


def test_without_the_shipper_the_clusters_own_logs_are_shown_and_named(user: User, aws: Any) -> None:
    addons = aws("eks")
    cluster, addon = "chaotic-backend-cluster", "amazon-cloudwatch-observability"
    addons.delete_addon(clusterName=cluster, addonName=addon)
    deadline = time.monotonic() + 60
    while addon in addons.list_addons(clusterName=cluster)["addons"]:
        assert time.monotonic() < deadline
    aws("logs").delete_log_group(logGroupName=f"/aws/containerinsights/{cluster}/application")
    found = logs(user, "--since", "1h")
    assert found["source"] == "cluster"
    assert "no log group" in found["fallback"]
    assert found["lines"]
