"""The main job as a user does it: up, look at it with foreign clients, break it, remove it.

The tests of this module run in their order on one deployment, as a user's session does. None looks inside chaosctl.
"""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lab.user import User, interrupt

pytestmark = pytest.mark.lab
CONTEXT = "chaotic-backend-cluster"
STAGES = ("infra", "kubeconfig", "controller", "app", "alarms", "smoke")


@pytest.fixture(scope="module")
def user(newcomer: User) -> User:
    newcomer.kubeconfig.write_text(OTHER_KUBECONFIG)
    return newcomer


@pytest.fixture(scope="module")
def url(user: User, deployed: str) -> str:
    return user.chaosctl("url").stdout.strip()


def pods(user: User) -> list[dict[str, Any]]:
    listed = json.loads(user.kubectl("-n", "chaotic-backend", "get", "pods", "-o", "json"))
    return [p for p in listed["items"] if p["metadata"].get("labels", {}).get("app.kubernetes.io/name")]


def uids(user: User) -> set[str]:
    return {p["metadata"]["uid"] for p in pods(user)}


def test_down_before_anything_is_up_is_fine(user: User) -> None:
    user.chaosctl("down", "--yes")


def test_up_ends_with_url_smoke_result_and_stand_ins(deployed: str) -> None:
    assert re.search(r"http://\S+\.elb\.amazonaws\.com", deployed)
    assert "smoke" in deployed.lower()
    assert "stand" in deployed.lower()


def test_curl_reaches_the_load_balancer_by_name(user: User, url: str) -> None:
    assert user.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/health/ready").stdout == "200"


def test_kubectl_sees_two_nodes_in_two_zones(user: User, deployed: str) -> None:
    nodes = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"]
    zones = {n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in nodes}
    assert zones == {"us-west-2a", "us-west-2b"}
    assert all(re.match(r"aws:///us-west-2[ab]/i-[0-9a-f]{17}$", n["spec"]["providerID"]) for n in nodes)


def test_three_pods_serve_with_readiness_gates(user: User, deployed: str) -> None:
    serving = pods(user)
    assert len(serving) == 3
    for pod in serving:
        gates = [g["conditionType"] for g in pod["spec"]["readinessGates"]]
        assert any(g.startswith("target-health.elbv2.k8s.aws/") for g in gates)
        assert pod["spec"]["securityContext"]["runAsUser"] == 1000


def test_logs_exec_and_top_work(user: User, deployed: str) -> None:
    name = pods(user)[0]["metadata"]["name"]
    assert user.kubectl("-n", "chaotic-backend", "logs", name)
    assert "1000" in user.kubectl(
        "-n", "chaotic-backend", "exec", name, "--", "python3", "-c", "import os; print(os.getuid())"
    )
    deadline = time.monotonic() + 90  # metrics-server needs two scrapes, 15 s apart
    while user.run(user.tools["kubectl"], "--context", CONTEXT, "top", "nodes", status=None).returncode:
        assert time.monotonic() < deadline
        time.sleep(2)


@pytest.mark.parametrize("token", ["nonsense", "k8s-aws-v1.bm9uc2Vuc2U"])
def test_a_wrong_token_is_refused(user: User, deployed: str, token: str) -> None:
    config = YAML(typ="safe").load(user.kubeconfig.read_text())
    cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == CONTEXT)
    argv = (user.tools["kubectl"], "--kubeconfig", "/dev/null", "--server", cluster["server"], "--token", token)
    refused = user.run(*argv, "--insecure-skip-tls-verify", "get", "nodes", status=1)
    assert "Unauthorized" in refused.stderr or "must be logged in" in refused.stderr


def test_the_users_kubeconfig_keeps_what_was_in_it(user: User, deployed: str) -> None:
    config = YAML(typ="safe").load(user.kubeconfig.read_text())
    assert config["current-context"] == "elsewhere"
    assert {c["name"] for c in config["contexts"]} == {"elsewhere", CONTEXT}
    assert user.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_boto3_sees_cluster_addons_and_healthy_targets(aws: Any) -> None:
    eks, elbv2 = aws("eks"), aws("elbv2")
    assert eks.describe_cluster(name=CONTEXT)["cluster"]["status"] == "ACTIVE"
    for name in eks.list_addons(clusterName=CONTEXT)["addons"]:
        assert eks.describe_addon(clusterName=CONTEXT, addonName=name)["addon"]["status"] == "ACTIVE", name
    groups = elbv2.describe_target_groups()["TargetGroups"]
    health = elbv2.describe_target_health(TargetGroupArn=groups[0]["TargetGroupArn"])["TargetHealthDescriptions"]
    assert [h["TargetHealth"]["State"] for h in health] == ["healthy"] * 3


def test_the_network_interface_of_a_node_holds_its_pods_addresses(user: User, aws: Any) -> None:
    address = pods(user)[0]["status"]["podIP"]
    found = aws("ec2").describe_network_interfaces(
        Filters=[{"Name": "addresses.private-ip-address", "Values": [address]}]
    )["NetworkInterfaces"]
    assert len(found) == 1


def webhook_certificate(user: User) -> dict[str, Any]:
    """What the load balancer controller serves its webhooks with, and what the API server trusts it by."""
    secret = json.loads(user.kubectl("-n", "kube-system", "get", "secret", "aws-load-balancer-tls", "-o", "json"))
    kinds = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")
    found = [json.loads(user.kubectl("get", kind, "aws-load-balancer-webhook", "-o", "json")) for kind in kinds]
    trusted = {f"{c['kind']} {w['name']}": w["clientConfig"]["caBundle"] for c in found for w in c["webhooks"]}
    return {"secret": secret["data"], "trusted": trusted}


def test_a_second_up_changes_nothing(user: User, deployed: str) -> None:
    before, served = uids(user), webhook_certificate(user)
    assert served["secret"]["tls.crt"] and all(served["trusted"].values())
    stages = user.json("up")["stages"]
    assert {name: stage["changed"] for name, stage in stages.items()} == dict.fromkeys(stages, False)
    assert uids(user) == before
    assert webhook_certificate(user) == served


def test_after_up_plan_has_nothing_to_change(user: User, deployed: str) -> None:
    found = user.json("plan", status=0)
    assert (found["different"], found["terraform"], found["aws"]) == (False, [], [])


def test_smoke_passes_and_fails_by_its_limit(user: User, url: str) -> None:
    passed = user.json("smoke")
    assert passed["latency"]["requests"] >= 50
    user.chaosctl("smoke", "--limit-ms", "0.01", status=8)
    user.chaosctl("smoke", "--url", "http://127.0.0.1:9", status=8)


def test_helm_test_passes(user: User, deployed: str) -> None:
    user.run(user.tools["helm"], "test", "chaotic-backend", "-n", "chaotic-backend", "--kube-context", CONTEXT)


def test_status_says_what_exists(user: User, url: str) -> None:
    found = user.json("status")
    assert (found["url"], found["problems"], found["answer"]["status"]) == (url, [], 200)
    assert {stage["stage"]: stage["state"] for stage in found["stages"]} == dict.fromkeys(STAGES, "done")
    assert [target["state"] for target in found["targets"]] == ["healthy"] * 3


def test_a_dry_run_names_victims_and_kills_none(user: User, deployed: str) -> None:
    before = uids(user)
    first, again = (user.json("chaos", "--kill-pods", "--seed", "7", "--dry-run") for _ in range(2))
    assert [v["uid"] for v in first["plan"]["victims"]] == [v["uid"] for v in again["plan"]["victims"]]
    assert {v["uid"] for v in first["plan"]["victims"]} <= before == uids(user)


def test_killing_a_pod_passes_and_the_pod_is_really_gone(user: User, deployed: str) -> None:
    before = uids(user)
    result = user.json("chaos", "--kill-pods", "--seed", "7")
    assert result["verdict"] == "PASS"
    after = uids(user)
    assert len(after) == 3
    assert len(before - after) == 1


def test_killing_more_than_half_needs_consent(user: User, deployed: str) -> None:
    before = uids(user)
    user.chaosctl("chaos", "--kill-pods", "--count", "3", status=14)
    assert uids(user) == before


def test_an_alarm_goes_off_in_its_drill_and_is_over(user: User, deployed: str) -> None:
    drill = ("--fault", "scale", "--with", "by=-2", "--yes-really", "--expect-alarm", "few-targets")
    users_see = ("--budget-success", "0", "--budget-downtime", "3600")
    result = user.json("chaos", *drill, *users_see)
    assert result["verdict"] == "PASS", result
    [alarm] = result["alarms"]
    assert alarm["name"] == "few-targets" and alarm["went_off"] and alarm["was_over"]


def test_no_other_alarm_went_off_since_the_deployment(aws: Any) -> None:
    """Not while a pod was killed, which is repaired before anybody has to be told; that one begins in ALARM anyway."""
    cloudwatch = aws("cloudwatch")
    names = [alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]]
    assert len(names) == 8
    changes = cloudwatch.describe_alarm_history(HistoryItemType="StateUpdate", MaxRecords=100)["AlarmHistoryItems"]
    assert changes
    off = {change["AlarmName"] for change in changes if change["HistorySummary"].endswith(" to ALARM")}
    assert off == {f"{CONTEXT}/few-targets"}
    states = {a["AlarmName"]: a["StateValue"] for a in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert [name for name, state in states.items() if state == "ALARM"] == []


def test_ctrl_c_in_chaos_leaves_nothing_broken(user: User, deployed: str) -> None:
    process = user.start("chaos", "--kill-pods", "--seed", "3")
    time.sleep(4)
    interrupt(process)
    _, said = process.communicate(timeout=180)
    assert process.returncode in (15, 130), said
    assert "Traceback" not in said
    user.chaosctl("smoke")


def test_the_labs_aws_survives_its_own_death(user: User, aws: Any) -> None:
    before = aws("ec2").describe_vpcs()["Vpcs"]
    time.sleep(6)  # the state is saved at the latest five seconds after a change
    pid = user.run("pgrep", "-f", f"chaosctl.lab.aws --root {user.state}").stdout.split()[0]
    user.run("kill", "-KILL", pid)
    deadline = time.monotonic() + 60
    while user.run("curl", "-sf", aws("ec2").meta.endpoint_url + "/chaosctl/health", status=None).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert aws("ec2").describe_vpcs()["Vpcs"] == before
    user.chaosctl("smoke")
    assert user.json("infra")["changed"] is False


def test_a_terminated_instance_is_replaced(user: User, aws: Any) -> None:
    first = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"][0]
    instance = first["spec"]["providerID"].rsplit("/", 1)[1]
    aws("ec2").terminate_instances(InstanceIds=[instance])
    deadline = time.monotonic() + 240
    while not replaced(user, first["metadata"]["name"]):
        assert time.monotonic() < deadline, user.kubectl("get", "nodes,pods", "-A", "-o", "wide")
        time.sleep(1)
    user.chaosctl("app")  # ends only when every pod is ready and every target healthy


def replaced(user: User, gone: str) -> bool:
    """Two nodes are ready without the one that is gone, and Kubernetes has given up its pods, after a minute or so."""
    nodes = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"]
    conditions = [c for n in nodes for c in n["status"]["conditions"] if c["type"] == "Ready"]
    bound = {p["spec"].get("nodeName") for p in json.loads(user.kubectl("get", "pods", "-A", "-o", "json"))["items"]}
    return [c["status"] for c in conditions] == ["True", "True"] and gone not in bound


def test_a_second_run_is_told_that_one_is_busy(user: User, deployed: str) -> None:
    first = user.start("up")
    time.sleep(2)
    second = user.chaosctl("up", status=4)
    assert str(first.pid) in second.stderr
    first.communicate(timeout=300)
    assert first.returncode == 0


def test_up_killed_half_way_is_carried_on_by_the_next(user: User, deployed: str) -> None:
    user.kubectl("-n", "chaotic-backend", "delete", "deployment", "chaotic-backend")
    process = user.start("up")
    time.sleep(8)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    user.chaosctl("up")


def test_the_api_server_is_gone_in_the_middle_of_a_stage(user: User, deployed: str) -> None:
    """And nobody starts it again: the lab's supervisor is gone as well. The next `up` brings both back."""
    user.kubectl("-n", "chaotic-backend", "delete", "deployment", "chaotic-backend")
    process = user.start("app")
    assert process.stderr is not None
    said = next(line for line in process.stderr if "upgrading chaotic-backend" in line)
    for program in ("supervisor.supervisord", "kube-apiserver"):
        user.run("pkill", "-KILL", "-f", f"{program} .*{user.state}/")
    _, rest = process.communicate(timeout=300)
    said += rest
    assert (process.returncode, len(re.findall(r"^Error:", said, re.MULTILINE)), "Traceback" in said) == (
        7,
        1,
        False,
    ), said
    user.chaosctl("up")
    assert len(pods(user)) == 3


def test_down_removes_everything_and_proves_it(user: User, url: str) -> None:
    user.chaosctl("down", "--yes")
    config = YAML(typ="safe").load(user.kubeconfig.read_text())
    assert {c["name"] for c in config["contexts"]} == {"elsewhere"}
    assert url.removeprefix("http://") not in Path("/etc/hosts").read_text()


def test_down_again_is_fine(user: User, deployed: str) -> None:
    user.chaosctl("down", "--yes")


def test_status_of_nothing(user: User, deployed: str) -> None:
    user.chaosctl("status")


OTHER_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- cluster: {server: "https://elsewhere.invalid"}  # not ours
  name: elsewhere
contexts:
- context: {cluster: elsewhere, user: elsewhere}
  name: elsewhere
current-context: elsewhere
users:
- name: elsewhere
  user: {}
"""
